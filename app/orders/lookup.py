"""One order, from a fresh block if one holds it, else by one detail call. Knows no HTTP."""

from typing import Any

from app.cache.grace_cache import GraceCache, Lookup, NotInCache, Outcome, WaitTimeout
from app.cache.policy import CacheDirective
from app.clock import Clock
from app.orders.book import OrderBook
from app.orders.mapping import Row
from app.orders.source import FetchedOrder, OrderSource
from app.single_flight import TooManyWaiters
from app.upstream.errors import UpstreamError, UpstreamNotFound

Found = tuple[Row, Lookup[Any]]


class OrderLookup:
    """Orders and payments asked for by number.

    Args:
        book: where an order may be held already.
        orders: the memory of orders that were asked for by number.
        payments: collapses payment calls, and holds none.
        fetch: asks the upstream.
        clock: the only source of time.
        deadline: seconds a caller waits at most.
        wait: seconds a caller waits at most for whom something is held.
        min_age: seconds; an order younger than that is new enough for `no-cache`.
    """

    def __init__(
        self,
        book: OrderBook,
        orders: GraceCache[str, FetchedOrder],
        payments: GraceCache[str, FetchedOrder],
        fetch: OrderSource,
        clock: Clock,
        *,
        deadline: float,
        wait: float,
        min_age: float,
    ) -> None:
        self._book = book
        self._orders = orders
        self._payments = payments
        self._fetch = fetch
        self._clock = clock
        self._deadline = deadline
        self._wait = wait
        self._min_age = min_age

    async def order(self, order_no: str, ask: CacheDirective) -> Found:
        """One order.

        Raises:
            OrderNotFound: the upstream knows no such order.
            NotInCache, WaitEnded, TooManyWaiters, UpstreamError: as the cache has it.
        """
        now = self._clock.monotonic()
        fresh = self._book.find_fresh(order_no)
        if fresh and (
            ask is not CacheDirective.NO_CACHE or now - fresh[1].fetched_at < self._min_age
        ):
            return self._from_block(*fresh, Outcome.HIT)
        in_block = self._book.find_cached(order_no)
        patience = self._wait if in_block else self._deadline
        try:
            served = await self._orders.get_or_fetch(
                order_no, self._fetch.order, ask, deadline=now + patience
            )
        except UpstreamNotFound:
            raise
        except (NotInCache, WaitTimeout, TooManyWaiters, UpstreamError) as failure:
            # An older answer beats an error: the block's row is one, though not by number.
            if not in_block:
                raise
            if isinstance(failure, NotInCache):
                return self._from_block(*in_block, Outcome.STALE_HIT)
            reason = "request" if ask is CacheDirective.NO_CACHE else "stale"
            return self._from_block(*in_block, Outcome.STALE_IF_ERROR, reason, failure)
        return _found(served)

    async def payment(self, order_no: str, ask: CacheDirective) -> Found:
        """The payment of one order, asked for anew.

        Raises:
            PaymentNotFound: the upstream knows no payment of that order.
            NotInCache, WaitEnded, UpstreamError: as the cache has it.
        """
        deadline = self._clock.monotonic() + self._deadline
        return _found(
            await self._payments.get_or_fetch(order_no, self._fetch.payment, ask, deadline=deadline)
        )

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds each for orders and payments, then cancel the fetches."""
        await self._orders.close(timeout)
        await self._payments.close(timeout)

    def _from_block(
        self,
        row: Row,
        entry: Any,
        how: Outcome,
        reason: str = "",
        failure: BaseException | None = None,
    ) -> Found:
        return row, Lookup(entry, self._book.freshness(entry), how, self._book.ttl, reason, failure)


def _found(served: Lookup[FetchedOrder]) -> Found:
    return served.entry.value.row, served
