"""Refuse requests that were meant for another host, or that are too large to be a question."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.exchange import Exchange, exchange_of
from app.edge.problem_kinds import PROBLEM_KINDS
from app.edge.problems import Problem, send_problem

LONGEST_TARGET = 8 * 1024
LARGEST_HEADERS = 64 * 1024
LARGEST_BODY = 64 * 1024

_LOOPBACK = re.compile(
    rb"(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?",
    re.IGNORECASE,
)


class Hosts:
    """Bound to loopback, only loopback's names lead here: a page elsewhere cannot rebind its own.

    Args:
        app: what stands behind.
        loopback: whether we are bound to loopback.
        also: one more host that leads here, as callers see it.
    """

    def __init__(self, app: ASGIApp, *, loopback: bool, also: str = "") -> None:
        self._app = app
        self._loopback = loopback
        self._also = also.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        code = self._refusal(scope, exchange_of(scope)) if scope["type"] == "http" else ""
        if code:
            # What still comes in of a body that is too large is not worth reading.
            close = (("Connection", "close"),) if code == "request_too_large" else ()
            problem = Problem(code, PROBLEM_KINDS[code].detail, headers=close)
            await send_problem(scope, send, problem)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, exchange: Exchange) -> str:
        headers = exchange.headers
        if self._loopback:
            host = headers.get(b"host", b"")
            if not _LOOPBACK.fullmatch(host) and (not host or host.lower() != self._also):
                return "misdirected_request"
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
            return "uri_too_long"
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
            return "headers_too_large"
        length = headers.get(b"content-length")
        # No question has a body: a small one is ignored.
        return "request_too_large" if length is not None and _is_large(length) else ""


def _is_large(length: bytes) -> bool:
    digits = length.lstrip(b"0") or b"0"
    return not digits.isdigit() or len(digits) > 9 or int(digits) > LARGEST_BODY
