"""Problems (RFC 9457): the one format of every error response."""

import json
from dataclasses import KW_ONLY, dataclass

from starlette.responses import Response
from starlette.types import Scope, Send

from app.edge.context import context_of
from app.edge.problem_types import PROBLEM_TYPES, ProblemType

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class InvalidParameter:
    """One error of one parameter. `value` is None if the route has no such parameter."""

    parameter: str
    message: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class UpstreamDetails:
    """What the upstream reported, without its message."""

    status_code: int | None = None
    api_code: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of loading the order list, in orders."""

    loaded: int
    total: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as its caller gets it.

    Attributes:
        code: a key of `PROBLEM_TYPES`.
        detail: what happened in this case.
        status: the HTTP status, if it is not that of the problem type.
        retry_after: seconds; at least 1 is sent, and nothing if the problem is not retryable.
        errors: the invalid parameters.
        upstream: what the upstream reported, if it was called.
        progress: for `list_loading`.
        headers: more headers of the response.
    """

    code: str
    detail: str
    _: KW_ONLY
    status: int | None = None
    retry_after: int | None = None
    errors: tuple[InvalidParameter, ...] = ()
    upstream: UpstreamDetails | None = None
    progress: Progress | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def type(self) -> ProblemType:
        """The problem type of the code."""
        return PROBLEM_TYPES[self.code]


def default_problem(code: str, *, headers: tuple[tuple[str, str], ...] = ()) -> Problem:
    """Return a problem with the default detail of its type."""
    return Problem(code, PROBLEM_TYPES[code].detail, headers=headers)


def problem_response(scope: Scope, problem: Problem) -> Response:
    """Return the response for `problem`, and record its code in the request context."""
    context = context_of(scope)
    context.problem = problem.code
    if problem.upstream is not None and problem.upstream.request_id is not None:
        context.upstream_request_ids = (problem.upstream.request_id,)
    return Response(
        problem_body(problem, context.request_id),
        status_code=problem.status or problem.type.status,
        headers=problem_headers(problem),
        media_type=MEDIA_TYPE,
    )


async def send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    """Send the response for `problem`, from a middleware."""
    response = problem_response(scope, problem)
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "http.response.body", "body": response.body})


def problem_headers(problem: Problem) -> dict[str, str]:
    """Return the headers for `problem`, apart from those that describe the body."""
    headers = {"Cache-Control": "no-store"}
    if problem.type.retryable:
        headers["Retry-After"] = str(max(1, problem.retry_after or 0))
    if problem.upstream is not None and problem.upstream.request_id is not None:
        headers["X-Upstream-Request-Id"] = problem.upstream.request_id
    return headers | dict(problem.headers)


def problem_body(problem: Problem, request_id: str) -> bytes:
    """Return the JSON body for `problem`. Unknown members are omitted."""
    page = f"/problems/{problem.code}"
    body: dict[str, object] = {
        "type": page,
        "title": problem.type.title,
        "status": problem.status or problem.type.status,
        "detail": problem.detail,
        "instance": f"{page}#{request_id}",
        "code": problem.code,
        "request_id": request_id,
        "retryable": problem.type.retryable,
    }
    if problem.errors:
        body["errors"] = [
            _without_none(parameter=error.parameter, message=error.message, value=error.value)
            for error in problem.errors
        ]
    if problem.upstream is not None:
        body["upstream"] = _without_none(
            status_code=problem.upstream.status_code,
            api_code=problem.upstream.api_code,
            request_id=problem.upstream.request_id,
        )
    if problem.progress is not None:
        body["progress"] = {"loaded": problem.progress.loaded, "total": problem.progress.total}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _without_none(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}
