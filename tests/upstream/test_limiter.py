"""The upstream gets no more of us than it may."""

import asyncio
from itertools import pairwise

import pytest

from app.upstream.errors import (
    DeadlineExceeded,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.limiter import CallLimiter
from tests.support.clock import ManualClock, settle


class Bench:
    """A governor, and calls that end when a test says so."""

    def __init__(
        self, *, max_concurrency: int = 2, max_rate: int = 100, max_queue: int = 1000
    ) -> None:
        self.clock = ManualClock()
        self.governor = CallLimiter(
            self.clock, max_concurrency=max_concurrency, max_rate=max_rate, max_queue=max_queue
        )
        self.awaited: dict[str, bool] = {}
        self.started: list[tuple[str, float]] = []
        self.ends: dict[str, asyncio.Event] = {}

    def call(self, name: str, behind: bool = False, *, within: float = 8) -> "asyncio.Task[None]":
        self.ends[name] = asyncio.Event()
        self.awaited[name] = not behind
        return asyncio.create_task(self._call(name, self.clock.monotonic() + within))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.started]

    async def _call(self, name: str, deadline: float) -> None:
        await self.governor.acquire(deadline, lambda: self.awaited[name])
        self.started.append((name, self.clock.monotonic() - 1000.0))
        await self.ends[name].wait()
        self.governor.release()

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


async def test_calls_start_evenly_and_never_more_within_any_second_than_may():
    bench = Bench(max_concurrency=100, max_rate=20)
    calls = [bench.call(str(number)) for number in range(70)]
    await bench.clock.advance(4)
    moments = [moment for _, moment in bench.started]
    assert len(moments) == 70
    assert bench.names == [str(number) for number in range(70)]
    assert moments[:4] == [0, 0, 0, 0]  # a fifth of a second's worth may come at once
    for first, later in zip(moments, moments[20:], strict=False):
        assert later - first >= 1 - 1e-9
    assert max(b - a for a, b in pairwise(moments[4:])) < 0.3
    await bench.end_all()
    await asyncio.gather(*calls)


async def test_a_start_that_the_rate_puts_past_the_deadline_never_comes():
    bench = Bench(max_concurrency=100, max_rate=1)
    first, second = bench.call("first", within=2), bench.call("second", within=2)
    third = bench.call("third", within=2)
    await bench.clock.advance(2)
    with pytest.raises(DeadlineExceeded):
        await third
    assert bench.names == ["first", "second"]
    await bench.end_all()
    await asyncio.gather(first, second)


async def test_a_call_that_somebody_waits_for_goes_before_one_behind():
    bench = Bench(max_concurrency=1)
    first = bench.call("first")
    calls = [bench.call("behind", behind=True), bench.call("in front"), bench.call("joined", True)]
    await settle()
    bench.awaited["joined"] = True  # a caller joins the refresh while it waits
    await bench.end_all()
    assert bench.names == ["first", "in front", "joined", "behind"]
    await asyncio.gather(first, *calls)


async def test_a_full_queue_is_told_and_a_refresh_behind_leaves_it_for_a_caller():
    bench = Bench(max_concurrency=1, max_queue=2)
    first, front = bench.call("first"), bench.call("front")
    behind = bench.call("behind", behind=True)
    await settle()
    late_behind = bench.call("late behind", behind=True)
    await settle()
    with pytest.raises(UpstreamUnavailable):
        await late_behind
    assert bench.governor.queued == 2
    late = bench.call("late")
    await settle()
    with pytest.raises(UpstreamUnavailable) as sent_away:
        await behind
    assert sent_away.value.retry_after == 2 / 100
    later = bench.call("later")
    await settle()
    with pytest.raises(UpstreamUnavailable):
        await later
    await bench.end_all()
    assert bench.names == ["first", "front", "late"]
    await asyncio.gather(first, front, late)


async def test_a_throttling_pauses_every_call_and_who_cannot_wait_so_long_is_told_at_once():
    bench = Bench(max_concurrency=2)
    first, second = bench.call("first"), bench.call("second")
    hasty, patient = bench.call("hasty", within=3), bench.call("patient")
    await settle()
    bench.governor.on_throttled(1000.0, 5)
    with pytest.raises(UpstreamThrottled) as told:
        await hasty
    assert told.value.retry_after == 5
    bench.ends["first"].set()
    await bench.clock.advance(1)
    with pytest.raises(UpstreamThrottled) as told:
        await bench.call("late", within=3)
    assert told.value.retry_after == 4
    await bench.clock.advance(3.9)
    assert bench.names == ["first", "second"]
    await bench.clock.advance(0.1)
    assert bench.names == ["first", "second", "patient"]
    await bench.end_all()
    await asyncio.gather(first, second, patient)


async def test_everybody_in_the_queue_can_be_sent_away_and_nothing_is_left_of_it():
    bench = Bench(max_concurrency=1)
    before = asyncio.all_tasks()
    calls = [bench.call(name) for name in "abc"]
    await settle()
    bench.governor.reject_all(UpstreamUnavailable("closed"))
    for call in calls[1:]:
        with pytest.raises(UpstreamUnavailable, match="closed"):
            await call
    leaver = bench.call("leaver")
    await settle()
    bench.governor.reject_all(UpstreamUnavailable("closed"))
    leaver.cancel()  # sent away and cancelled in the same moment
    await settle()
    await bench.end_all()
    await calls[0]
    assert bench.governor.queued == 0
    assert asyncio.all_tasks() == before
    next_one = bench.call("next")
    await settle()
    assert bench.names == ["a", "next"]
    await bench.end_all()
    await next_one


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
