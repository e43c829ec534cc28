"""Answers composed before: sent again from memory, in front of the framework.

A prepared answer hangs on the blocks that it was cut from. A page is good as long as each of them
is the one held and fresh, and the total is the one last told; what rests on the whole list, as long
as no block is another and the oldest is fresh. Asks nobody and waits for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.bounded import Bounded
from app.clock import Clock
from app.edge.at_once import Whole
from app.edge.coding import coding_for
from app.edge.exchange import Exchange, exchange_of
from app.edge.header_lines import lines_of
from app.orders.answer import Answer
from app.orders.asked import header, none_match
from app.orders.book import OrderBook
from app.orders.manner import Manner, held_fresh

RawHeaders = list[tuple[bytes, bytes]]
Rendered = tuple[int, RawHeaders, bytes]

LIST_PATH = "/v1/orders"
SUMMARY_PATH = f"{LIST_PATH}/summary"
_PATHS = {path.encode(): path for path in (LIST_PATH, SUMMARY_PATH)}
SCOPE = "orders:read"
_HIT = held_fresh(0)
PAGES = 20_000
"""Prepared answers held at most; their bytes have a bound of their own."""


Asked = tuple[str, bytes]
"""A path and its query string."""

Moment = tuple[int, int, bytes, bytes]
"""Age and ttl in whole seconds, condition, Accept-Encoding: who asks alike is told alike."""


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
    """An answer, what it hangs on, and its header lines as they stand on the wire.

    `said` is what was said last on the short way, for whoever asks within the same second.
    """

    answer: Answer
    basis: Basis
    lines: bytes
    said: tuple[Moment, Whole] | None = None


class Prepared:
    """The prepared answers by what was asked, bounded in bytes."""

    def __init__(self, *, max_bytes: int) -> None:
        self._pages: Bounded[Asked, PreparedPage] = Bounded(
            max_entries=PAGES,
            max_bytes=max_bytes,
            weigh=lambda page: page.answer.weight + len(page.lines),
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
            page = PreparedPage(answer, basis, lines_of(answer.headers))
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

    def at_once(self, target: bytes, exchange: Exchange) -> Whole | None:
        """The same answer to a GET of `target`, for the short way."""
        path, _, query = target.partition(b"?")
        route = _PATHS.get(path)
        page = self._page((route, query), exchange) if route else None
        if route is None or page is None:
            return None
        exchange.route = route
        now = self._clock.monotonic()
        passed = now - page.answer.asked
        condition = exchange.headers.get(b"if-none-match", b"")
        accept = exchange.headers.get(b"accept-encoding", b"")
        moment = (int(passed), floor(self._book.ttl - passed), condition, accept)
        if page.said is None or page.said[0] != moment:
            coding = coding_for(accept, len(page.answer.body))
            if page.answer.codings.get(coding) is None:
                return None  # the long way makes it, where that keeps nobody
            status, headers, body = self._rendered(exchange, page, now, condition, coding)
            page.said = (moment, Whole(status, page.lines + lines_of(headers), body))
        else:
            _note(exchange, page.answer, _HIT, moment[0])
        return page.said[1]

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
