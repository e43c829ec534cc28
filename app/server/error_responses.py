"""Problem responses to requests that never reach the application."""

import logging

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app import request_id
from app.edge.access_log import VARY, RawHeaders, is_api_path
from app.edge.problems import MEDIA_TYPE, Problem, problem_body, problem_headers

_logger = logging.getLogger("orders_bff.server")


def error_response(code: str) -> Response:
    """Return the response for the problem `code`, with `Connection: close`.

    Logs the request as well, because the access log does not see it.
    """
    problem = Problem(code)
    own_id = request_id.adopt_or_mint(None)
    status = problem.type.status
    fields = {"request_id": own_id, "route": "unmatched", "status": status, "problem": code}
    _logger.info("request", extra={"fields": fields})
    headers = {**problem_headers(problem), "Connection": "close", "X-Request-Id": own_id}
    return Response(problem_body(problem, own_id), status, headers, MEDIA_TYPE)


def serialize_error(code: str, default_headers: RawHeaders, *, is_head: bool) -> bytes:
    """Return the response for the problem `code` as HTTP/1.1, without its body if `is_head`."""
    response = error_response(code)
    headers = [*default_headers, *response.raw_headers]
    lines = (name + b": " + value + b"\r\n" for name, value in headers)
    body = b"" if is_head else bytes(response.body)
    return b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", body])


async def overloaded_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the problem `overloaded`; the application of a connection over the limit."""
    response = error_response("overloaded")
    if is_api_path(scope["path"]):
        response.raw_headers.append(VARY)
    await response(scope, receive, send)
