"""The upstream gets no more of us than it may."""

import asyncio

import pytest

from app.upstream.errors import UpstreamTimeout
from app.upstream.governor import Governor
from tests.support.clock import ManualClock, settle


class Bench:
    """A governor, and calls that end when a test says so."""

    def __init__(self, *, max_concurrency: int = 2, max_rate: int = 100) -> None:
        self.clock = ManualClock()
        self.governor = Governor(self.clock, max_concurrency=max_concurrency, max_rate=max_rate)
        self.started: list[tuple[str, float]] = []
        self.ends: dict[str, asyncio.Event] = {}

    def call(self, name: str, *, within: float = 8) -> "asyncio.Task[None]":
        self.ends[name] = asyncio.Event()
        return asyncio.create_task(self._call(name, self.clock.monotonic() + within))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.started]

    async def _call(self, name: str, deadline: float) -> None:
        async with self.governor.place(deadline):
            self.started.append((name, self.clock.monotonic() - 1000.0))
            await self.ends[name].wait()

    async def end_all(self) -> None:
        for _ in range(len(self.ends)):
            for end in self.ends.values():
                end.set()
            await settle()


async def test_calls_beyond_the_bound_wait_their_turn_first_come_first_served():
    bench = Bench()
    calls = [bench.call(name) for name in "abcde"]
    await settle()
    assert bench.names == ["a", "b"]
    bench.ends["b"].set()
    await settle()
    assert bench.names == ["a", "b", "c"]
    late = bench.call("f")
    await bench.end_all()
    assert bench.names == list("abcdef")
    await asyncio.gather(*calls, late)


async def test_who_would_wait_past_its_deadline_is_told_so_and_the_others_wait_on():
    bench = Bench(max_concurrency=1)
    first = bench.call("first")
    hasty, patient = bench.call("hasty", within=3), bench.call("patient")
    await bench.clock.advance(3)
    with pytest.raises(UpstreamTimeout):
        await hasty
    bench.ends["first"].set()
    await settle()
    assert bench.names == ["first", "patient"]
    await bench.end_all()
    await asyncio.gather(first, patient)


async def test_a_deadline_that_has_passed_is_told_without_a_wait():
    bench = Bench(max_concurrency=1)
    first = bench.call("first")
    await settle()
    late = bench.call("late", within=-1)
    await bench.clock.advance(0)
    assert late.done()
    with pytest.raises(UpstreamTimeout):
        await late
    with pytest.raises(UpstreamTimeout):
        await Bench().call("late", within=-1)
    await bench.end_all()
    await first


async def test_a_call_that_fails_gives_its_place_back():
    governor = Governor(ManualClock(), max_concurrency=1, max_rate=100)
    for _ in range(3):
        with pytest.raises(ValueError, match="failed"):
            async with governor.place(1008.0):
                raise ValueError("failed")


async def test_no_more_calls_start_within_any_second_than_may():
    bench = Bench(max_concurrency=100, max_rate=3)
    calls = [bench.call(str(number)) for number in range(8)]
    await bench.clock.advance(0.5)
    assert len(bench.started) == 3
    await bench.clock.advance(3)
    assert [moment for _, moment in bench.started] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert bench.names == [str(number) for number in range(8)]
    await bench.end_all()
    await asyncio.gather(*calls)


async def test_a_start_that_the_rate_puts_past_the_deadline_is_refused_at_once():
    bench = Bench(max_concurrency=100, max_rate=1)
    first, second = bench.call("first", within=2), bench.call("second", within=2)
    third = bench.call("third", within=2)
    await settle()
    with pytest.raises(UpstreamTimeout):
        await third
    await bench.clock.advance(1)
    assert bench.names == ["first", "second"]
    await bench.end_all()
    await asyncio.gather(first, second)


async def test_a_cancelled_wait_costs_nobody_a_place():
    bench = Bench(max_concurrency=1)
    first, leaver, last = bench.call("first"), bench.call("leaver"), bench.call("last")
    await settle()
    leaver.cancel()
    bench.ends["first"].set()
    await settle()
    assert bench.names == ["first", "last"]
    await bench.end_all()
    await asyncio.gather(first, leaver, last, return_exceptions=True)


async def test_a_turn_that_comes_in_the_moment_of_a_cancelling_is_handed_on():
    bench = Bench(max_concurrency=1)
    first, leaver, last = bench.call("first"), bench.call("leaver"), bench.call("last")
    await settle()
    bench.ends["first"].set()
    await first  # the leaver has its turn now, and has not run yet
    leaver.cancel()
    await settle()
    assert leaver.cancelled()
    assert bench.names == ["first", "last"]
    await bench.end_all()
    await asyncio.gather(first, last)


async def test_a_quiet_time_saves_up_no_starts():
    bench = Bench(max_concurrency=100, max_rate=1)
    calls = [bench.call("first")]
    await bench.clock.advance(5)
    calls += [bench.call("second"), bench.call("third")]
    await bench.clock.advance(2)
    assert bench.started == [("first", 0), ("second", 5), ("third", 6)]
    await bench.end_all()
    await asyncio.gather(*calls)


async def test_a_wait_leaves_no_timer_behind():
    bench = Bench(max_concurrency=1)
    before = asyncio.all_tasks()
    calls = [bench.call(name) for name in "abc"]
    await settle()
    await bench.end_all()
    await asyncio.gather(*calls)
    await settle()
    assert asyncio.all_tasks() == before
