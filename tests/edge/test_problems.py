"""Every error is a problem of one format, without internal details."""

import json

import pytest
from fastapi import Security
from starlette.exceptions import HTTPException

from app.edge import schema
from app.edge.context import Caller
from app.edge.exception_handlers import install_exception_handlers, problem_code
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import Problem, problem_response
from app.edge.scopes import require_scopes
from app.upstream.errors import (
    OrderNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamNotFound,
    UpstreamThrottled,
    UpstreamTimeout,
)
from tests.support.api_harness import REQUEST_ID, ApiHarness, bare_api

PROBLEM_CODES: dict[type[Exception], str] = {
    UpstreamNotFound: "order_not_found",
    UpstreamThrottled: "upstream_throttled",
    UpstreamFailed: "upstream_failed",
    UpstreamTimeout: "upstream_timeout",
    KeyError: "not_in_cache",
}


def failing_with(error: Exception) -> ApiHarness:
    api = bare_api()
    install_exception_handlers(api, PROBLEM_CODES)

    @api.get("/v1/fails")
    async def fails() -> None:
        raise error

    return ApiHarness(api)


async def test_a_problem_has_the_members_of_rfc_9457_and_our_own() -> None:
    response = await failing_with(UpstreamTimeout("no response")).request("/v1/fails")

    assert response.status_code == 504
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "type": "/problems/upstream_timeout",
        "title": "Upstream timed out",
        "status": 504,
        "detail": "The upstream did not respond in time.",
        "instance": f"/problems/upstream_timeout#{REQUEST_ID}",
        "code": "upstream_timeout",
        "request_id": REQUEST_ID,
        "retryable": True,
        "retry_after": 1,
        "owner": "upstream",
    }
    assert list(response.json()) == [
        *("type", "title", "status", "detail", "instance"),
        *("code", "request_id", "retryable", "retry_after", "owner"),
    ]


async def test_the_upstream_s_codes_are_included_but_never_its_message() -> None:
    error = UpstreamFailed(
        "our reason",
        status_code=500,
        api_code=1000,
        request_id="upstream-1",
        message="SELECT * FROM orders",
    )
    api = failing_with(error)
    response = await api.request("/v1/fails")

    assert response.json()["upstream"] == {
        "status_code": 500,
        "api_code": 1000,
        "request_id": "upstream-1",
    }
    assert response.headers["x-upstream-request-id"] == "upstream-1"
    assert "SELECT" not in response.text
    assert "our reason" not in response.text
    assert api.contexts[0].upstream_request_ids == ("upstream-1",)


async def test_unknown_details_of_the_upstream_are_omitted() -> None:
    response = await failing_with(UpstreamFailed("", status_code=503)).request("/v1/fails")

    assert response.json()["upstream"] == {"status_code": 503}
    assert "x-upstream-request-id" not in response.headers


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(None, "1"), (0.0, "1"), (7.0, "7"), (2.1, "3"), (-4.0, "1")]
)
async def test_a_retryable_problem_has_retry_after(
    retry_after: float | None, expected: str
) -> None:
    response = await failing_with(UpstreamThrottled("", retry_after=retry_after)).request(
        "/v1/fails"
    )

    assert response.headers["retry-after"] == expected
    assert response.json()["retry_after"] == int(expected)


async def test_a_problem_that_is_not_retryable_has_no_retry_after() -> None:
    response = await failing_with(OrderNotFound("", retry_after=9.0)).request("/v1/fails")

    assert response.status_code == 404
    assert response.json()["retryable"] is False
    assert "retry-after" not in response.headers
    assert "retry_after" not in response.json()


def test_an_error_has_the_code_of_its_nearest_base_class() -> None:
    table = PROBLEM_CODES | {UpstreamError: "upstream_rejected"}

    assert problem_code(OrderNotFound(""), table) == "order_not_found"
    assert problem_code(UpstreamError(""), table) == "upstream_rejected"
    assert problem_code(ValueError(), table) == "internal_error"


