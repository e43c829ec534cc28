"""The outermost middleware: request ids, constant headers and the access log."""

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.types import Message, Receive, Scope, Send

from app.edge.access_log import AccessLog, RequestRecorder
from app.edge.auth import Authentication, CredentialGeneration
from app.edge.context import Caller, context_of
from app.request_id import current
from app.telemetry.counters import HttpMetrics
from tests.edge.asgi_harness import (
    NO_CREDENTIALS,
    RecordingApp,
    failing,
    logging_to,
    request,
)
from tests.support.clock import ManualClock

VARY = "Accept-Encoding, Authorization, Cookie, Origin, X-API-Key"
SECRET = "obff_canary-5f0c"


async def test_a_valid_request_id_of_the_caller_is_returned() -> None:
    response = await request(RecordingApp(), headers={"X-Request-Id": "caller-0001"})

    assert response.headers["x-request-id"] == "caller-0001"


async def test_an_invalid_request_id_is_replaced() -> None:
    response = await request(RecordingApp(), headers={"X-Request-Id": "no good"})

    assert response.headers["x-request-id"] != "no good"


async def test_the_request_id_is_available_while_the_request_is_handled() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current())
        await RecordingApp()(scope, receive, send)

    await request(app, headers={"X-Request-Id": "caller-0001"})

    assert seen == ["caller-0001"]


async def test_an_api_response_has_exactly_one_vary_header() -> None:
    app = RecordingApp(headers=((b"vary", b"Origin"), (b"etag", b'W/"1"')))

    response = await request(app, "/v1/orders")

    assert response.headers.get_list("vary") == [VARY]
    assert response.headers["etag"] == 'W/"1"'


async def test_a_page_keeps_its_vary_header_and_has_a_content_security_policy() -> None:
    response = await request(RecordingApp(headers=((b"vary", b"Accept"),)), "/docs")

    assert response.headers.get_list("vary") == ["Accept"]
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' data:;")
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/v1", "/v1/orders", "/", "/v10"])
async def test_every_response_has_the_security_headers(path: str) -> None:
    response = await request(RecordingApp(), path)

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert ("vary" in response.headers) == path.startswith("/v1") & (path != "/v10")


async def test_the_route_is_logged_and_never_the_path() -> None:
    api = FastAPI()

    @api.get("/v1/orders/{order_no}")
    async def order(order_no: str) -> str:
        return order_no

    with logging_to() as log:
        await request(api, f"/v1/orders/{SECRET}?q={SECRET}", headers={"User-Agent": SECRET})
        await request(api, f"/{SECRET}")

    found, unmatched = log.lines()
    assert found["route"] == "/v1/orders/{order_no}"
    assert unmatched["route"] == "unmatched"
    assert SECRET not in log.text()


async def test_a_request_rejected_before_routing_is_logged_with_its_route() -> None:
    router = APIRouter(prefix="/v1")

    @router.get("/orders/{order_no}")
    async def order(order_no: str) -> None: ...

    authentication = Authentication(FastAPI(), NO_CREDENTIALS, CredentialGeneration())
    access_log = AccessLog(authentication, ManualClock(), router.routes)
    transport = httpx.ASGITransport(access_log)
    with logging_to() as log:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get(f"/v1/orders/{SECRET}")
            await client.post(f"/v1/orders/{SECRET}")
            await client.get(f"/v1/{SECRET}")

    lines = [line for line in log.lines() if line["event"] == "request"]
    assert [(line["status"], line["route"]) for line in lines] == [
        (401, "/v1/orders/{order_no}"),
        (401, "/v1/orders/{order_no}"),
        (401, "unmatched"),
    ]
    assert SECRET not in log.text()


@pytest.mark.parametrize(
    ("client", "logged"),
    [(("192.0.2.7", 50000), "192.0.2.7"), (("garbage", 0), ""), (None, "")],
)
async def test_the_address_of_the_client_is_logged(
    client: tuple[str, int] | None, logged: str
) -> None:
    async def send(_: Message) -> None:
        return

    async def receive() -> Message:
        return {"type": "http.request"}

    with logging_to() as log:
        await AccessLog(RecordingApp(), ManualClock())(
            {**_scope(), "client": client}, receive, send
        )

    (line,) = log.lines()
    assert line["client"] == logged


async def test_the_log_line_has_what_the_layers_recorded() -> None:
    clock = ManualClock()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        context.route = "/v1/orders"
        context.caller = Caller("dashboard", "key", frozenset(), ("key", "dashboard"))
        context.cache_outcome, context.freshness, context.age = "miss", "fresh", 0
        context.waited_seconds = 0.25
        context.upstream_request_ids = ("up-1", "up-2")
        await clock.advance(0.5)
        await RecordingApp()(scope, receive, send)

    with logging_to(clock=clock) as log:
        await request(app, clock=clock, headers={"X-Request-Id": "caller-0001"})

    assert log.lines() == [
        {
            "time": "2026-11-23T12:00:00.500Z",
            "level": "info",
            "event": "request",
            "request_id": "caller-0001",
            "caller": "dashboard",
            "client": "127.0.0.1",
            "method": "GET",
            "route": "/v1/orders",
            "status": 200,
            "duration_ms": 500.0,
            "cache": "miss",
            "freshness": "fresh",
            "age": 0,
            "waited_ms": 250.0,
            "upstream_request_ids": ["up-1", "up-2"],
        }
    ]


async def test_the_number_of_upstream_request_ids_in_a_line_is_limited() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).upstream_request_ids = tuple(f"up-{n}" for n in range(200))
        await RecordingApp()(scope, receive, send)

    with logging_to() as log:
        await request(app)

    assert len(log.lines()[0]["upstream_request_ids"]) == 10
    assert log.lines()[0]["upstream_responses"] == 200


async def test_nothing_is_logged_above_the_level_info() -> None:
    with logging_to(level="warning") as log:
        await request(RecordingApp())

    assert log.text() == ""


async def test_a_request_is_counted_at_any_log_level_and_with_its_route() -> None:
    clock, metrics = ManualClock(), HttpMetrics()
    api = FastAPI()

    @api.get("/v1/orders/{order_no}")
    async def order(order_no: str) -> str:
        await clock.advance(0.5)
        return order_no

    transport = httpx.ASGITransport(AccessLog(api, clock, (), RequestRecorder(clock, metrics)))
    with logging_to(level="warning"):
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get(f"/v1/orders/{SECRET}")
            await client.request(SECRET, f"/{SECRET}")

    counted = {key: duration.total for key, duration in metrics.series()}
    assert counted == {
        ("/v1/orders/{order_no}", "GET", 200, "none"): 0.5,
        ("unmatched", "other", 404, "none"): 0.0,
    }


async def test_a_request_whose_application_fails_is_counted() -> None:
    metrics = HttpMetrics()
    clock = ManualClock()
    access_log = AccessLog(failing(RuntimeError), clock, (), RequestRecorder(clock, metrics))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(access_log), base_url="http://localhost"
    ) as client:
        with pytest.raises(RuntimeError):
            await client.get("/v1/orders")

    assert [key for key, _ in metrics.series()] == [("unmatched", "GET", 0, "none")]


async def test_the_message_of_the_application_is_not_modified() -> None:
    message: Message = {"type": "http.response.start", "status": 200, "headers": []}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send(message)
        await send({"type": "http.response.body", "body": b""})

    response: httpx.Response = await request(app)

    assert response.headers["x-request-id"]
    assert message["headers"] == []


def _scope() -> Scope:
    return {"type": "http", "method": "GET", "path": "/v1/orders", "headers": []}
