"""Rendered responses cached by URL, and the middleware that answers a hit in front of FastAPI.

A cached response is sent as long as the route would render the same from what it was rendered from,
without a fetch and without waiting: a page while each of its blocks is the cached one and the total
is the current one; a response over the whole list while no block has changed. It may be stale, for
example throughout an outage. Nothing here waits or fetches: whatever has to goes to the route.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from sys import getsizeof
from typing import Any, NamedTuple
from weakref import ref

from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.grace_cache import CachedLookup
from app.cache.lru import LruStore, Usage
from app.clock import Clock
from app.edge.content_coding import prefers_gzip
from app.edge.context import (
    CurrentHeaders,
    Replayable,
    RequestContext,
    Versioned,
    context_of,
    joined_header,
)
from app.orders.rendering import RenderedResponse
from app.orders.responses import CacheHeaders, build_response, cache_headers, combine_lookups

LIST_PATH = "/v1/orders"
SUMMARY_PATH = f"{LIST_PATH}/summary"
SCOPE = "orders:read"

MAX_RESPONSES = 20_000
"""Cached responses; their bytes are bounded as well."""

CacheKey = tuple[str, bytes]
"""Path and query string."""


CachedLookups = Sequence[CachedLookup[Any]]


@dataclass(frozen=True, slots=True)
class Validity:
    """What a response depends on: `key` identifies the data that it was rendered from.

    Attributes:
        key: the arguments of `look_up`.
        look_up: returns how the cache answers now, or None if the answer has to be fetched, or
            would be rendered from other data.
        data: what `look_up` reads.
    """

    key: tuple[Any, ...]
    look_up: Callable[..., CachedLookups | None]
    data: Versioned

    def never_current(self) -> "Validity":
        """Return the validity of a response that only a route may send again.

        The route has checked a further scope, or has found that the data is inconsistent.
        """
        return replace(self, look_up=_never)

    def current_lookups(self) -> CachedLookups | None:
        """Return how the cache answers now, or None if only the route can answer."""
        return self.look_up(*self.key)


def _never(*_: Any) -> None:
    return None


class _Current(NamedTuple):
    """How the cache answers at present: until when, and as long as the data has the revision."""

    headers: CacheHeaders
    until: float
    revision: int


@dataclass(slots=True, weakref_slot=True)
class CachedResponse:
    """A rendered response, what it depends on, and how the cache answered when it was sent last.

    `replayable` is what all requests that it is sent for have in common.
    """

    rendered: RenderedResponse
    validity: Validity
    key_size: int
    current: _Current | None = None
    replayable: Replayable | None = None

    @property
    def size(self) -> int:
        """The memory in bytes."""
        return self.rendered.size + self.key_size


class ResponseCache:
    """Rendered responses by path and query string, bounded in bytes."""

    def __init__(self, *, max_bytes: int) -> None:
        self._responses: LruStore[CacheKey, CachedResponse] = LruStore(
            max_entries=MAX_RESPONSES,
            max_bytes=max_bytes,
            size_of=lambda cached: cached.size,
        )

    def __len__(self) -> int:
        return len(self._responses)

    @property
    def usage(self) -> Usage:
        """How much is cached, and how much can be."""
        return self._responses.usage

    def clear(self) -> int:
        """Remove all responses; return how many there were."""
        count = len(self)
        self._responses.clear()
        return count

    def get(self, key: CacheKey) -> CachedResponse | None:
        """Return the response, which need not be valid any more.

        One that is not stays cached: it is valid again as soon as its data has been fetched again
        and has not changed, and `get_or_render` neither renders nor compresses it again.
        """
        return self._responses.get(key)

    def get_or_render(
        self, key: CacheKey, validity: Validity, render: Callable[[], RenderedResponse]
    ) -> RenderedResponse:
        """Return the response rendered from this data, rendering it if it is not cached."""
        cached = self._responses.get(key)
        if cached is None or cached.validity != validity:
            cached = CachedResponse(render(), validity, sum(map(getsizeof, key)))
            self._responses.put(key, cached)
        return cached.rendered

    def update_size(self, key: CacheKey) -> None:
        """Account for the bodies that have been compressed since the response was cached."""
        cached = self._responses.get(key)
        if cached is not None:
            self._responses.put(key, cached)


class ResponseCacheMiddleware:
    """Answers GET and HEAD from the response cache if the cached response is valid.

    `problem_code` returns the problem code of an error.
    """

    def __init__(
        self,
        app: ASGIApp,
        response_cache: ResponseCache,
        clock: Clock,
        problem_code: Callable[[BaseException], str],
    ) -> None:
        self._app = app
        self._response_cache = response_cache
        self._clock = clock
        self._problem_code = problem_code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cached = current = None
        if scope["method"] in ("GET", "HEAD"):
            context, key = context_of(scope), (scope["path"], scope["query_string"])
            if _may_use_cache(context):
                cached = self._response_cache.get(key)
        if cached is not None:
            current = self._current(cached, self._clock.monotonic())
        if cached is None or current is None:
            await self._app(scope, receive, send)
            return
        context.route = scope["path"]
        current.headers.record(context)
        rendered, compressed = cached.rendered, None
        if prefers_gzip(joined_header(scope, b"accept-encoding"), len(rendered.body)):
            is_new = rendered.gzip.size == 0
            compressed = await rendered.gzip.get()
            if is_new:
                self._response_cache.update_size(key)
        status, headers, body = build_response(
            rendered,
            current.headers.fields,
            if_none_match=joined_header(scope, b"if-none-match"),
            compressed=compressed,
        )
        if cached.replayable is None:
            refresh = partial(self._current_headers_of, key, ref(cached))
            cached.replayable = Replayable(cached.validity.data, refresh)
        context.replayable = cached.replayable
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _current_headers_of(
        self, key: CacheKey, kept: "ref[CachedResponse]", context: RequestContext, now: float
    ) -> CurrentHeaders | None:
        """Return the headers for as long as the response is cached; counts as a use of it.

        Whoever sends it again does not keep it in memory once it is evicted.
        """
        cached = self._response_cache.get(key)
        if cached is None or cached is not kept():
            return None
        current = self._current(cached, now)
        if current is None:
            return None
        current.headers.record(context)
        return CurrentHeaders(current.headers.fields, current.until)

    def _current(self, cached: CachedResponse, now: float) -> _Current | None:
        """Return what `cached` says now, or None if only the route can answer."""
        current, revision = cached.current, cached.validity.data.revision
        if current is None or now >= current.until or current.revision != revision:
            current = cached.current = self._look_up(cached, now)
        return current

    def _look_up(self, cached: CachedResponse, now: float) -> _Current | None:
        found = cached.validity.current_lookups()
        if found is None:
            return None
        lookups = [each.lookup for each in found]
        outcome = combine_lookups(lookups, now=now, problem_code=self._problem_code)
        fetched_at = cached.rendered.fetched_at
        stale_at = [lookup.entry.fetched_at + lookup.ttl for lookup in lookups]
        until = min(
            fetched_at + math.floor(now - fetched_at) + 1,  # Age
            *(at - math.floor(at - now) for at in stale_at),  # ttl
            *(each.until for each in found),
        )
        headers = cache_headers(cached.rendered, outcome, now)
        return _Current(headers, until, cached.validity.data.revision)


def _may_use_cache(context: RequestContext) -> bool:
    """Return whether the caller has the scope and the request has no cache directives."""
    allowed = context.caller is not None and SCOPE in context.caller.scopes
    return allowed and b"cache-control" not in context.headers