async def test_an_error_of_the_proxy_itself_has_no_upstream_details() -> None:
    response = await failing_with(KeyError("secret key")).request("/v1/fails")

    assert response.json()["code"] == "not_in_cache"
    assert "upstream" not in response.json()
    assert "secret" not in response.text


async def test_an_unexpected_error_shows_no_details() -> None:
    api = failing_with(RuntimeError("the password is hunter2"))
    response = await api.request("/v1/fails")

    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "hunter2" not in response.text
    assert api.contexts[0].problem == "internal_error"


async def test_the_progress_of_loading_is_included() -> None:
    error = KeyError()
    error.progress = (350, 1000)  # type: ignore[attr-defined]
    response = await failing_with(error).request("/v1/fails")

    assert response.json()["progress"] == {"loaded": 350, "total": 1000}


async def test_the_missing_scope_is_named() -> None:
    api = failing_with(ValueError())
    api.caller = Caller("shop", "key", frozenset({"payments:read"}), ("key", "shop"))

    @api.api.get("/v1/guarded", dependencies=[Security(require_scopes, scopes=["orders:read"])])
    async def guarded() -> None: ...

    response = await api.request("/v1/guarded")

    assert response.status_code == 403
    assert response.json()["code"] == "forbidden"
    assert "`orders:read`" in response.json()["detail"]


async def test_an_unknown_path_is_a_problem() -> None:
    response = await failing_with(ValueError()).request("/v1/nowhere")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


async def test_a_method_that_is_not_allowed_gets_the_allowed_ones_head_included() -> None:
    response = await failing_with(ValueError()).request("/v1/fails", "DELETE")

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert response.headers["allow"] == "GET, HEAD"


async def test_a_route_without_get_does_not_allow_head() -> None:
    api = failing_with(ValueError())

    @api.api.post("/v1/purge")
    async def purge() -> None: ...

    response = await api.request("/v1/purge")

    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (406, "bad_request"),
        (413, "request_too_large"),
        (418, "bad_request"),
        (429, "rate_limited"),
        (501, "internal_error"),
        (503, "overloaded"),
    ],
)
async def test_errors_of_the_framework_are_problems(status: int, code: str) -> None:
    response = await failing_with(HTTPException(status, "its own words")).request("/v1/fails")

    assert response.json()["code"] == code
    assert response.status_code == PROBLEM_TYPES[code].status
    assert "its own words" not in response.text


async def test_a_validation_error_of_fastapi_is_an_invalid_request() -> None:
    api = failing_with(ValueError())

    @api.api.get("/v1/numbers/{number}")
    async def number(number: int) -> int:
        return number

    response = await api.request("/v1/numbers/x")

    assert response.json()["code"] == "invalid_request"
    assert response.json()["errors"][0]["parameter"] == "number"
    assert (await api.request("/v1/numbers/7")).json() == 7


async def test_a_problem_has_its_own_headers_and_the_id_of_the_upstream() -> None:
    api = failing_with(ValueError())
    await api.request("/v1/nowhere")
    details = schema.UpstreamError(request_id="upstream-2")
    challenge = ("WWW-Authenticate", "Bearer")
    problem = Problem("unauthenticated", detail="Who?", headers=(challenge,), upstream=details)

    response = problem_response({"context": api.contexts[0]}, problem)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-upstream-request-id"] == "upstream-2"
    assert json.loads(bytes(response.body))["detail"] == "Who?"


@pytest.mark.parametrize("code", PROBLEM_TYPES)
def test_every_problem_has_advice_for_caller_and_operator(code: str) -> None:
    problem_type = PROBLEM_TYPES[code]

    assert 400 <= problem_type.status < 600
    assert problem_type.owner in schema.OWNERS
    assert problem_type.owner == "caller" or problem_type.status >= 500
    for text in (
        problem_type.detail,
        problem_type.meaning,
        problem_type.caller,
        problem_type.operator,
    ):
        assert text.endswith(".")
    assert ("Retry-After" in problem_type.caller) == problem_type.retryable
    assert not problem_type.title.endswith(".")
