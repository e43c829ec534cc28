"""The outermost layer: ids, constant headers, the line of each request, and no fault past it."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from app.edge.access_log import AccessLog
from app.edge.context import Caller, context_of
from app.request_id import current
from tests.edge.asgi_harness import Behind, ask, failing, logging_to
from tests.support.clock import ManualClock

VARY = "Accept-Encoding, Authorization, Cookie, Origin, X-API-Key"
SECRET = "obff_canary-5f0c"


async def test_the_caller_s_well_formed_request_id_comes_back() -> None:
    answer = await ask(Behind(), headers={"X-Request-Id": "caller-0001"})

    assert answer.headers["x-request-id"] == "caller-0001"


async def test_an_ill_formed_request_id_is_replaced() -> None:
    answer = await ask(Behind(), headers={"X-Request-Id": "no good"})

    assert answer.headers["x-request-id"] != "no good"


async def test_whoever_works_for_a_request_knows_its_id() -> None:
    seen = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current())
        await Behind()(scope, receive, send)

    await ask(behind, headers={"X-Request-Id": "caller-0001"})

    assert seen == ["caller-0001"]


async def test_an_answer_of_the_api_has_exactly_one_vary() -> None:
    behind = Behind(headers=((b"vary", b"Origin"), (b"etag", b'W/"1"')))

    answer = await ask(behind, "/v1/orders")

    assert answer.headers.get_list("vary") == [VARY]
    assert answer.headers["etag"] == 'W/"1"'


async def test_a_page_keeps_its_own_vary_and_runs_nothing_of_others() -> None:
    answer = await ask(Behind(headers=((b"vary", b"Accept"),)), "/docs")

    assert answer.headers.get_list("vary") == ["Accept"]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' data:;")
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/v1", "/v1/orders", "/", "/v10"])
async def test_every_answer_has_the_security_headers(path: str) -> None:
    answer = await ask(Behind(), path)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert ("vary" in answer.headers) == path.startswith("/v1") & (path != "/v10")


async def test_a_fault_is_a_problem_and_its_message_goes_nowhere() -> None:
    with logging_to() as lines:
        answer = await ask(
            failing(lambda: RuntimeError(SECRET)), headers={"X-Request-Id": "caller-0001"}
        )

    fault, request = lines.facts()
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] == "caller-0001"
    assert fault["event"] == "unhandled_exception"
    assert fault["error"] == "RuntimeError"
    assert fault["request_id"] == "caller-0001"
    assert any(frame.startswith("asgi_harness.py:") for frame in fault["frames"])
    assert request["problem"] == "internal_error"
    assert SECRET not in lines.text() + answer.text


async def test_a_fault_after_the_answer_started_is_logged_and_adds_nothing() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    app = AccessLog(failing(lambda: RuntimeError(SECRET), after_start=True), ManualClock())
    with logging_to() as lines:
        await app(_scope(), receive, send)

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [line["event"] for line in lines.facts()] == ["unhandled_exception", "request"]


async def test_who_is_cancelled_by_the_server_is_told_to_come_again() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    app = AccessLog(failing(asyncio.CancelledError), ManualClock())
    with logging_to() as lines, pytest.raises(asyncio.CancelledError):
        await app(_scope(), receive, send)

    assert sent[0]["status"] == 503
    assert lines.facts()[-1]["problem"] == "overloaded"


async def test_the_line_tells_the_route_and_never_the_path() -> None:
    api = FastAPI()

    @api.get("/v1/orders/{order_no}")
    async def order(order_no: str) -> str:
        return order_no

    with logging_to() as lines:
        await ask(api, f"/v1/orders/{SECRET}?q={SECRET}", headers={"User-Agent": SECRET})
        await ask(api, f"/{SECRET}")

    found, lost = lines.facts()
    assert found["route"] == "/v1/orders/{order_no}"
    assert lost["route"] == "unmatched"
    assert SECRET not in lines.text()


async def test_the_line_tells_what_the_layers_learnt() -> None:
    clock = ManualClock()

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        context.route = "/v1/orders"
        context.caller = Caller("dashboard", "key", frozenset())
        context.outcome, context.freshness, context.age = "miss", "fresh", 0
        context.waited_seconds = 0.25
        context.upstream_request_ids = ("up-1", "up-2")
        await clock.advance(0.5)
        await Behind()(scope, receive, send)

    with logging_to(clock=clock) as lines:
        await ask(behind, clock=clock, headers={"X-Request-Id": "caller-0001"})

    assert lines.facts() == [
        {
            "time": "2026-11-23T12:00:00.500Z",
            "level": "info",
            "event": "request",
            "request_id": "caller-0001",
            "caller": "dashboard",
            "method": "GET",
            "route": "/v1/orders",
            "status": 200,
            "duration_ms": 500.0,
            "outcome": "miss",
            "freshness": "fresh",
            "age": 0,
            "waited_ms": 250.0,
            "upstream_request_ids": ["up-1", "up-2"],
        }
    ]


async def test_an_answer_that_rests_on_many_does_not_fill_the_log() -> None:
    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).upstream_request_ids = tuple(f"up-{n}" for n in range(200))
        await Behind()(scope, receive, send)

    with logging_to() as lines:
        await ask(behind)

    assert len(lines.facts()[0]["upstream_request_ids"]) == 10
    assert lines.facts()[0]["upstream_responses"] == 200


async def test_no_line_is_made_that_nobody_reads() -> None:
    with logging_to(level="warning") as lines:
        await ask(Behind())

    assert lines.text() == ""


async def test_the_lifespan_passes_through() -> None:
    seen = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append(scope["type"])

    async def nothing() -> Message:
        return {}

    async def nowhere(_: Message) -> None:
        return

    await AccessLog(behind, ManualClock())({"type": "lifespan"}, nothing, nowhere)

    assert seen == ["lifespan"]


async def test_an_answer_is_not_changed_for_who_holds_it() -> None:
    held: Message = {"type": "http.response.start", "status": 200, "headers": []}

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send(held)
        await send({"type": "http.response.body", "body": b""})

    answer: httpx.Response = await ask(behind)

    assert answer.headers["x-request-id"]
    assert held["headers"] == []


def _scope() -> Scope:
    return {"type": "http", "method": "GET", "path": "/v1/orders", "headers": []}
