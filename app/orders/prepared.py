"""Answers composed before: sent again from memory, in front of the framework.

A prepared answer hangs on the blocks that it was cut from: it is good as long as each of them is
the one held and fresh, and the total is the one last told. Asks nobody and waits for nothing.
"""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.bounded import Bounded
from app.cache.grace_cache import Entry
from app.clock import Clock
from app.edge.exchange import Exchange, exchange_of
from app.orders.answer import Answer
from app.orders.asked import none_match
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.manner import Manner, held_fresh

LIST_PATH = "/v1/orders"
SCOPE = "orders:read"
PAGES = 20_000
"""Prepared answers held at most; their bytes have a bound of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPage:
    """An answer and what it hangs on."""

    answer: Answer
    entries: tuple[Entry[Block], ...]
    total: int


class Prepared:
    """The prepared answers to list questions, by query string, bounded in bytes."""

    def __init__(self, book: OrderBook, *, max_bytes: int) -> None:
        self._book = book
        self._pages: Bounded[bytes, PreparedPage] = Bounded(
            max_entries=PAGES, max_bytes=max_bytes, weigh=lambda page: page.answer.weight
        )

    def keep(self, query: bytes, page: PreparedPage) -> None:
        """Hold `page` for the next who asks the same."""
        self._pages.put(query, page)

    def find(self, query: bytes) -> PreparedPage | None:
        """The answer to `query`, if it is still good."""
        page = self._pages.get(query)
        if page is None:
            return None
        if self._book.is_current(page.entries, page.total):
            return page
        self._pages.drop(query)
        return None

    def cut_from(
        self, query: bytes, entries: tuple[Entry[Block], ...], total: int
    ) -> PreparedPage | None:
        """The answer to `query` that another caller has cut from just these blocks, if one has."""
        page = self._pages.get(query)
        same = page is not None and page.entries == entries and page.total == total
        return page if same else None


class PreparedAnswers:
    """The layer that answers a page from memory, so that a hit need not enter the framework."""

    def __init__(self, app: ASGIApp, prepared: Prepared, clock: Clock, *, ttl: float) -> None:
        self._app = app
        self._prepared = prepared
        self._clock = clock
        self._ttl = ttl

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != LIST_PATH or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        allowed = exchange.caller is not None and SCOPE in exchange.caller.scopes
        plain = b"cache-control" not in exchange.headers
        page = self._prepared.find(scope["query_string"]) if allowed and plain else None
        if page is None:
            await self._app(scope, receive, send)
            return
        exchange.route = LIST_PATH
        now = self._clock.monotonic()
        manner = held_fresh(self._ttl - (now - page.answer.asked))
        condition = exchange.headers.get(b"if-none-match", b"")
        status, headers, body = rendered(exchange, page.answer, manner, now, condition)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def rendered(
    exchange: Exchange, answer: Answer, manner: Manner, now: float, if_none_match: bytes
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body for one caller; noted in the exchange."""
    age = max(0, int(now - answer.asked))
    exchange.outcome = manner.outcome
    exchange.freshness = manner.freshness.value
    exchange.age = age
    exchange.upstream_request_ids = answer.upstream_request_ids
    headers = [
        *answer.headers,
        (b"age", b"%d" % age),
        (b"x-freshness", manner.freshness.value.encode()),
        (b"cache-status", manner.cache_status.encode()),
    ]
    if none_match(if_none_match, answer.etag):
        return 304, headers, b""
    headers.append((b"content-type", b"application/json"))
    headers.append((b"content-length", b"%d" % len(answer.body)))
    return 200, headers, answer.body
