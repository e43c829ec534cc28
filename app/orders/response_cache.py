"""Rendered responses cached by URL, and the middleware that answers a hit in front of FastAPI.

A cached response is valid as long as what it was rendered from is: a page while each of its blocks
is the cached one and fresh and the total is the current one; a response over the whole list while
no block has changed and the oldest is fresh. Nothing here waits or fetches.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from sys import getsizeof
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.lru import LruStore
from app.clock import Clock
from app.edge.content_coding import prefers_gzip
from app.edge.context import RequestContext, context_of
from app.orders.book import OrderBook
from app.orders.rendering import RenderedResponse
from app.orders.responses import build_response, fresh_hit, joined_header

LIST_PATH = "/v1/orders"
SUMMARY_PATH = f"{LIST_PATH}/summary"
SCOPE = "orders:read"

MAX_RESPONSES = 20_000
"""Cached responses; their bytes are bounded as well."""

CacheKey = tuple[str, bytes]
"""Path and query string."""


@dataclass(frozen=True, slots=True)
class Validity:
    """What a response depends on: `key` identifies the data that it was rendered from.

    `is_current` returns, given `key`, whether that data is unchanged and fresh.
    """

    key: tuple[Any, ...]
    is_current: Callable[..., bool]

    def never_current(self) -> "Validity":
        """Return the validity of a response that only a route may send again.

        The route has checked a further scope, or has found that the data is inconsistent.
        """
        return replace(self, is_current=_never)


def _never(*_: Any) -> bool:
    return False


class _CachedResponse(NamedTuple):
    rendered: RenderedResponse
    validity: Validity
    key_size: int

    @property
    def size(self) -> int:
        return self.rendered.size + self.key_size


class ResponseCache:
    """Rendered responses by path and query string, bounded in bytes."""

    def __init__(self, *, max_bytes: int) -> None:
        self._responses: LruStore[CacheKey, _CachedResponse] = LruStore(
            max_entries=MAX_RESPONSES,
            max_bytes=max_bytes,
            size_of=lambda cached: cached.size,
        )

    @property
    def size(self) -> int:
        """The memory of the responses in bytes."""
        return self._responses.size

    def get(self, key: CacheKey) -> RenderedResponse | None:
        """Return the response if it is valid.

        One that is not stays cached: while its data is stale but unchanged, `get_or_render` still
        returns it, and it is neither rendered nor compressed again.
        """
        cached = self._responses.get(key)
        if cached is None or not cached.validity.is_current(*cached.validity.key):
            return None
        return cached.rendered

    def get_or_render(
        self, key: CacheKey, validity: Validity, render: Callable[[], RenderedResponse]
    ) -> RenderedResponse:
        """Return the response rendered from this data, rendering it if it is not cached."""
        cached = self._responses.get(key)
        if cached is None or cached.validity != validity:
            cached = _CachedResponse(render(), validity, sum(map(getsizeof, key)))
            self._responses.put(key, cached)
        return cached.rendered

    def update_size(self, key: CacheKey) -> None:
        """Account for the bodies that have been compressed since the response was cached."""
        cached = self._responses.get(key)
        if cached is not None:
            self._responses.put(key, cached)


class ResponseCacheMiddleware:
    """Answers a GET from the response cache if the cached response is valid."""

    def __init__(
        self, app: ASGIApp, response_cache: ResponseCache, book: OrderBook, clock: Clock
    ) -> None:
        self._app = app
        self._response_cache = response_cache
        self._book = book
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rendered = None
        if scope["type"] == "http" and scope["method"] == "GET":
            key = (scope["path"], scope["query_string"])
            if _may_use_cache(context_of(scope)):
                rendered = self._response_cache.get(key)
        if rendered is None:
            await self._app(scope, receive, send)
            return
        context, raw_headers = context_of(scope), scope["headers"]
        context.route = scope["path"]
        accepted = joined_header(raw_headers, b"accept-encoding")
        use_gzip = prefers_gzip(accepted, len(rendered.body))
        compressed = await rendered.gzip.get() if use_gzip else None
        self._response_cache.update_size(key)
        now = self._clock.monotonic()
        status, headers, body = build_response(
            context,
            rendered,
            fresh_hit(self._book.blocks.ttl - (now - rendered.fetched_at)),
            now,
            if_none_match=joined_header(raw_headers, b"if-none-match"),
            compressed=compressed,
        )
        headers = [*rendered.headers, *headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _may_use_cache(context: RequestContext) -> bool:
    """Return whether the caller has the scope and the request has no cache directives."""
    allowed = context.caller is not None and SCOPE in context.caller.scopes
    return allowed and b"cache-control" not in context.headers
