"""Payments, and one case of orders, looked up by number. The journeys cover the other cases."""

import asyncio

import pytest

from app.cache.freshness import CacheDirective, Freshness, Lifetime
from app.cache.grace_cache import GraceCache, NotInCache, Outcome, WaitTimeout
from app.orders.lookup import FoundOrder, OrderLookup
from app.orders.source import FetchedOrder, OrderSource
from app.upstream.errors import UpstreamFailed
from tests.support.book import TTL, BookHarness, row
from tests.support.clock import settle


class GatedSource(OrderSource):
    """Orders and payments that arrive when the gate is opened, or fail then."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.calls = 0
        self.down = False

    async def fetch_payment(self, order_no: str) -> FetchedOrder:
        self.calls += 1
        await self.gate.wait()
        if self.down:
            raise UpstreamFailed("down")
        return FetchedOrder(row(order_no), as_of="", request_id="id-1", sandbox=False)

    fetch_order = fetch_payment


class LookupHarness(BookHarness):
    """A lookup of orders and payments, with one order in the list."""

    def __init__(self) -> None:
        super().__init__(1)
        self.source = GatedSource()
        order_cache: GraceCache[str, FetchedOrder] = GraceCache(
            Lifetime(60, 300, 1300),
            self.clock,
            min_age=5,
            max_stale_wait=2,
            max_entries=10,
            max_bytes=10_000,
            size_of=lambda order: order.size,
        )
        self.lookup = OrderLookup(
            self.book,
            order_cache,
            self.source,
            self.clock,
            deadline=8,
            max_stale_wait=2,
            min_age=5,
        )

    async def request(self) -> "asyncio.Future[FoundOrder]":
        """Return a request for a payment that has run until it waits."""
        payment = self.lookup.payment("n1", CacheDirective.DEFAULT)
        request = asyncio.ensure_future(payment)
        await settle()
        return request


async def test_concurrent_requests_for_a_payment_share_one_call_and_later_ones_do_not():
    harness = LookupHarness()
    requests = [await harness.request() for _ in range(3)]
    await harness.clock.advance(3)
    harness.source.gate.set()
    found = await asyncio.gather(*requests)
    assert [one.row.order_no for one in found] == ["n1"] * 3
    assert [one.lookup.outcome for one in found] == [Outcome.MISS] + [Outcome.COLLAPSED] * 2
    assert {one.lookup.freshness for one in found} == {Freshness.FRESH}
    assert found[0].lookup.entry.fetched_at == harness.clock.monotonic() - 3
    assert harness.source.calls == 1
    await (await harness.request())
    assert harness.source.calls == 2


async def test_a_failed_fetch_of_a_payment_is_raised_to_all_and_not_remembered():
    harness = LookupHarness()
    harness.source.down = True
    requests = [await harness.request() for _ in range(2)]
    harness.source.gate.set()
    errors = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(error) for error in errors] == [UpstreamFailed] * 2
    harness.source.down = False
    assert (await (await harness.request())).row.order_no == "n1"


async def test_a_request_for_a_payment_waits_until_its_deadline():
    harness = LookupHarness()
    request = await harness.request()
    await harness.clock.advance(8)
    with pytest.raises(WaitTimeout):
        await request
    closing = asyncio.ensure_future(harness.lookup.close(1))
    await harness.clock.advance(1)
    await closing


async def test_a_payment_is_never_cached():
    harness = LookupHarness()
    harness.source.gate.set()
    await (await harness.request())
    with pytest.raises(NotInCache):
        await harness.lookup.payment("n1", CacheDirective.ONLY_IF_CACHED)


async def test_an_order_whose_block_expires_while_the_caller_waits_is_still_stale_if_error():
    harness = LookupHarness()
    await harness.book.window(0, 1)
    await harness.clock.advance(TTL + 1299)
    request = asyncio.ensure_future(harness.lookup.order("n0", CacheDirective.DEFAULT))
    await settle()
    await harness.clock.advance(2)
    _, lookup = await request
    assert (lookup.freshness, lookup.outcome) == (Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    harness.source.gate.set()
    await settle()
