"""A client that does not give back what it took is replaced, and nothing of it is left."""

import asyncio
import logging

import httpx
import pytest

from app.http import AsyncClient
from app.upstream.client_pool import ClientPool
from app.upstream.errors import DeadlineExceeded
from tests.support.clock import ManualClock, settle


class Client(httpx.AsyncClient):
    """Tells when it is closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()


class Bench:
    """Lines, and calls that end when a test says so."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.opened: list[Client] = []
        self.used: list[AsyncClient] = []
        self.lines = ClientPool(self._open, self.clock, lost_after=16)

    def call(self, end: asyncio.Event | None = None) -> "asyncio.Task[str]":
        async def call(http: AsyncClient) -> str:
            self.used.append(http)
            await (end or asyncio.Event()).wait()
            return "answer"

        return asyncio.create_task(self.lines.through(call))

    def _open(self) -> AsyncClient:
        self.opened.append(Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))))
        return self.opened[-1]


async def test_calls_that_come_back_leave_the_client_alone_and_no_task_behind():
    bench = Bench()
    before = asyncio.all_tasks()
    end = asyncio.Event()
    calls = [bench.call(end) for _ in range(3)]
    await bench.clock.advance(15)
    end.set()
    assert await asyncio.gather(*calls) == ["answer"] * 3
    await bench.clock.advance(100)
    assert len(bench.opened) == 1
    assert asyncio.all_tasks() == before
    await bench.lines.aclose()
    assert bench.opened[0].closed


async def test_a_call_that_never_comes_back_costs_its_client_and_the_next_has_another(
    caplog: pytest.LogCaptureFixture,
):
    bench = Bench()
    before = asyncio.all_tasks()
    end = asyncio.Event()
    lost = [bench.call() for _ in range(3)]
    await bench.clock.advance(10)
    late = bench.call(end)
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        await bench.clock.advance(6)
    for call in lost:
        with pytest.raises(DeadlineExceeded):
            await call
    assert [getattr(line, "fields", None) for line in caplog.records] == [{"why": "lost_call"}]
    assert len(bench.opened) == 2
    assert not bench.opened[0].closed  # one call is still under way through it
    end.set()
    assert await late == "answer"
    await settle()
    assert [client.closed for client in bench.opened] == [True, False]
    following = bench.call(end)
    assert await following == "answer"
    assert bench.used[-1] is bench.opened[1]
    assert asyncio.all_tasks() == before
    await bench.lines.aclose()


async def test_a_client_that_was_given_up_is_closed_after_a_time_whatever_is_under_way():
    class Deaf:
        """A call that does not end when it is told to."""

        def __init__(self) -> None:
            self.end = asyncio.Event()

        async def __call__(self, _: AsyncClient) -> None:
            while not self.end.is_set():
                try:
                    await self.end.wait()
                except asyncio.CancelledError:
                    continue

    bench = Bench()
    deaf = Deaf()
    lost = asyncio.create_task(bench.lines.through(deaf))
    await bench.clock.advance(16)
    with pytest.raises(DeadlineExceeded):
        await lost
    assert not bench.opened[0].closed
    await bench.clock.advance(16)
    assert bench.opened[0].closed
    deaf.end.set()
    await settle()


async def test_a_client_without_a_free_place_is_replaced_at_once():
    bench = Bench()

    async def crowded(_: AsyncClient) -> None:
        raise httpx.PoolTimeout("x")

    with pytest.raises(DeadlineExceeded):
        await bench.lines.through(crowded)
    await settle()
    assert [client.closed for client in bench.opened] == [True, False]


async def test_closing_ends_the_wait_for_a_client_that_was_given_up():
    bench = Bench()
    before = asyncio.all_tasks()
    end = asyncio.Event()
    lost = bench.call()
    await bench.clock.advance(1)
    late = bench.call(end)
    await bench.clock.advance(15)
    with pytest.raises(DeadlineExceeded):
        await lost
    await bench.lines.aclose()
    assert [client.closed for client in bench.opened] == [True, True]
    late.cancel()
    await settle()
    assert asyncio.all_tasks() == before
