"""Whatever goes wrong, the caller gets a problem of one shape, and nothing that is not theirs."""

import json

import pytest
from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.types import Message

from app.edge.auth import require_scope
from app.edge.context import Caller
from app.edge.exception_handlers import install_exception_handlers, problem_code
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import InvalidParameter, Problem, UpstreamDetails, send_problem
from app.edge.query_params import InvalidRequest
from app.upstream.errors import (
    OrderNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamNotFound,
    UpstreamThrottled,
    UpstreamTimeout,
)
from tests.support.api_harness import REQUEST_ID, ApiHarness, bare_api

TABLE: dict[type[Exception], str] = {
    UpstreamNotFound: "order_not_found",
    UpstreamThrottled: "upstream_throttled",
    UpstreamFailed: "upstream_failed",
    UpstreamTimeout: "upstream_timeout",
    KeyError: "not_in_cache",
}


def failing_with(error: Exception) -> ApiHarness:
    api = bare_api()
    install_exception_handlers(api, TABLE)

    @api.get("/v1/fails")
    async def fails() -> None:
        raise error

    return ApiHarness(api)


async def test_a_problem_has_the_shape_of_rfc_9457_and_our_own_members() -> None:
    answer = await failing_with(UpstreamTimeout("no answer")).request("/v1/fails")

    assert answer.status_code == 504
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "type": "/problems/upstream_timeout",
        "title": "The upstream did not answer in time",
        "status": 504,
        "detail": "The upstream did not answer in time.",
        "instance": f"/problems/upstream_timeout#{REQUEST_ID}",
        "code": "upstream_timeout",
        "request_id": REQUEST_ID,
        "retryable": True,
    }


async def test_the_upstream_s_facts_are_told_but_never_its_words() -> None:
    error = UpstreamFailed(
        "our reason",
        status_code=500,
        api_code=1000,
        request_id="upstream-1",
        message="SELECT * FROM orders",
    )
    doorway = failing_with(error)
    answer = await doorway.request("/v1/fails")

    assert answer.json()["upstream"] == {
        "status_code": 500,
        "api_code": 1000,
        "request_id": "upstream-1",
    }
    assert answer.headers["x-upstream-request-id"] == "upstream-1"
    assert "SELECT" not in answer.text
    assert "our reason" not in answer.text
    assert doorway.contexts[0].upstream_request_ids == ("upstream-1",)


async def test_facts_that_are_not_known_are_left_out() -> None:
    answer = await failing_with(UpstreamFailed("", status_code=503)).request("/v1/fails")

    assert answer.json()["upstream"] == {"status_code": 503}
    assert "x-upstream-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "told"), [(None, "1"), (0.0, "1"), (7.0, "7"), (2.1, "3"), (-4.0, "1")]
)
async def test_a_retryable_problem_says_when_to_come_back(asked: float | None, told: str) -> None:
    answer = await failing_with(UpstreamThrottled("", retry_after=asked)).request("/v1/fails")

    assert answer.headers["retry-after"] == told


async def test_a_problem_that_will_not_pass_says_no_time_to_come_back() -> None:
    answer = await failing_with(OrderNotFound("", retry_after=9.0)).request("/v1/fails")

    assert answer.status_code == 404
    assert answer.json()["retryable"] is False
    assert "retry-after" not in answer.headers


def test_an_error_is_told_as_the_nearest_of_its_bases() -> None:
    table = TABLE | {UpstreamError: "upstream_rejected"}

    assert problem_code(OrderNotFound(""), table) == "order_not_found"
    assert problem_code(UpstreamError(""), table) == "upstream_rejected"
    assert problem_code(ValueError(), table) == "internal_error"


async def test_an_error_of_ours_needs_no_upstream_to_be_told() -> None:
    answer = await failing_with(KeyError("secret key")).request("/v1/fails")

    assert answer.json()["code"] == "not_in_cache"
    assert "upstream" not in answer.json()
    assert "secret" not in answer.text


