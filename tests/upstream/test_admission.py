"""What a call's end tells of the upstream, and who is refused for it."""

import asyncio

import pytest

from app.upstream import errors
from app.upstream.admission import Admission, classify_error
from app.upstream.breaker import Breaker, CallResult
from app.upstream.limiter import CallLimiter
from tests.support.clock import ManualClock, settle


class Bench:
    """A guard, and calls that fail when a test says so."""

    def __init__(self, *, max_concurrency: int = 8) -> None:
        self.clock = ManualClock()
        self.governor = CallLimiter(self.clock, max_concurrency=max_concurrency, max_rate=100)
        self.guard = Admission(self.governor, Breaker(pause=5), self.clock)
        self.out = 0

    async def call(
        self, error: Exception | None = None, until: asyncio.Event | None = None
    ) -> None:
        async with self.guard.slot(self.clock.monotonic() + 8):
            self.out += 1
            if until:
                await until.wait()
            if error:
                raise error

    async def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(errors.UpstreamFailed):
                await self.call(errors.UpstreamFailed("failed"))


def test_the_upstream_is_ill_if_it_cannot_be_reached_is_silent_or_fails_and_else_well():
    told = {
        kind: classify_error(kind("x"))
        for kind in (
            errors.UpstreamUnreachable,
            errors.UpstreamTimeout,
            errors.UpstreamFailed,
            errors.DeadlineExceeded,
            errors.StaleConnection,
            errors.UpstreamThrottled,
            errors.UpstreamRejected,
            errors.UpstreamMalformed,
            errors.UpstreamCredentialRejected,
            errors.OrderNotFound,
        )
    }
    assert (
        list(told.values())
        == [CallResult.FAILURE] * 3 + [CallResult.IGNORED] * 2 + [CallResult.SUCCESS] * 5
    )


async def test_an_ill_upstream_is_not_asked_and_an_honest_time_is_told():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(2)
    assert bench.guard.is_rejecting
    with pytest.raises(errors.UpstreamUnavailable) as refused:
        await bench.call()
    assert refused.value.retry_after == 3
    await bench.clock.advance(3)
    assert not bench.guard.is_rejecting
    await bench.call()
    await bench.call()
    assert bench.out == 7


async def test_while_a_probe_is_out_everybody_else_is_refused():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(5)
    end = asyncio.Event()
    probe = asyncio.create_task(bench.call(until=end))
    await settle()
    with pytest.raises(errors.UpstreamUnavailable) as refused:
        await bench.call()
    assert refused.value.retry_after == 1
    end.set()
    await probe
    await bench.call()


async def test_who_waits_for_a_turn_when_the_upstream_falls_ill_is_refused_at_once():
    bench = Bench(max_concurrency=1)
    end = asyncio.Event()
    await bench.fail(4)
    last = asyncio.create_task(bench.call(errors.UpstreamTimeout("silent"), end))
    await settle()
    waiting = asyncio.create_task(bench.call())
    await settle()
    end.set()
    with pytest.raises(errors.UpstreamTimeout):
        await last
    with pytest.raises(errors.UpstreamUnavailable) as refused:
        await waiting
    assert refused.value.retry_after == 5
    assert bench.out == 5


async def test_a_throttling_slows_us_down_and_opens_nothing():
    bench = Bench()
    for _ in range(6):
        with pytest.raises(errors.UpstreamThrottled):
            await bench.call(errors.UpstreamThrottled("slow", retry_after=0.0))
        await bench.clock.advance(1)
    assert bench.governor.rate < 10
    assert not bench.guard.is_rejecting


async def test_a_call_that_fails_gives_its_place_back_whatever_it_failed_with():
    bench = Bench(max_concurrency=1)
    for error in (errors.UpstreamMalformed("x"), ValueError("a fault of ours")):
        with pytest.raises(type(error)):
            await bench.call(error)
    await bench.call()


async def test_a_probe_that_finds_no_place_in_time_lets_the_next_one_go():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(5)
    with pytest.raises(errors.DeadlineExceeded):
        async with bench.guard.slot(bench.clock.monotonic()):
            raise AssertionError("no time was left")
    await bench.call()
    await bench.call()


async def test_a_probe_that_is_called_off_lets_the_next_one_go():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(5)
    probe = asyncio.create_task(bench.call(until=asyncio.Event()))
    await settle()
    probe.cancel()
    await settle()
    await bench.call()
    await bench.call()
