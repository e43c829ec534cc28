"""Problem responses to requests that never reach the application."""

import logging

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app import request_id
from app.edge.access_log import VARY, RawHeaders, is_api_path
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import MEDIA_TYPE, Problem, body_of, headers_of

_logger = logging.getLogger("orders_bff.server")


def error_response(code: str) -> tuple[int, RawHeaders, bytes]:
    """Return status, headers and body of the problem `code`, with `Connection: close`.

    Logs the request as well, because the access log does not see it.
    """
    problem = Problem(code, PROBLEM_TYPES[code].detail)
    own_id = request_id.adopt_or_mint(None)
    body = body_of(problem, own_id)
    headers = headers_of(problem) | {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Request-Id": own_id,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    status = problem.type.status
    fields = {"request_id": own_id, "route": "unmatched", "status": status, "problem": code}
    _logger.info("request", extra={"fields": fields})
    return status, raw, body


def serialize_error(code: str, default_headers: RawHeaders, *, is_head: bool) -> bytes:
    """Return the response for the problem `code` as HTTP/1.1, without its body if `is_head`."""
    status, headers, body = error_response(code)
    lines = (name + b": " + value + b"\r\n" for name, value in [*default_headers, *headers])
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", b"" if is_head else body])


async def overloaded_app(scope: Scope, _receive: Receive, send: Send) -> None:
    """Respond with the problem `overloaded`; the application of a connection over the limit."""
    status, headers, body = error_response("overloaded")
    if is_api_path(scope["path"]):
        headers.append(VARY)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
