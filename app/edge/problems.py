"""What is said when something goes wrong, one way for every error. Knows no exception."""

import json
from dataclasses import KW_ONLY, dataclass

from starlette.responses import Response
from starlette.types import Scope, Send

from app.edge.context import context_of
from app.edge.problem_types import PROBLEM_TYPES, ProblemType

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class InvalidParameter:
    """One fault of one parameter. `value` is absent where the parameter is not one of ours."""

    parameter: str
    message: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class UpstreamDetails:
    """What the upstream said, without its words."""

    status_code: int | None = None
    api_code: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as its caller gets it.

    Attributes:
        code: one of `PROBLEM_KINDS`.
        retry_after: seconds.
        progress: orders loaded, orders in total; for `list_loading`.
    """

    code: str
    detail: str
    _: KW_ONLY
    retry_after: int | None = None
    errors: tuple[InvalidParameter, ...] = ()
    upstream: UpstreamDetails | None = None
    progress: tuple[int, int] | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def type(self) -> ProblemType:
        """What all problems of this code share."""
        return PROBLEM_TYPES[self.code]


def problem_response(scope: Scope, problem: Problem) -> Response:
    """The answer that tells `problem`; notes its code in the exchange."""
    context = context_of(scope)
    context.problem = problem.code
    if problem.upstream is not None and problem.upstream.request_id is not None:
        context.upstream_request_ids = (problem.upstream.request_id,)
    return Response(
        body_of(problem, context.request_id),
        status_code=problem.type.status,
        headers=headers_of(problem),
        media_type=MEDIA_TYPE,
    )


async def send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    """Answer with `problem`, for layers in front of the framework."""
    response = problem_response(scope, problem)
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "http.response.body", "body": response.body})


def headers_of(problem: Problem) -> dict[str, str]:
    """The headers that go with `problem`, its own last."""
    headers = {"Cache-Control": "no-store"}
    if problem.type.retryable:
        headers["Retry-After"] = str(max(1, problem.retry_after or 0))
    if problem.upstream is not None and problem.upstream.request_id is not None:
        headers["X-Upstream-Request-Id"] = problem.upstream.request_id
    return headers | dict(problem.headers)


def body_of(problem: Problem, request_id: str) -> bytes:
    """The body of `problem`, RFC 9457; what is not known is left out."""
    kind = problem.type
    page = f"/problems/{problem.code}"
    body: dict[str, object] = {
        "type": page,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": f"{page}#{request_id}",
        "code": problem.code,
        "request_id": request_id,
        "retryable": kind.retryable,
    }
    if problem.errors:
        body["errors"] = [
            _known(parameter=fault.parameter, message=fault.message, value=fault.value)
            for fault in problem.errors
        ]
    if problem.upstream is not None:
        body["upstream"] = _known(
            status_code=problem.upstream.status_code,
            api_code=problem.upstream.api_code,
            request_id=problem.upstream.request_id,
        )
    if problem.progress is not None:
        loaded, total = problem.progress
        body["progress"] = {"loaded": loaded, "total": total}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _known(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}
