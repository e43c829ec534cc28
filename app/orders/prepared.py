"""Answers composed before: sent again from memory, in front of the framework.

A prepared answer hangs on the blocks that it was cut from: it is good as long as each of them is
the one held and fresh, and the total is the one last told. Asks nobody and waits for nothing.
"""

from dataclasses import dataclass
from math import floor

from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.bounded import Bounded
from app.cache.grace_cache import Entry
from app.clock import Clock
from app.edge.at_once import Whole
from app.edge.coding import coding_for
from app.edge.exchange import Exchange, exchange_of
from app.edge.header_lines import lines_of
from app.orders.answer import Answer
from app.orders.asked import header, none_match
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.manner import Manner, held_fresh

Rendered = tuple[int, list[tuple[bytes, bytes]], bytes]

LIST_PATH = "/v1/orders"
_LIST_TARGET = LIST_PATH.encode()
SCOPE = "orders:read"
_HIT = held_fresh(0)
PAGES = 20_000
"""Prepared answers held at most; their bytes have a bound of their own."""


Moment = tuple[int, int, bytes, bytes]
"""Age and ttl in whole seconds, condition, Accept-Encoding: who asks alike is told alike."""


@dataclass(slots=True, eq=False)
class PreparedPage:
    """An answer, what it hangs on, and its header lines as they stand on the wire.

    `said` is what was said last on the short way, for whoever asks within the same second.
    """

    answer: Answer
    entries: tuple[Entry[Block], ...]
    total: int
    lines: bytes
    said: tuple[Moment, Whole] | None = None


class Prepared:
    """The prepared answers to list questions, by query string, bounded in bytes."""

    def __init__(self, book: OrderBook, *, max_bytes: int) -> None:
        self._book = book
        self._pages: Bounded[bytes, PreparedPage] = Bounded(
            max_entries=PAGES,
            max_bytes=max_bytes,
            weigh=lambda page: page.answer.weight + len(page.lines),
        )

    def keep(
        self, query: bytes, answer: Answer, entries: tuple[Entry[Block], ...], total: int
    ) -> None:
        """Hold `answer` for the next who asks the same, as long as `entries` and `total` stand."""
        self._pages.put(query, PreparedPage(answer, entries, total, lines_of(answer.headers)))

    def weigh_again(self, query: bytes) -> None:
        """Count what has been made of the answer to `query` since it was kept."""
        page = self._pages.get(query)
        if page is not None:
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
        page = None
        if scope["type"] == "http" and scope["path"] == LIST_PATH and scope["method"] == "GET":
            page = self._page(scope["query_string"], exchange_of(scope))
        if page is None:
            await self._app(scope, receive, send)
            return
        raw = scope["headers"]
        coding = coding_for(header(raw, b"accept-encoding"), len(page.answer.body))
        await page.answer.codings.made(coding)
        self._prepared.weigh_again(scope["query_string"])
        now, condition = self._clock.monotonic(), header(raw, b"if-none-match")
        status, headers, body = self._rendered(exchange_of(scope), page, now, condition, coding)
        start = {"status": status, "headers": [*page.answer.headers, *headers]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": body})

    def at_once(self, target: bytes, exchange: Exchange) -> Whole | None:
        """The same answer to a GET of `target`, for the short way."""
        path, _, query = target.partition(b"?")
        page = self._page(query, exchange) if path == _LIST_TARGET else None
        if page is None:
            return None
        now = self._clock.monotonic()
        passed = now - page.answer.asked
        condition = exchange.headers.get(b"if-none-match", b"")
        accept = exchange.headers.get(b"accept-encoding", b"")
        moment = (int(passed), floor(self._ttl - passed), condition, accept)
        if page.said is None or page.said[0] != moment:
            coding = coding_for(accept, len(page.answer.body))
            if page.answer.codings.get(coding) is None:
                return None  # the long way makes it, where that keeps nobody
            status, headers, body = self._rendered(exchange, page, now, condition, coding)
            page.said = (moment, Whole(status, page.lines + lines_of(headers), body))
        else:
            exchange.route = LIST_PATH
            _note(exchange, page.answer, _HIT, moment[0])
        return page.said[1]

    def _page(self, query: bytes, exchange: Exchange) -> PreparedPage | None:
        """The page that may be sent again to just this caller."""
        allowed = exchange.caller is not None and SCOPE in exchange.caller.scopes
        plain = b"cache-control" not in exchange.headers
        return self._prepared.find(query) if allowed and plain else None

    def _rendered(
        self, exchange: Exchange, page: PreparedPage, now: float, condition: bytes, coding: str
    ) -> Rendered:
        exchange.route = LIST_PATH
        manner = held_fresh(self._ttl - (now - page.answer.asked))
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
    age = max(0, int(now - answer.asked))
    _note(exchange, answer, manner, age)
    headers = [
        (b"age", b"%d" % age),
        (b"x-freshness", manner.freshness.value.encode()),
        (b"cache-status", manner.cache_status.encode()),
    ]
    if none_match(if_none_match, answer.etag):
        return 304, headers, b""
    headers.append((b"content-type", b"application/json"))
    body = answer.codings.get(coding) or answer.body
    if body is not answer.body:
        headers.append((b"content-encoding", coding.encode()))
    headers.append((b"content-length", b"%d" % len(body)))
    return 200, headers, body


def _note(exchange: Exchange, answer: Answer, manner: Manner, age: int) -> None:
    exchange.outcome = manner.outcome
    exchange.freshness = manner.freshness.value
    exchange.age = age
    exchange.upstream_request_ids = answer.upstream_request_ids
