"""Cross-origin requests (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

import logging
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from app.edge.openapi import HEADERS

_logger = logging.getLogger("orders_bff.edge")

ALLOWED_HEADERS = ("Cache-Control", "If-None-Match", "X-Request-Id")
KEY_HEADERS = ("Authorization", "X-API-Key")
"""Headers with a key, allowed only if the operator says so: a key in a page is public."""

EXPOSED_HEADERS = sorted(HEADERS.keys() - {"WWW-Authenticate"})
"""The documented headers of responses, without the one that is for the browser itself."""

MAX_LOGGED_CHARS = 200


class _LoggingCORSMiddleware(CORSMiddleware):
    """Logs why a preflight is refused: the browser hides the reason from the page."""

    def preflight_response(self, request_headers: Headers) -> Response:
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


def cors_middleware(
    app: ASGIApp, *, origins: Collection[str], api_keys: bool = False
) -> CORSMiddleware:
    """Return Starlette's middleware. It answers preflights itself.

    Pages of `origins` may read responses; `api_keys` says whether they may send a key.
    """
    return _LoggingCORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD"),
        allow_headers=(*ALLOWED_HEADERS, *(KEY_HEADERS if api_keys else ())),
        expose_headers=EXPOSED_HEADERS,
    )
