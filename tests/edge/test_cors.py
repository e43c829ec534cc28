"""Which pages of other origins may call the API from a browser."""

import asyncio

import httpx
import pytest
from starlette.types import ASGIApp

from app.edge.auth import Authentication, CredentialGeneration
from app.edge.cors import CorsHeaders, Preflight
from app.edge.host_check import HostCheck
from app.edge.request_rules import RequestRules
from app.edge.unhandled_errors import UnhandledErrors
from tests.edge.asgi_harness import (
    NO_CREDENTIALS,
    RecordingApp,
    failing,
    logging_to,
    request,
)

PAGE = "https://dashboard.example"
OTHER = "https://other.example"


def cors(
    app: RecordingApp,
    *,
    api_keys: bool = False,
    origins: tuple[str, ...] = (PAGE,),
    login: bool = False,
) -> ASGIApp:
    """Return the middleware in the order of main."""
    authentication = Authentication(app, NO_CREDENTIALS, CredentialGeneration())
    rules = [
        CorsHeaders(origins=origins, credentials=login).add,
        HostCheck(loopback=True).check,
        Preflight(origins=origins, api_keys=api_keys, credentials=login).answer,
    ]
    return UnhandledErrors(RequestRules(authentication, rules))


async def preflight(app: ASGIApp, origin: str = PAGE, **requested: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    headers |= {
        f"Access-Control-Request-{name.title()}": value for name, value in requested.items()
    }
    return await request(app, method="OPTIONS", headers=headers)


async def test_a_preflight_is_answered_without_a_key() -> None:
    app = RecordingApp()

    names = "cache-control, if-none-match, x-csrf, x-request-id"
    response = await preflight(cors(app), headers=names, method="POST")

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert len(response.headers.get_list("vary")) == 1
    assert app.contexts == []


@pytest.mark.parametrize("requested", [{"method": "PUT"}, {"origin": OTHER}])
async def test_another_method_or_origin_is_refused(requested: dict[str, str]) -> None:
    response = await preflight(cors(RecordingApp()), **requested)

    assert response.status_code == 400
    assert OTHER not in response.text


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_a_page_may_send_a_key_only_if_the_operator_allows_it(header: str) -> None:
    refused = await preflight(cors(RecordingApp()), headers=header)
    allowed = await preflight(cors(RecordingApp(), api_keys=True), headers=header)

    assert (refused.status_code, allowed.status_code) == (400, 200)


async def test_of_two_origins_the_last_one_counts_in_every_rule() -> None:
    app = cors(RecordingApp())
    for origins, allowed in (((PAGE, OTHER), None), ((OTHER, PAGE), PAGE)):
        lines = [("Origin", origin) for origin in origins]
        for method, more in (
            ("GET", []),
            ("OPTIONS", [("Access-Control-Request-Method", "GET")]),
        ):
            response = await request(app, method=method, headers=lines + more)
            assert response.headers.get("access-control-allow-origin") == allowed, (method, origins)


async def test_the_log_names_the_headers_that_a_preflight_is_refused_for() -> None:
    with logging_to() as log:
        await preflight(cors(RecordingApp()), headers="if-none-match, X-API-Key,authorization,")
        await preflight(cors(RecordingApp()), headers="if-none-match")

    (line,) = [line for line in log.lines() if line["event"] == "preflight_refused"]
    assert line["reason"] == "Disallowed CORS headers"
    assert line["headers"] == "authorization, x-api-key"


async def test_without_configured_origins_a_preflight_is_refused() -> None:
    app = RecordingApp()

    response = await preflight(cors(app, origins=()))

    assert response.status_code == 400
    assert app.contexts == []


async def test_a_page_can_read_why_its_request_was_rejected() -> None:
    response = await request(cors(RecordingApp()), headers={"Origin": PAGE})

    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == PAGE
    exposed = set(response.headers["access-control-expose-headers"].split(", "))
    assert exposed >= {"X-Request-Id", "Vary", "X-Upstream-Request-Id", "ETag", "Age"}
    assert exposed >= {"Cache-Control", "X-Total-Count", "X-Freshness", "Link", "Cache-Status"}
    assert exposed >= {"Retry-After", "X-Sandbox"}


@pytest.mark.parametrize(("host", "status"), [("other.example", 421), ("a b", 400)])
async def test_a_page_can_read_why_a_request_was_rejected_before_authentication(
    host: str, status: int
) -> None:
    response = await request(cors(RecordingApp()), headers={"Origin": PAGE, "Host": host})

    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == PAGE
    assert len(response.headers.get_list("vary")) == 1


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
async def test_a_page_can_read_the_problem_of_an_unhandled_error(
    error: type[BaseException],
) -> None:
    app = UnhandledErrors(RequestRules(failing(error), [CorsHeaders(origins=[PAGE]).add]))
    response = await request(app, headers={"Origin": PAGE})

    assert response.status_code in (500, 503)
    assert response.headers["access-control-allow-origin"] == PAGE


async def test_a_preflight_with_an_invalid_host_is_a_bad_request() -> None:
    headers = {"Host": "a b", "Origin": PAGE, "Access-Control-Request-Method": "GET"}

    response = await request(cors(RecordingApp()), method="OPTIONS", headers=headers)

    assert (response.status_code, response.headers["connection"]) == (400, "close")


async def test_a_page_may_send_the_headers_of_tracing_sdks() -> None:
    names = "baggage,sentry-trace,traceparent,tracestate"

    assert (await preflight(cors(RecordingApp()), headers=names)).status_code == 200


async def test_a_page_of_another_origin_cannot_read_the_response() -> None:
    response = await request(cors(RecordingApp()), headers={"Origin": OTHER})

    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": PAGE}, {"Access-Control-Request-Method": "GET"}]
)
async def test_options_without_origin_and_method_is_not_a_preflight(
    headers: dict[str, str],
) -> None:
    response = await request(cors(RecordingApp()), method="OPTIONS", headers=headers)

    assert response.status_code == 401
    assert ("access-control-allow-origin" in response.headers) is ("Origin" in headers)


@pytest.mark.parametrize("origin", [PAGE, OTHER])
@pytest.mark.parametrize("login", [False, True])
async def test_only_listed_pages_may_use_sessions_and_only_where_people_can_sign_in(
    origin: str, login: bool
) -> None:
    app = cors(RecordingApp(), login=login)
    responses = [await request(app, headers={"Origin": origin}), await preflight(app, origin)]

    allowed = [
        response.headers.get("access-control-allow-credentials") == "true" for response in responses
    ]
    assert allowed == [login and origin == PAGE] * 2
