"""Every error that rises out of a route becomes a problem here. Knows no resource."""

from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.edge.auth import Forbidden
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import InvalidParameter, Problem, UpstreamDetails, problem_response
from app.edge.query_params import MAX_ECHO_CHARS, InvalidRequest
from app.upstream.errors import UpstreamError

_CODE_OF_STATUS = {
    kind.status: code
    for code, kind in reversed(tuple(PROBLEM_TYPES.items()))
    if not code.startswith(("upstream_", "collection_", "not_in_"))
}
"""What the framework's bare status means; where two codes share one, the first in the table."""


def install_exception_handlers(api: FastAPI, table: Mapping[type[Exception], str]) -> None:
    """Make a problem of every error of every route of `api`.

    `table` says which code an exception class, and what derives from it, is answered with.
    The framework looks a handler up along the class's bases, so the nearest entry wins.
    """
    handlers: dict[type[Exception], Callable[[Any], Problem]] = {
        **dict.fromkeys(table, lambda error: to_problem(error, table)),
        HTTPException: _of_the_framework,
        RequestValidationError: _of_the_framework_s_validation,
        InvalidRequest: _of_parameters,
        Forbidden: _of_a_missing_scope,
        Exception: _of_anything_else,
    }
    for kind, problem in handlers.items():
        api.add_exception_handler(kind, _answering(problem))


def problem_code(error: BaseException, table: Mapping[type[Exception], str]) -> str:
    """The code of `error`: that of the nearest of its bases in `table`."""
    bases = (base for base in type(error).__mro__ if base in table)
    return next((table[base] for base in bases), "internal_error")


def to_problem(error: Exception, table: Mapping[type[Exception], str]) -> Problem:
    """The problem that tells `error` in our own words, never in the upstream's.

    An error may have `progress`, and `retry_after` in seconds.
    """
    code = problem_code(error, table)
    detail = PROBLEM_TYPES[code].detail
    if not isinstance(error, UpstreamError):
        return Problem(
            code,
            detail,
            retry_after=ceil(getattr(error, "retry_after", 0)),
            progress=getattr(error, "progress", None),
        )
    facts = UpstreamDetails(error.status_code, error.api_code, error.request_id)
    return Problem(
        code,
        detail,
        retry_after=None if error.retry_after is None else ceil(error.retry_after),
        upstream=None if facts == UpstreamDetails() else facts,
    )


def _answering(
    problem: Callable[[Any], Problem],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(request.scope, problem(error))

    return answer


def _of_the_framework(error: HTTPException) -> Problem:
    fallback = "bad_request" if error.status_code < 500 else "internal_error"
    code = _CODE_OF_STATUS.get(error.status_code, fallback)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        methods = {method.strip() for method in headers["Allow"].split(",")}
        headers["Allow"] = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    return Problem(code, PROBLEM_TYPES[code].detail, headers=tuple(headers.items()))


def _of_the_framework_s_validation(error: RequestValidationError) -> Problem:
    faults = (
        InvalidParameter(str(fault["loc"][-1])[:MAX_ECHO_CHARS], fault["msg"])
        for fault in error.errors()
    )
    return _invalid(tuple(faults))


def _of_parameters(error: InvalidRequest) -> Problem:
    return _invalid(error.errors)


def _of_a_missing_scope(error: Forbidden) -> Problem:
    detail = f"This needs the scope `{error}`. `GET /v1/me` tells which scopes you have."
    return Problem("forbidden", detail)


def _invalid(errors: tuple[InvalidParameter, ...]) -> Problem:
    return Problem("invalid_request", PROBLEM_TYPES["invalid_request"].detail, errors=errors)


def _of_anything_else(_: Exception) -> Problem:
    return Problem("internal_error", PROBLEM_TYPES["internal_error"].detail)
