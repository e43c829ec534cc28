"""Cross-origin requests (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol).

Starlette's middleware, as two: `CorsHeaders` in front of everything that can reject a request, so
that pages can read every problem, and `Preflight` behind the checks of the request itself.
"""

import logging
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.context import context_of
from app.edge.openapi import HEADERS

_logger = logging.getLogger("orders_bff.edge")

TRACING_HEADERS = ("Baggage", "Sentry-Trace", "Traceparent", "Tracestate")
"""Sent by the tracing SDKs of browsers (W3C Trace Context, W3C Baggage, Sentry)."""

ALLOWED_HEADERS = ("Cache-Control", "If-None-Match", "X-Request-Id", *TRACING_HEADERS)
KEY_HEADERS = ("Authorization", "X-API-Key")
"""Headers with a key, allowed only if the operator says so: a key in a page is public."""

EXPOSED_HEADERS = sorted(HEADERS.keys() - {"WWW-Authenticate"})
"""The documented headers of responses, without the one that is for the browser itself."""

MAX_LOGGED_CHARS = 200


class CorsHeaders(CORSMiddleware):
    """Lets pages of `origins` read responses, problems included."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        super().__init__(app, allow_origins=origins, expose_headers=EXPOSED_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_preflight(scope):
            await self.app(scope, receive, send)
        else:
            headers = Headers(scope=scope)
            await self.simple_response(scope, receive, send, request_headers=headers)


class Preflight(CORSMiddleware):
    """Answers preflights of `origins`; `api_keys` says whether pages may send a key."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str], api_keys: bool = False) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD"),
            allow_headers=(*ALLOWED_HEADERS, *(KEY_HEADERS if api_keys else ())),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_preflight(scope):
            response = self.preflight_response(Headers(scope=scope))
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the response; log why one is refused: the browser hides it from the page."""
        response = super().preflight_response(request_headers)
        if response.status_code != 200:
            names = request_headers.get("access-control-request-headers", "").lower().split(",")
            refused = {name.strip() for name in names} - {*self.allow_headers, ""}
            fields = {
                "reason": bytes(response.body).decode(),
                "headers": ", ".join(sorted(refused))[:MAX_LOGGED_CHARS],
            }
            _logger.info("preflight_refused", extra={"fields": fields})
        return response


def _is_preflight(scope: Scope) -> bool:
    headers = context_of(scope).headers
    return (
        scope["method"] == "OPTIONS"
        and b"origin" in headers
        and b"access-control-request-method" in headers
    )
