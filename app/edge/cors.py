"""Cross-origin requests (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol).

Two rules: `CorsHeaders` in front of everything that can reject a request, so that pages can read
every problem, and `Preflight` behind the checks of the request itself.
"""

import logging
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Scope

from app.edge.access_log import is_api_path
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

_EXPOSE = (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode())
_ALLOW_CREDENTIALS = (b"access-control-allow-credentials", b"true")

MAX_LOGGED_CHARS = 200


class CorsHeaders:
    """Lets pages of `origins` read responses, problems included.

    `credentials` says whether they may use the session of a person.
    """

    def __init__(self, *, origins: Collection[str], credentials: bool = False) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._credentials = credentials

    def add(self, scope: Scope) -> None:
        """Add the headers to the response of a request, unless it is a preflight."""
        if _is_preflight(scope):
            return
        context = context_of(scope)
        origin = context.headers.get(b"origin")
        if origin is not None:
            context.response_headers.append(_EXPOSE)
            if origin in self._origins:
                context.response_headers.append((b"access-control-allow-origin", origin))
                if self._credentials:
                    context.response_headers.append(_ALLOW_CREDENTIALS)
        if not is_api_path(scope["path"]):
            context.response_headers.append((b"vary", b"Origin"))


class Preflight(CORSMiddleware):
    """Answers preflights of `origins`. Of Starlette's middleware only the response is used.

    Args:
        origins: those whose pages may call the API.
        api_keys: whether they may send a key.
        credentials: whether they may use the session of a person.
    """

    def __init__(
        self,
        *,
        origins: Collection[str],
        api_keys: bool = False,
        credentials: bool = False,
    ) -> None:
        super().__init__(
            Response(),
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=(*ALLOWED_HEADERS, *(KEY_HEADERS if api_keys else ())),
        )
        self._credentials = credentials

    def answer(self, scope: Scope) -> Response | None:
        """Return the response to a preflight; None for any other request."""
        if not _is_preflight(scope):
            return None
        # With the last value of a repeated header, as everywhere.
        return self.preflight_response(Headers(raw=list(context_of(scope).headers.items())))

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the response; log why one is refused: the browser hides it from the page."""
        response = super().preflight_response(request_headers)
        if self._credentials and self.is_allowed_origin(request_headers["origin"]):
            response.raw_headers.append(_ALLOW_CREDENTIALS)
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
    if scope["method"] != "OPTIONS":
        return False
    headers = context_of(scope).headers
    return b"origin" in headers and b"access-control-request-method" in headers
