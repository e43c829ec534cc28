"""Waiting for a future, at most so many seconds, and time in which the machine was suspended."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import MAX_LAG_SECONDS, Clock, SuspendAwareClock, SystemClock
from tests.support.clock import ManualClock, settle


def new_future() -> "asyncio.Future[int]":
    return asyncio.get_running_loop().create_future()


async def test_a_future_that_is_done_in_time_finishes_within_the_timeout():
    clock = ManualClock()
    future = new_future()
    waiting = asyncio.ensure_future(clock.finishes_within(future, 2))
    await clock.advance(1.9)
    future.set_result(1)
    assert await waiting
    assert clock.pending_timers == 0


async def test_a_future_that_takes_longer_does_not_and_is_not_cancelled():
    clock = ManualClock()
    future = new_future()
    waiting = asyncio.ensure_future(clock.finishes_within(future, 2))
    await clock.advance(2)
    assert not await waiting
    assert not future.done()


async def test_a_future_that_failed_has_finished_and_its_error_is_not_raised():
    future = new_future()
    future.set_exception(ValueError("no"))
    assert await ManualClock().finishes_within(future, 0)
    assert isinstance(future.exception(), ValueError)


async def test_a_cancelled_waiter_leaves_the_future_alone_and_its_timer_is_cancelled():
    clock = ManualClock()
    future = new_future()
    waiting = asyncio.ensure_future(clock.finishes_within(future, 2))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not future.cancelled()
    assert clock.pending_timers == 0


@pytest.mark.parametrize("clock", [ManualClock(), SystemClock()])
async def test_a_cancelled_timer_does_not_run(clock: Clock):
    called: list[str] = []
    clock.call_later(0, lambda: called.append("cancelled")).cancel()
    clock.call_later(0, lambda: called.append("due"))
    if isinstance(clock, ManualClock):
        await clock.advance(0)
    await settle()
    assert called == ["due"]


async def test_time_in_which_the_machine_was_suspended_counts():
    inner = ManualClock()
    clock = SuspendAwareClock(inner)
    started = clock.monotonic()
    await inner.advance(10)
    assert clock.monotonic() - started == 10
    inner.wall_offset = timedelta(hours=8)
    assert clock.monotonic() - started == 8 * 3600 + 10
    assert clock.now() == inner.now()
    await inner.advance(5)
    assert clock.monotonic() - started == 8 * 3600 + 15


async def test_a_wall_clock_that_is_set_back_changes_nothing():
    inner = ManualClock()
    clock = SuspendAwareClock(inner)
    started = clock.monotonic()
    inner.wall_offset = timedelta(hours=-1)
    assert clock.monotonic() == started
    await inner.advance(5)
    assert clock.monotonic() - started == 5
    inner.wall_offset = timedelta()
    assert clock.monotonic() - started == 3605, "what was read meanwhile has an earlier time"


@given(st.lists(st.floats(-5, 20), max_size=30))
def test_no_age_is_far_below_the_wall_time_that_has_passed(jumps: list[float]):
    inner = ManualClock()
    clock = SuspendAwareClock(inner)
    times = [(clock.monotonic(), clock.now())]
    for jump in jumps:
        inner.wall_offset += timedelta(seconds=jump)
        now, wall = clock.monotonic(), clock.now()
        for earlier, earlier_wall in times:
            passed = (wall - earlier_wall).total_seconds()
            assert now - earlier >= 0
            assert now - earlier > passed - 2 * MAX_LAG_SECONDS - 1e-6
        times.append((now, wall))


async def test_sleeping_and_timers_are_those_of_the_other_clock():
    inner = ManualClock()
    clock = SuspendAwareClock(inner)
    called: list[float] = []
    clock.call_later(1, lambda: called.append(clock.monotonic()))
    sleeping = asyncio.create_task(clock.sleep(2))
    await inner.advance(2)
    await sleeping
    assert called == [1001.0]


def test_the_machine_s_clock_has_one_wall_time():
    clock = SuspendAwareClock(SystemClock())
    before, now, after = SystemClock().timestamp(), clock.now().timestamp(), clock.timestamp()
    assert before - 1e-3 <= now <= after + 1e-3
