"""Callers who leave before their answer, at every stage within, cost nobody anything in the end."""

import asyncio
import gc
from random import Random
from zoneinfo import ZoneInfo

import httpx

from app.cache.freshness import Lifetime
from app.cache.grace_cache import GraceCache
from app.orders.blocks import Block
from app.orders.book import OrderBook, Window
from app.orders.source import OrderSource
from tests.support.clock import ManualClock
from tests.support.upstream import ScriptedUpstream, client_of

PLACES = 3
ORDERS = 1000


class Bench:
    """A book over a real client, whose upstream takes its time and fails now and then."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.failing = 0.05
        self.random = Random(7)  # noqa: S311  the same leavers in every run
        self.upstream = ScriptedUpstream(ORDERS)
        self.client = client_of(
            self.upstream,
            self.clock,
            transport=httpx.MockTransport(self._answer),
            max_concurrency=PLACES,
            max_rate=100,
            max_attempts=3,
            random=self.random.random,
        )
        fetch = OrderSource(self.client, self.clock, zone=ZoneInfo("UTC"), deadline=8)
        blocks: GraceCache[int, Block] = GraceCache(
            Lifetime(2, 5, 25),
            self.clock,
            min_age=5,
            max_stale_wait=2,
            max_entries=100,
            max_bytes=10**9,
            size_of=lambda block: block.size,
        )
        self.book = OrderBook(blocks, fetch.fetch_block, self.clock, deadline=8)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await self.clock.sleep(self.random.choice((0.05, 0.2, 1)))
        if self.random.random() < self.failing:
            raise httpx.ReadError("reset")
        answer: httpx.Response = await self.upstream.transport.handler(request)  # type: ignore[misc]
        return answer

    def caller(self) -> "asyncio.Task[Window]":
        start = self.random.choice((0, self.random.randrange(ORDERS)))
        return asyncio.create_task(self.book.window(start, start + 30))

    async def churn(self, callers: int) -> None:
        """Callers come fifty at a time; most leave, after any number of steps of anybody."""
        for _ in range(callers // 50):
            present = [self.caller() for _ in range(50)]
            for leaver in self.random.sample(present, 45):
                for _ in range(self.random.choice((0, 0, 0, 1, 2, 5))):
                    await asyncio.sleep(0)
                leaver.cancel()
            await self.clock.advance(self.random.choice((0.01, 0.3, 3)))
            for stayer in present:
                stayer.cancel()
        await self.clock.advance(120)


def things() -> int:
    """What is in memory."""
    gc.collect()
    return len(gc.get_objects())


async def test_thousands_of_leavers_leave_the_pool_whole_no_task_and_no_memory():
    bench = Bench()
    before = asyncio.all_tasks()
    await bench.churn(500)
    early = things()
    await bench.churn(2000)
    assert things() < early + 2000
    assert asyncio.all_tasks() == before
    assert len(bench.book._blocks._flights) == 0
    limiter = bench.client._transport._admission._limiter
    assert (limiter._in_flight, limiter._queue, limiter._timer) == (0, [], None)
    assert len(bench.upstream.requests) > 100
    bench.failing = 0
    clean = [asyncio.create_task(bench.book.window(at, at + 50)) for at in range(0, ORDERS, 50)]
    await bench.clock.advance(8)
    assert sum(len(window.result().rows) for window in clean) == ORDERS
    await bench.client.aclose(0)
