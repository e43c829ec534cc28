"""Middleware that rejects requests for another host, and ambiguous request heads."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.context import context_of
from app.edge.problems import Problem, problem_response

_LOOPBACK = re.compile(
    rb"(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?",
    re.IGNORECASE,
)
_HOST = re.compile(
    rb"(?:[a-z0-9._~!$&'()*+,;=%-]*|\[[0-9a-f:.]+\])(?::[0-9]*)?",
    re.IGNORECASE,
)
"""RFC 3986 section 3.2.2, without IPvFuture addresses."""


class HostCheck:
    """Rejects requests that are not meant for this server.

    A server on loopback accepts only loopback host names: otherwise a page on the web could point a
    name of its own at 127.0.0.1 and read the responses (DNS rebinding).

    `extra_host` is one more accepted value of `Host`, that of the public URL.
    """

    def __init__(self, app: ASGIApp, *, loopback: bool, extra_host: str = "") -> None:
        self._app = app
        self._loopback = loopback
        self._extra_host = extra_host.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        code = self._reject_code(scope) if scope["type"] == "http" else ""
        if not code:
            await self._app(scope, receive, send)
            return
        # After a malformed head the rest of the connection cannot be trusted either.
        headers = (("Connection", "close"),) if code == "bad_request" else ()
        response = problem_response(scope, Problem(code, headers=headers))
        await response(scope, receive, send)

    def _reject_code(self, scope: Scope) -> str:
        """Return the problem code for a request to reject, or an empty text."""
        headers = context_of(scope).headers
        if code := self._host_reject_code(scope, headers):
            return code
        # Only chunked is supported, and HTTP/1.0 has no transfer codings (RFC 9112 section 6.1).
        coding = headers.get(b"transfer-encoding")
        if coding and (coding.lower() != b"chunked" or scope["http_version"] == "1.0"):
            return "bad_request"
        # A proxy in front may take an escaped slash for a separator, and apply another rule.
        has_escaped_slash = b"%" in scope["raw_path"] and b"%2f" in scope["raw_path"].lower()
        return "not_found" if has_escaped_slash else ""

    def _host_reject_code(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """Check `Host`: exactly one and valid, optional before HTTP/1.1 (RFC 9112 section 3.2)."""
        version = scope["http_version"]
        if version not in ("1.1", "1.0"):
            return "bad_request"
        host = headers.get(b"host")
        if host is None:
            return "bad_request" if version == "1.1" else ""
        has_repeated_header = len(headers) != len(scope["headers"])
        if has_repeated_header and sum(name == b"host" for name, _ in scope["headers"]) > 1:
            return "bad_request"
        if self._is_allowed(host):
            return ""
        is_other_host = self._loopback and _HOST.fullmatch(host)
        return "misdirected_request" if is_other_host else "bad_request"

    def _is_allowed(self, host: bytes) -> bool:
        """Return whether a request with this `Host` is meant for this server."""
        if not self._loopback:
            return _HOST.fullmatch(host) is not None
        return _LOOPBACK.fullmatch(host) is not None or host.lower() == self._extra_host != b""
