"""Turns every exception of a route into a problem."""

from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.edge import schema
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import Problem, problem_response
from app.edge.query_params import invalid_parameters
from app.edge.scopes import Forbidden
from app.upstream.errors import UpstreamError

_CODES_BY_STATUS = {
    problem_type.status: code
    for code, problem_type in reversed(tuple(PROBLEM_TYPES.items()))
    if not code.startswith(("upstream_", "list_", "not_in_"))
}
"""The codes for errors of the framework, which have a status only: the first in the table."""


def install_exception_handlers(
    api: Starlette, problem_codes: Mapping[type[Exception], str]
) -> None:
    """Answer every exception of every route of `api` with a problem.

    Starlette looks handlers up along the bases of a class, so the nearest entry of `problem_codes`
    applies.
    """
    problems: dict[type[Exception], Callable[[Any], Problem]] = {
        **dict.fromkeys(problem_codes, lambda error: to_problem(error, problem_codes)),
        HTTPException: _from_http_exception,
        RequestValidationError: _from_validation_error,
        Forbidden: _from_forbidden,
        Exception: lambda _: Problem("internal_error"),
    }
    for error_type, make_problem in problems.items():
        api.add_exception_handler(error_type, _handler(make_problem))


def problem_code(error: BaseException, problem_codes: Mapping[type[Exception], str]) -> str:
    """Return the problem code of `error`: that of the nearest of its bases in `problem_codes`."""
    bases = (base for base in type(error).__mro__ if base in problem_codes)
    return next((problem_codes[base] for base in bases), "internal_error")


def to_problem(error: Exception, problem_codes: Mapping[type[Exception], str]) -> Problem:
    """Return the problem for `error`, in our own words, never in the upstream's.

    An error may have `retry_after` in seconds, `progress`, the orders loaded and in total, and
    `detail`, what happened in our own words.
    """
    retry_after = getattr(error, "retry_after", None)
    progress = getattr(error, "progress", None)
    upstream = {
        name: value
        for name in ("status_code", "api_code", "request_id")
        if isinstance(error, UpstreamError) and (value := getattr(error, name)) is not None
    }
    return Problem(
        problem_code(error, problem_codes),
        detail=getattr(error, "detail", ""),
        retry_after=None if retry_after is None else ceil(retry_after),
        upstream=cast("schema.UpstreamError", upstream),
        progress=progress and schema.Progress(loaded=progress[0], total=progress[1]),
    )


def _handler(
    make_problem: Callable[[Any], Problem],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        return problem_response(request.scope, make_problem(error))

    return handle


def _from_http_exception(error: HTTPException) -> Problem:
    default = "bad_request" if error.status_code < 500 else "internal_error"
    headers = dict(error.headers or {})
    if "Allow" in headers:
        methods = {method.strip() for method in headers["Allow"].split(",")}
        headers["Allow"] = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    code = _CODES_BY_STATUS.get(error.status_code, default)
    return Problem(code, headers=tuple(headers.items()))


def _from_validation_error(error: RequestValidationError) -> Problem:
    return Problem("invalid_request", errors=invalid_parameters(error.errors()))


def _from_forbidden(error: Forbidden) -> Problem:
    detail = (
        f"This request requires the scope `{error}`. `GET /v1/me` lists your scopes; the operator"
        " of this server can grant others."
    )
    return Problem("forbidden", detail=detail)
