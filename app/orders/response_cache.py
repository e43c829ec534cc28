"""Answers composed before: sent again from memory, in front of the framework.

A prepared answer hangs on the blocks that it was cut from. A page is good as long as each of them
is the one held and fresh, and the total is the one last told; what rests on the whole list, as long
as no block is another and the oldest is fresh. Asks nobody and waits for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.lru import LruStore
from app.clock import Clock
from app.edge.content_coding import negotiate
from app.edge.context import RequestContext, context_of
from app.orders.book import OrderBook
from app.orders.cache_outcome import CacheOutcome, fresh_hit
from app.orders.rendering import RenderedResponse
from app.orders.request_headers import etag_matches, header

RawHeaders = list[tuple[bytes, bytes]]
Rendered = tuple[int, RawHeaders, bytes]

LIST_PATH = "/v1/orders"
SUMMARY_PATH = f"{LIST_PATH}/summary"
SCOPE = "orders:read"
PAGES = 20_000
"""Prepared answers held at most; their bytes have a bound of their own."""


Asked = tuple[str, bytes]
"""A path and its query string."""


@dataclass(frozen=True, slots=True)
class Validity:
    """What an answer hangs on: equal where two answers were cut from the same.

    Attributes:
        cut_from: what tells it apart.
        is_current: tells of that whether it is still as it was, and fresh.
    """

    key: tuple[Any, ...]
    is_current: Callable[..., bool]


@dataclass(slots=True, eq=False)
class CachedResponse:
    """A rendered response and what it depends on."""

    answer: RenderedResponse
    basis: Validity


class ResponseCache:
    """The prepared answers by what was asked, bounded in bytes."""

    def __init__(self, *, max_bytes: int) -> None:
        self._pages: LruStore[Asked, CachedResponse] = LruStore(
            max_entries=PAGES,
            max_bytes=max_bytes,
            size_of=lambda page: page.answer.size,
        )

    def update_size(self, asked: Asked) -> None:
        """Count what has been made of the answer since it was composed."""
        page = self._pages.get(asked)
        if page is not None:
            self._pages.put(asked, page)

    def get(self, asked: Asked) -> CachedResponse | None:
        """The answer, if it is still good."""
        page = self._pages.get(asked)
        if page is None:
            return None
        if page.basis.is_current(*page.basis.key):
            return page
        self._pages.remove(asked)
        return None

    def get_or_render(
        self, asked: Asked, basis: Validity, compose: Callable[[], RenderedResponse]
    ) -> RenderedResponse:
        """The answer that was cut from just this, composed once for all who waited for it."""
        page = self._pages.get(asked)
        if page is None or page.basis != basis:
            answer = compose()
            page = CachedResponse(answer, basis)
            self._pages.put(asked, page)
        return page.answer


class ResponseCacheMiddleware:
    """The layer that answers a page from memory, so that a hit need not enter the framework."""

    def __init__(
        self, app: ASGIApp, prepared: ResponseCache, book: OrderBook, clock: Clock
    ) -> None:
        self._app = app
        self._prepared = prepared
        self._book = book
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page, asked = None, ("", b"")
        if scope["type"] == "http" and scope["method"] == "GET":
            asked = (scope["path"], scope["query_string"])
            page = self._page(asked, context_of(scope))
        if page is None:
            await self._app(scope, receive, send)
            return
        context, raw = context_of(scope), scope["headers"]
        context.route = scope["path"]
        coding = negotiate(header(raw, b"accept-encoding"), len(page.answer.body))
        await page.answer.codings.encoded(coding)
        self._prepared.update_size(asked)
        now, condition = self._clock.monotonic(), header(raw, b"if-none-match")
        status, headers, body = self._rendered(context, page, now, condition, coding)
        start = {"status": status, "headers": [*page.answer.headers, *headers]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": body})

    def _page(self, asked: Asked, context: RequestContext) -> CachedResponse | None:
        """The page that may be sent again to just this caller."""
        allowed = context.caller is not None and SCOPE in context.caller.scopes
        plain = b"cache-control" not in context.headers
        return self._prepared.get(asked) if allowed and plain else None

    def _rendered(
        self,
        context: RequestContext,
        page: CachedResponse,
        now: float,
        condition: bytes,
        coding: str,
    ) -> Rendered:
        manner = fresh_hit(self._book.ttl - (now - page.answer.fetched_at))
        return build_response(
            context, page.answer, manner, now, if_none_match=condition, coding=coding
        )


def build_response(
    context: RequestContext,
    answer: RenderedResponse,
    manner: CacheOutcome,
    now: float,
    *,
    if_none_match: bytes,
    coding: str,
) -> Rendered:
    """For one caller: status, the headers beside those of `answer`, body; noted in the exchange.

    `coding` is one in which the answer's body has been made.
    """
    headers = per_caller_headers(context, answer, manner, now)
    if etag_matches(if_none_match, answer.etag):
        return 304, headers, b""
    headers.append((b"content-type", b"application/json"))
    body = answer.codings.get(coding) or answer.body
    if body is not answer.body:
        headers.append((b"content-encoding", coding.encode()))
    headers.append((b"content-length", b"%d" % len(body)))
    return 200, headers, body


def per_caller_headers(
    context: RequestContext, answer: RenderedResponse, manner: CacheOutcome, now: float
) -> RawHeaders:
    """The headers that are one caller's own, but those of the body; noted in the exchange."""
    age = max(0, int(now - answer.fetched_at))
    _note(context, answer, manner, age)
    return [
        (b"age", b"%d" % age),
        (b"x-freshness", manner.freshness.value.encode()),
        (b"cache-status", manner.cache_status.encode()),
    ]


def _note(
    context: RequestContext, answer: RenderedResponse, manner: CacheOutcome, age: int
) -> None:
    context.outcome = manner.name
    context.freshness = manner.freshness.value
    context.age = age
    context.upstream_request_ids = answer.upstream_request_ids
