"""Answers composed before: sent again from memory, in front of the framework.

A prepared answer hangs on the blocks that it was cut from. A page is good as long as each of them
is the one held and fresh, and the total is the one last told; what rests on the whole list, as long
as no block is another and the oldest is fresh. Asks nobody and waits for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.lru import Bounded
from app.clock import Clock
from app.edge.content_coding import coding_for
from app.edge.context import Exchange, exchange_of
from app.orders.book import OrderBook
from app.orders.cache_outcome import Manner, held_fresh
from app.orders.rendering import Answer
from app.orders.request_headers import header, none_match

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
class Basis:
    """What an answer hangs on: equal where two answers were cut from the same.

    Attributes:
        cut_from: what tells it apart.
        is_current: tells of that whether it is still as it was, and fresh.
    """

    cut_from: tuple[Any, ...]
    is_current: Callable[..., bool]


@dataclass(slots=True, eq=False)
class PreparedPage:
    """A rendered response and what it depends on."""

    answer: Answer
    basis: Basis


class Prepared:
    """The prepared answers by what was asked, bounded in bytes."""

    def __init__(self, *, max_bytes: int) -> None:
        self._pages: Bounded[Asked, PreparedPage] = Bounded(
            max_entries=PAGES,
            max_bytes=max_bytes,
            weigh=lambda page: page.answer.weight,
        )

    def weigh_again(self, asked: Asked) -> None:
        """Count what has been made of the answer since it was composed."""
        page = self._pages.get(asked)
        if page is not None:
            self._pages.put(asked, page)

    def find(self, asked: Asked) -> PreparedPage | None:
        """The answer, if it is still good."""
        page = self._pages.get(asked)
        if page is None:
            return None
        if page.basis.is_current(*page.basis.cut_from):
            return page
        self._pages.drop(asked)
        return None

    def once(self, asked: Asked, basis: Basis, compose: Callable[[], Answer]) -> Answer:
        """The answer that was cut from just this, composed once for all who waited for it."""
        page = self._pages.get(asked)
        if page is None or page.basis != basis:
            answer = compose()
            page = PreparedPage(answer, basis)
            self._pages.put(asked, page)
        return page.answer


class PreparedAnswers:
    """The layer that answers a page from memory, so that a hit need not enter the framework."""

    def __init__(self, app: ASGIApp, prepared: Prepared, book: OrderBook, clock: Clock) -> None:
        self._app = app
        self._prepared = prepared
        self._book = book
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page, asked = None, ("", b"")
        if scope["type"] == "http" and scope["method"] == "GET":
            asked = (scope["path"], scope["query_string"])
            page = self._page(asked, exchange_of(scope))
        if page is None:
            await self._app(scope, receive, send)
            return
        exchange, raw = exchange_of(scope), scope["headers"]
        exchange.route = scope["path"]
        coding = coding_for(header(raw, b"accept-encoding"), len(page.answer.body))
        await page.answer.codings.made(coding)
        self._prepared.weigh_again(asked)
        now, condition = self._clock.monotonic(), header(raw, b"if-none-match")
        status, headers, body = self._rendered(exchange, page, now, condition, coding)
        start = {"status": status, "headers": [*page.answer.headers, *headers]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": body})

    def _page(self, asked: Asked, exchange: Exchange) -> PreparedPage | None:
        """The page that may be sent again to just this caller."""
        allowed = exchange.caller is not None and SCOPE in exchange.caller.scopes
        plain = b"cache-control" not in exchange.headers
        return self._prepared.find(asked) if allowed and plain else None

    def _rendered(
        self, exchange: Exchange, page: PreparedPage, now: float, condition: bytes, coding: str
    ) -> Rendered:
        manner = held_fresh(self._book.ttl - (now - page.answer.asked))
        return rendered(exchange, page.answer, manner, now, if_none_match=condition, coding=coding)


def rendered(
    exchange: Exchange,
    answer: Answer,
    manner: Manner,
    now: float,
    *,
    if_none_match: bytes,
    coding: str,
) -> Rendered:
    """For one caller: status, the headers beside those of `answer`, body; noted in the exchange.

    `coding` is one in which the answer's body has been made.
    """
    headers = headed(exchange, answer, manner, now)
    if none_match(if_none_match, answer.etag):
        return 304, headers, b""
    headers.append((b"content-type", b"application/json"))
    body = answer.codings.get(coding) or answer.body
    if body is not answer.body:
        headers.append((b"content-encoding", coding.encode()))
    headers.append((b"content-length", b"%d" % len(body)))
    return 200, headers, body


def headed(exchange: Exchange, answer: Answer, manner: Manner, now: float) -> RawHeaders:
    """The headers that are one caller's own, but those of the body; noted in the exchange."""
    age = max(0, int(now - answer.asked))
    _note(exchange, answer, manner, age)
    return [
        (b"age", b"%d" % age),
        (b"x-freshness", manner.freshness.value.encode()),
        (b"cache-status", manner.cache_status.encode()),
    ]


def _note(exchange: Exchange, answer: Answer, manner: Manner, age: int) -> None:
    exchange.outcome = manner.outcome
    exchange.freshness = manner.freshness.value
    exchange.age = age
    exchange.upstream_request_ids = answer.upstream_request_ids