async def test_a_fault_of_ours_shows_nothing_of_itself() -> None:
    doorway = failing_with(RuntimeError("the password is hunter2"))
    answer = await doorway.request("/v1/fails")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "hunter2" not in answer.text
    assert doorway.contexts[0].problem == "internal_error"


async def test_every_fault_of_the_parameters_is_told_without_what_is_not_known() -> None:
    faults = (InvalidParameter("page", "is empty", ""), InvalidParameter("sort", "is unknown here"))
    answer = await failing_with(InvalidRequest(*faults)).request("/v1/fails")

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"parameter": "page", "message": "is empty", "value": ""},
        {"parameter": "sort", "message": "is unknown here"},
    ]


async def test_a_missing_scope_is_named() -> None:
    doorway = failing_with(ValueError())
    doorway.caller = Caller("shop", "key", frozenset({"payments:read"}))

    @doorway.api.get("/v1/guarded", dependencies=[Depends(require_scope("orders:read"))])
    async def guarded() -> None: ...

    answer = await doorway.request("/v1/guarded")

    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"
    assert "`orders:read`" in answer.json()["detail"]


async def test_a_path_that_is_not_there_is_a_problem() -> None:
    answer = await failing_with(ValueError()).request("/v1/nowhere")

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_a_method_that_is_not_allowed_names_those_that_are_head_included() -> None:
    answer = await failing_with(ValueError()).request("/v1/fails", "DELETE")

    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, HEAD"


async def test_a_route_without_get_does_not_promise_head() -> None:
    doorway = failing_with(ValueError())

    @doorway.api.post("/v1/purge")
    async def purge() -> None: ...

    answer = await doorway.request("/v1/purge")

    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (406, "not_acceptable"),
        (413, "request_too_large"),
        (418, "bad_request"),
        (429, "rate_limited"),
        (501, "internal_error"),
        (503, "overloaded"),
    ],
)
async def test_the_framework_s_own_errors_are_problems(status: int, code: str) -> None:
    answer = await failing_with(HTTPException(status, "its own words")).request("/v1/fails")

    assert answer.json()["code"] == code
    assert answer.status_code == PROBLEM_TYPES[code].status
    assert "its own words" not in answer.text


async def test_the_framework_s_own_validation_is_a_problem_of_parameters() -> None:
    doorway = failing_with(ValueError())

    @doorway.api.get("/v1/numbers/{number}")
    async def number(number: int) -> int:
        return number

    answer = await doorway.request("/v1/numbers/x")

    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["errors"][0]["parameter"] == "number"
    assert (await doorway.request("/v1/numbers/7")).json() == 7


async def test_a_layer_in_front_of_the_framework_answers_in_the_same_shape() -> None:
    doorway = failing_with(ValueError())
    await doorway.request("/v1/nowhere")
    scope = {"type": "http", "context": doorway.contexts[0]}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    challenge = ("WWW-Authenticate", "Bearer")
    facts = UpstreamDetails(request_id="upstream-2")
    problem = Problem("unauthenticated", "Who?", headers=(challenge,), upstream=facts)
    await send_problem(scope, send, problem)

    assert sent[0]["status"] == 401
    assert dict(sent[0]["headers"])[b"www-authenticate"] == b"Bearer"
    assert dict(sent[0]["headers"])[b"x-upstream-request-id"] == b"upstream-2"
    assert json.loads(sent[1]["body"])["detail"] == "Who?"


@pytest.mark.parametrize("code", PROBLEM_TYPES)
def test_every_problem_is_explained_to_caller_and_operator(code: str) -> None:
    kind = PROBLEM_TYPES[code]

    assert 400 <= kind.status < 600
    for text in (kind.detail, kind.meaning, kind.caller, kind.operator):
        assert text.endswith(".")
    assert ("Retry-After" in kind.caller) == kind.retryable
    assert not kind.title.endswith(".")
