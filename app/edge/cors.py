"""Cross-origin requests (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol).

Starlette's middleware, as two: `CorsHeaders` in front of everything that can reject a request, so
that pages can read every problem, and `Preflight` behind the checks of the request itself.
"""

import logging
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.context import context_of
from app.edge.openapi import HEADERS

_logger = logging.getLogger("orders_bff.edge")

TRACING_HEADERS = ("Baggage", "Sentry-Trace", "Traceparent", "Tracestate")
"""Sent by the tracing SDKs of browsers (W3C Trace Context, W3C Baggage, Sentry)."""

ALLOWED_HEADERS = ("Cache-Control", "If-None-Match", "X-CSRF", "X-Request-Id", *TRACING_HEADERS)
KEY_HEADERS = ("Authorization", "X-API-Key")
"""Headers with a key, allowed only if the operator says so: a key in a page is public."""

EXPOSED_HEADERS = sorted(HEADERS.keys() - {"WWW-Authenticate"})
"""The documented headers of responses, without the one that is for the browser itself."""

MAX_LOGGED_CHARS = 200


class CorsHeaders(CORSMiddleware):
    """Lets pages of `origins` read responses, problems included.

    `credentials` says whether they may use the session of a person.
    """

    def __init__(
        self, app: ASGIApp, *, origins: Collection[str], credentials: bool = False
    ) -> None:
        super().__init__(app, allow_origins=origins, expose_headers=EXPOSED_HEADERS)
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_preflight(scope):
            await self.app(scope, receive, send)
        else:
            headers = Headers(scope=scope)
            await self.simple_response(scope, receive, send, request_headers=headers)

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Add the headers. Those about credentials are for `origins` only, unlike Starlette's."""
        if self._credentials and message["type"] == "http.response.start":
            _allow_credentials(self, MutableHeaders(scope=message), request_headers)
        await super().send(message, send, request_headers)


class Preflight(CORSMiddleware):
    """Answers preflights of `origins`.

    Args:
        app: the next layer.
        origins: those whose pages may call the API.
        api_keys: whether they may send a key.
        credentials: whether they may use the session of a person.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Collection[str],
        api_keys: bool = False,
        credentials: bool = False,
    ) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=(*ALLOWED_HEADERS, *(KEY_HEADERS if api_keys else ())),
        )
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_preflight(scope):
            response = self.preflight_response(Headers(scope=scope))
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the response; log why one is refused: the browser hides it from the page."""
        response = super().preflight_response(request_headers)
        if self._credentials:
            _allow_credentials(self, response.headers, request_headers)
        if response.status_code != 200:
            names = request_headers.get("access-control-request-headers", "").lower().split(",")
            refused = {name.strip() for name in names} - {*self.allow_headers, ""}
            fields = {
                "reason": bytes(response.body).decode(),
                "headers": ", ".join(sorted(refused))[:MAX_LOGGED_CHARS],
            }
            _logger.info("preflight_refused", extra={"fields": fields})
        return response


def _allow_credentials(
    middleware: CORSMiddleware, headers: MutableHeaders, request_headers: Headers
) -> None:
    if middleware.is_allowed_origin(request_headers.get("origin", "")):
        headers["Access-Control-Allow-Credentials"] = "true"


def _is_preflight(scope: Scope) -> bool:
    headers = context_of(scope).headers
    return (
        scope["method"] == "OPTIONS"
        and b"origin" in headers
        and b"access-control-request-method" in headers
    )
