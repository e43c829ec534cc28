"""Cross-origin requests (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.edge.openapi import HEADERS

ALLOWED_HEADERS = ("Cache-Control", "If-None-Match", "X-Request-Id")
KEY_HEADERS = ("Authorization", "X-API-Key")
"""Headers with a key, allowed only if the operator says so: a key in a page is public."""

EXPOSED_HEADERS = sorted(HEADERS.keys() - {"WWW-Authenticate"})
"""The documented headers of responses, without the one that is for the browser itself."""


def cors_middleware(
    app: ASGIApp, *, origins: Collection[str], api_keys: bool = False
) -> CORSMiddleware:
    """Return Starlette's middleware. It answers preflights itself.

    Pages of `origins` may read responses; `api_keys` says whether they may send a key.
    """
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD"),
        allow_headers=(*ALLOWED_HEADERS, *(KEY_HEADERS if api_keys else ())),
        expose_headers=EXPOSED_HEADERS,
    )
