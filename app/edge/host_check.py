"""Refuse requests that were meant for another host, or whose head is no question of ours."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.context import RequestContext, context_of
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import Problem, send_problem

_LOOPBACK = re.compile(
    rb"(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?",
    re.IGNORECASE,
)
_HOST = re.compile(
    rb"(?:[a-z0-9._~!$&'()*+,;=%-]*|\[[0-9a-f:.]+\])(?::[0-9]*)?",
    re.IGNORECASE,
)
"""RFC 3986 section 3.2.2, without addresses of a future version."""


class HostCheck:
    """Bound to loopback, only loopback's names lead here: a page elsewhere cannot rebind its own.

    Args:
        app: what stands behind.
        loopback: whether we are bound to loopback.
        also: one more host that leads here, as callers see it.
    """

    def __init__(self, app: ASGIApp, *, loopback: bool, extra_host: str = "") -> None:
        self._app = app
        self._loopback = loopback
        self._also = extra_host.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        code = self._refusal(scope, context_of(scope)) if scope["type"] == "http" else ""
        if code:
            # Who does not speak HTTP as we do is not listened to any further.
            close = (("Connection", "close"),) if code == "bad_request" else ()
            problem = Problem(code, PROBLEM_TYPES[code].detail, headers=close)
            await send_problem(scope, send, problem)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, context: RequestContext) -> str:
        if code := self._refusal_of_host(scope, context.headers):
            return code
        # Chunked is the one coding that is read here, and HTTP/1.0 has none (RFC 9112 section 6.1).
        coding = context.headers.get(b"transfer-encoding")
        if coding and (coding.lower() != b"chunked" or scope["http_version"] == "1.0"):
            return "bad_request"
        # An escaped slash parts no path for us, nor for a rule of a proxy in front.
        escaped = b"%" in scope["raw_path"] and b"%2f" in scope["raw_path"].lower()
        return "not_found" if escaped else ""

    def _is_allowed(self, host: bytes) -> bool:
        """Return whether a request with this Host is meant for this server."""
        if not self._loopback:
            return _HOST.fullmatch(host) is not None
        return _LOOPBACK.fullmatch(host) is not None or host.lower() == self._also != b""

    def _refusal_of_host(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """RFC 9112 section 3.2: one Host, and a valid one; before HTTP/1.1 there may be none."""
        version = scope["http_version"]
        if version not in ("1.1", "1.0"):
            return "bad_request"
        host = headers.get(b"host")
        if host is None:
            return "bad_request" if version == "1.1" else ""
        repeated = len(headers) != len(scope["headers"])
        if repeated and sum(name == b"host" for name, _ in scope["headers"]) > 1:
            return "bad_request"
        if self._is_allowed(host):
            return ""
        misdirected = self._loopback and _HOST.fullmatch(host)
        return "misdirected_request" if misdirected else "bad_request"
