"""Waiting for a future, at most so many seconds."""

import asyncio

import pytest

from app.clock import Clock, SystemClock
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
