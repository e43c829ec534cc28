"""Looks up single orders and payments by order number.

An order comes from a fresh block if one has it, else from one order detail call. A payment is
always fetched; concurrent requests for it share the call.
"""

import math
from functools import partial
from typing import Any, NamedTuple

from app.cache.freshness import CacheDirective, Freshness
from app.cache.grace_cache import (
    Admit,
    Entry,
    GraceCache,
    Lookup,
    NotInCache,
    Outcome,
    WaitTimeout,
    admit_always,
)
from app.clock import Clock
from app.edge.caller_limits import RateLimited
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.mapping import Row
from app.orders.source import FetchedOrder, OrderSource
from app.single_flight import SingleFlight, TooManyWaiters
from app.upstream.errors import UpstreamError, UpstreamNotFound


class FoundOrder(NamedTuple):
    """An order or a payment, and how it was looked up."""

    row: Row
    lookup: Lookup[Any]


class OrderLookup:
    """Orders and payments by order number.

    Args:
        deadline: seconds that a caller waits at most.
        max_stale_wait: seconds that a caller waits at most if there is an order to serve.
        min_age: seconds; an order younger than that satisfies `NO_CACHE`.
    """

    def __init__(
        self,
        book: OrderBook,
        order_cache: GraceCache[str, FetchedOrder],
        source: OrderSource,
        clock: Clock,
        *,
        deadline: float,
        max_stale_wait: float,
        min_age: float,
    ) -> None:
        self._book = book
        self._order_cache = order_cache
        self._source = source
        self._clock = clock
        self._deadline = deadline
        self._max_stale_wait = max_stale_wait
        self._min_age = min_age
        self._payments: SingleFlight[str, Entry[FetchedOrder]] = SingleFlight(clock)

    async def order(
        self, order_no: str, directive: CacheDirective, admit: Admit = admit_always
    ) -> FoundOrder:
        """Return one order. `admit` returns why it must not be fetched for this caller, or None.

        Raises:
            RateLimited: it would have to be fetched, and must not be.
            OrderNotFound: the upstream has no such order.
            NotInCache, WaitTimeout, TooManyWaiters, UpstreamError: as in `GraceCache`.
        """
        now = self._clock.monotonic()
        cached = self._book.find(order_no)
        freshness = self._book.blocks.freshness(cached[1]) if cached else Freshness.EXPIRED
        ttl = self._book.blocks.ttl
        age = now - cached[1].fetched_at if cached else math.inf
        accepted = directive.accepts(freshness, age=age, ttl=ttl, min_age=self._min_age)
        if cached and accepted and freshness is Freshness.FRESH:
            return self._from_block(cached, freshness, Outcome.HIT)
        may_be_stale = directive.max_stale is not None and not directive.only_if_cached
        if cached and accepted and may_be_stale:
            return self._from_block(cached, freshness, Outcome.STALE_HIT)
        has_fallback = cached is not None and directive.accepts_after_failure(age - ttl)
        timeout = self._max_stale_wait if has_fallback else self._deadline
        try:
            lookup = await self._order_cache.get_or_fetch(
                order_no,
                self._source.fetch_order,
                directive,
                deadline=now + timeout,
                admit=admit,
            )
        except UpstreamNotFound:
            raise
        except (NotInCache, RateLimited, WaitTimeout, TooManyWaiters, UpstreamError) as error:
            # An older row from a block is better than an error.
            is_miss = isinstance(error, NotInCache)
            if cached is None or not (accepted if is_miss else has_fallback):
                raise
            if is_miss:
                return self._from_block(cached, freshness, Outcome.STALE_HIT)
            reason = "stale" if accepted else "request"
            return self._from_block(cached, freshness, Outcome.STALE_IF_ERROR, reason, error)
        return FoundOrder(lookup.entry.value.row, lookup)

    async def payment(
        self, order_no: str, directive: CacheDirective, admit: Admit = admit_always
    ) -> FoundOrder:
        """Fetch the payment of one order. `admit` is as for `order`.

        Raises:
            RateLimited: it would have to be fetched, and must not be.
            PaymentNotFound: the upstream has no payment of that order.
            NotInCache: `directive` has `only_if_cached`; payments are never cached.
            WaitTimeout: the deadline has passed.
            TooManyWaiters: too many callers wait for it.
            UpstreamError: the fetch failed.
        """
        if directive.only_if_cached:
            raise NotInCache
        flight, outcome = self._payments.get(order_no), Outcome.COLLAPSED
        if flight is None:
            if rejection := admit():
                raise rejection
            outcome = Outcome.MISS
            flight = self._payments.launch(order_no, partial(self._fetch_payment, order_no))
        if not await flight.wait(self._deadline):
            raise WaitTimeout
        error = flight.task.exception()
        if error:
            raise error.with_traceback(None)
        entry = flight.task.result()
        lookup = Lookup(entry, Freshness.FRESH, outcome, self._order_cache.ttl, "uri-miss")
        return FoundOrder(entry.value.row, lookup)

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds each for orders and payments, then cancel the fetches."""
        await self._order_cache.close(timeout)
        await self._payments.close(timeout)

    async def _fetch_payment(self, order_no: str) -> Entry[FetchedOrder]:
        fetched_at = self._clock.monotonic()
        return Entry(await self._source.fetch_payment(order_no), fetched_at, sequence=0)

    def _from_block(
        self,
        cached: tuple[Row, Entry[Block]],
        freshness: Freshness,
        outcome: Outcome,
        reason: str = "",
        error: Exception | None = None,
    ) -> FoundOrder:
        row, entry = cached
        ttl = self._book.blocks.ttl
        if outcome is Outcome.STALE_HIT:
            error = self._book.blocks.last_error(entry.value.index)
        return FoundOrder(row, Lookup(entry, freshness, outcome, ttl, reason, error))
