"""Callers that disconnect at any point leak no connection, no task and no memory."""

import asyncio
import gc
from random import Random
from zoneinfo import ZoneInfo

import httpx

from app.cache.freshness import Lifetime
from app.cache.grace_cache import GraceCache
from app.orders.blocks import Block, Window
from app.orders.book import OrderBook
from app.orders.source import OrderSource
from tests.support.clock import ManualClock
from tests.support.upstream import ScriptedUpstream, client_of

MAX_CONCURRENCY = 3
ORDERS = 1000


class Scenario:
    """An order book and an upstream client, with an upstream that is slow and sometimes fails."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.failure_rate = 0.05
        self.random = Random(7)  # noqa: S311  the same in every run
        self.upstream = ScriptedUpstream(ORDERS)
        self.client = client_of(
            self.upstream,
            self.clock,
            transport=httpx.MockTransport(self._respond),
            max_concurrency=MAX_CONCURRENCY,
            max_rate=100,
            max_attempts=3,
            random=self.random.random,
        )
        source = OrderSource(self.client, self.clock, zone=ZoneInfo("UTC"), deadline=8)
        blocks: GraceCache[int, Block] = GraceCache(
            Lifetime(2, 5, 25),
            self.clock,
            min_age=5,
            max_stale_wait=2,
            max_entries=100,
            max_bytes=10**9,
            size_of=lambda block: block.size,
        )
        self.book = OrderBook(blocks, source.fetch_block, self.clock, deadline=8)

    async def _respond(self, request: httpx.Request) -> httpx.Response:
        await self.clock.sleep(self.random.choice((0.05, 0.2, 1)))
        if self.random.random() < self.failure_rate:
            raise httpx.ReadError("reset")
        response: httpx.Response = await self.upstream.transport.handler(request)  # type: ignore[misc]
        return response

    def request_window(self) -> "asyncio.Task[Window]":
        start = self.random.choice((0, self.random.randrange(ORDERS)))
        return asyncio.create_task(self.book.window(start, start + 30))

    async def churn(self, callers: int) -> None:
        """Run callers, fifty at a time, and cancel most of them after a few turns of the loop."""
        for _ in range(callers // 50):
            tasks = [self.request_window() for _ in range(50)]
            for task in self.random.sample(tasks, 45):
                for _ in range(self.random.choice((0, 0, 0, 1, 2, 5))):
                    await asyncio.sleep(0)
                task.cancel()
            await self.clock.advance(self.random.choice((0.01, 0.3, 3)))
            for task in tasks:
                task.cancel()
        await self.clock.advance(120)


def object_count() -> int:
    """Return the number of objects in memory that the garbage collector tracks."""
    gc.collect()
    return len(gc.get_objects())


async def test_thousands_of_disconnects_leak_no_connection_no_task_and_no_memory():
    scenario = Scenario()
    before = asyncio.all_tasks()
    await scenario.churn(500)
    objects = object_count()
    await scenario.churn(2000)
    assert object_count() < objects + 2000
    assert asyncio.all_tasks() == before
    assert len(scenario.book.blocks._flights) == 0
    limiter = scenario.client._transport._admission._limiter
    assert (limiter._in_flight, limiter._queue, limiter._timer) == (0, [], None)
    assert len(scenario.upstream.requests) > 100
    scenario.failure_rate = 0
    windows = [
        asyncio.create_task(scenario.book.window(at, at + 50)) for at in range(0, ORDERS, 50)
    ]
    await scenario.clock.advance(8)
    assert sum(len(window.result().rows) for window in windows) == ORDERS
    await scenario.client.close(0)
