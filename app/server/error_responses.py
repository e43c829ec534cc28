"""What the server answers by itself, in our words: to requests that no layer of ours ever saw."""

import logging

from starlette.types import Receive, Scope, Send

from app import request_id
from app.edge.access_log import VARY, RawHeaders, is_api_path
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import MEDIA_TYPE, Problem, body_of, headers_of

_logger = logging.getLogger("orders_bff.server")


def error_response(code: str) -> tuple[int, RawHeaders, bytes]:
    """Status, headers and body of a problem; the connection is closed behind it.

    Writes the line that the access log would: nobody else knows of the request.
    """
    problem = Problem(code, PROBLEM_TYPES[code].detail)
    own = request_id.adopt_or_mint(None)
    body = body_of(problem, own)
    headers = headers_of(problem) | {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Request-Id": own,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    status = problem.type.status
    facts = {"request_id": own, "route": "unmatched", "status": status, "problem": code}
    _logger.info("request", extra={"fields": facts})
    return status, raw, body


async def overloaded_app(scope: Scope, _receive: Receive, send: Send) -> None:
    """In the place of the proxy, for a connection that is one too many."""
    status, headers, body = error_response("overloaded")
    if is_api_path(scope["path"]):
        headers.append(VARY)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
