"""Problems (RFC 9457): the one format of every error response."""

import json
from dataclasses import KW_ONLY, dataclass

from starlette.responses import Response
from starlette.types import Scope

from app.edge.context import context_of
from app.edge.problem_types import PROBLEM_TYPES, ProblemType
from app.edge.schema import InvalidParameter, Progress, UpstreamError

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as its caller gets it.

    Attributes:
        code: a key of `PROBLEM_TYPES`.
        detail: what happened in this case, if not the default of the problem type.
        status: the HTTP status, if not that of the problem type.
        retry_after: seconds until the caller should try again, if known.
        errors: the invalid parameters.
        upstream: what the upstream reported, if it was called.
        progress: for `list_loading`.
        login: the path at which a person signs in; empty if nobody can.
        headers: more headers of the response.
    """

    code: str
    _: KW_ONLY
    detail: str = ""
    status: int | None = None
    retry_after: int | None = None
    errors: tuple[InvalidParameter, ...] = ()
    upstream: UpstreamError | None = None
    progress: Progress | None = None
    login: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def type(self) -> ProblemType:
        """The problem type of the code."""
        return PROBLEM_TYPES[self.code]

    @property
    def seconds_to_retry(self) -> int | None:
        """The seconds that are sent: at least 1, and None if the problem is not retryable."""
        return max(1, self.retry_after or 0) if self.type.retryable else None

    @property
    def upstream_request_id(self) -> str:
        """The id of the upstream's response, or an empty text."""
        return self.upstream.get("request_id", "") if self.upstream else ""


def problem_response(scope: Scope, problem: Problem) -> Response:
    """Return the response for `problem`, and record its code in the request context."""
    context = context_of(scope)
    context.problem = problem.code
    if upstream_id := problem.upstream_request_id:
        context.upstream_request_ids = (upstream_id,)
    return Response(
        problem_body(problem, context.request_id),
        status_code=problem.status or problem.type.status,
        headers=problem_headers(problem),
        media_type=MEDIA_TYPE,
    )


def problem_headers(problem: Problem) -> dict[str, str]:
    """Return the headers for `problem`, apart from those that describe the body."""
    headers = {"Cache-Control": "no-store"}
    if problem.seconds_to_retry is not None:
        headers["Retry-After"] = str(problem.seconds_to_retry)
    if upstream_id := problem.upstream_request_id:
        headers["X-Upstream-Request-Id"] = upstream_id
    return headers | dict(problem.headers)


def problem_body(problem: Problem, request_id: str) -> bytes:
    """Return the JSON body for `problem`. Unknown members are omitted."""
    page = f"/problems/{problem.code}"
    body: dict[str, object] = {
        "type": page,
        "title": problem.type.title,
        "status": problem.status or problem.type.status,
        "detail": problem.detail or problem.type.detail,
        "instance": f"{page}#{request_id}",
        "code": problem.code,
        "request_id": request_id,
        "retryable": problem.type.retryable,
    }
    extensions = {
        "retry_after": problem.seconds_to_retry,
        "owner": problem.type.owner,
        "errors": problem.errors,
        "upstream": problem.upstream,
        "progress": problem.progress,
        "login": problem.login,
    }
    body |= {name: value for name, value in extensions.items() if value}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
