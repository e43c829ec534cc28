"""Concurrent calls for one key are one call."""

import asyncio
import gc
import weakref

import pytest

from app.single_flight import MAX_CALLERS, SingleFlight, TooManyWaiters, current_flight
from tests.support.callers import start_for
from tests.support.clock import ManualClock, settle


class Work:
    """A call that ends when the test opens its gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.ended = False

    async def __call__(self) -> int:
        await self.gate.wait()
        self.ended = True
        return 42


class Harness:
    """Flights, and one of them in progress."""

    def __init__(self, *, max_waiters: int = 10_000) -> None:
        self.clock = ManualClock()
        self.flights: SingleFlight[str, int] = SingleFlight(self.clock, max_waiters=max_waiters)
        self.work = Work()
        self.flight = self.flights.launch("a", self.work)

    async def wait(self, timeout: float | None = 8) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self.flight.wait(timeout))
        await settle()
        return task


async def test_all_waiters_get_the_one_result():
    harness = Harness()
    waiters = [asyncio.ensure_future(harness.flight.wait(8)) for _ in range(100)]
    await settle()
    harness.work.gate.set()
    assert all(await asyncio.gather(*waiters))
    assert harness.flight.task.result() == 42
    assert harness.flight.task.exception() is None
    assert harness.flights.get("a") is None


async def test_a_cancelled_waiter_does_not_end_the_flight():
    harness = Harness()
    cancelled, other = await harness.wait(), await harness.wait()
    cancelled.cancel()
    await settle()
    assert cancelled.cancelled()
    harness.work.gate.set()
    assert await other
    assert harness.work.ended


async def test_a_waiter_that_is_cancelled_as_the_flight_ends_is_cancelled():
    harness = Harness()
    waiter = await harness.wait()
    harness.work.gate.set()
    await asyncio.sleep(0)  # the work has ended, its waiters are notified in the next turn
    waiter.cancel()
    await settle()
    assert waiter.cancelled()


async def test_a_waiter_times_out_and_the_flight_goes_on():
    harness = Harness()
    waiter = await harness.wait(2)
    await harness.clock.advance(2)
    assert waiter.result() is False
    assert harness.flights.get("a") is harness.flight
    harness.work.gate.set()
    await settle()
    assert harness.work.ended
    assert await harness.flight.wait(0)


async def test_each_waiter_has_its_own_timeout():
    harness = Harness()
    unlimited, long, short = [await harness.wait(timeout) for timeout in (None, 8, 1)]
    await harness.clock.advance(1)
    assert [waiter.done() for waiter in (unlimited, long, short)] == [False, False, True]
    await harness.clock.advance(7)
    assert [waiter.done() for waiter in (unlimited, long, short)] == [False, True, True]
    harness.work.gate.set()
    assert await unlimited


async def test_timers_are_cancelled_when_the_flight_ends():
    harness = Harness()
    waiters = [await harness.wait() for _ in range(3)]
    assert harness.clock.pending_timers == 3
    harness.work.gate.set()
    await asyncio.gather(*waiters)
    assert harness.clock.pending_timers == 0


async def test_waiters_are_notified_in_the_order_of_their_arrival():
    harness = Harness()
    notified = []

    async def wait(number: int) -> None:
        await harness.flight.wait(9 - number)
        notified.append(number)

    waiters = [asyncio.ensure_future(wait(number)) for number in range(5)]
    await settle()
    harness.work.gate.set()
    await asyncio.gather(*waiters)
    assert notified == [0, 1, 2, 3, 4]


async def test_however_many_wait_all_are_woken_at_once():
    harness = Harness()
    waiters = [asyncio.ensure_future(harness.flight.wait(8)) for _ in range(2000)]
    await settle()
    harness.work.gate.set()
    for _ in range(5):  # turns of the event loop
        await asyncio.sleep(0)
    assert all(waiter.done() for waiter in waiters)
    assert harness.clock.pending_timers == 0


async def test_an_exception_is_shared_and_is_not_logged_if_nobody_waits():
    async def fail() -> int:
        raise ValueError("no")

    flights: SingleFlight[str, int] = SingleFlight(ManualClock())
    flight = flights.launch("a", fail)
    await settle()
    assert isinstance(flight.task.exception(), ValueError)
    with pytest.raises(ValueError, match="no"):
        flight.task.result()


async def test_the_number_of_waiters_is_bounded():
    harness = Harness(max_waiters=1)
    waiter = await harness.wait()
    with pytest.raises(TooManyWaiters):
        await harness.flight.wait(8)
    waiter.cancel()
    await settle()
    waiter = await harness.wait()
    harness.work.gate.set()
    assert await waiter


async def test_half_of_the_waiters_may_be_of_one_caller():
    harness = Harness(max_waiters=4)
    waiters = [start_for("greedy", harness.flight.wait(8)) for _ in range(2)]
    await settle()
    with pytest.raises(TooManyWaiters):
        await start_for("greedy", harness.flight.wait(8))
    waiters += [start_for("polite", harness.flight.wait(8)) for _ in range(2)]
    await settle()
    harness.work.gate.set()
    assert all(await asyncio.gather(*waiters))


async def test_a_flight_belongs_to_the_callers_that_wait_for_it_also_through_another():
    harness = Harness()
    outer = harness.flights.launch("outer", harness.flight.wait)
    await settle()
    assert not harness.flight.callers()
    waiters = [
        start_for("a", harness.flight.wait(8)),
        start_for("b", outer.wait(8)),
        start_for("c", outer.wait(1)),
        start_for("a", outer.wait(8)),
    ]
    await settle()
    assert set(harness.flight.callers()) == {("a",), ("b",), ("c",)}
    await harness.clock.advance(1)
    assert set(harness.flight.callers()) == {("a",), ("b",)}
    harness.work.gate.set()
    await asyncio.gather(*waiters)
    assert not harness.flight.callers()


async def test_of_very_many_callers_only_some_are_distinguished():
    harness = Harness()
    waiters = [start_for(str(number), harness.flight.wait(8)) for number in range(100)]
    await settle()
    assert len(harness.flight.callers()) == MAX_CALLERS
    harness.work.gate.set()
    await asyncio.gather(*waiters)


async def test_a_flight_may_wait_for_another_that_has_the_maximum_of_waiters():
    harness = Harness(max_waiters=0)
    other = harness.flights.launch("b", harness.flight.wait)
    await settle()
    harness.work.gate.set()
    await settle()
    assert other.task.result()


async def test_closing_waits_for_the_flights():
    harness = Harness()
    closing = asyncio.ensure_future(harness.flights.close(10))
    await settle()
    assert not closing.done()
    harness.work.gate.set()
    await closing
    assert harness.work.ended
    assert len(harness.flights) == 0
    await harness.flights.close(10)


async def test_closing_cancels_flights_that_take_longer_than_the_timeout():
    harness = Harness()
    closing = asyncio.ensure_future(harness.flights.close(10))
    await harness.clock.advance(10)
    await closing
    assert not harness.work.ended
    assert len(harness.flights) == 0


async def test_the_work_of_a_flight_can_see_whether_it_has_waiters():
    flights: SingleFlight[str, bool] = SingleFlight(ManualClock())
    work = Work()
    seen: list[bool] = []

    async def watch() -> bool:
        flight = current_flight()
        assert flight
        seen.append(flight.has_waiters())
        await work()
        seen.append(flight.has_waiters())
        return True

    assert current_flight() is None
    flight = flights.launch("a", watch)
    await settle()
    waiter = asyncio.ensure_future(flight.wait(8))
    await settle()
    assert flight.has_waiters()
    work.gate.set()
    assert await waiter
    assert seen == [False, True]
    assert not flight.has_waiters()


async def test_a_waiter_that_is_part_of_a_flight_counts_while_that_flight_has_waiters():
    harness = Harness()

    async def wait_for_the_other() -> int:
        await asyncio.gather(harness.flight.wait())
        return harness.flight.task.result()

    outer = harness.flights.launch("outer", wait_for_the_other)
    await settle()
    assert not harness.flight.has_waiters()
    waiter = asyncio.ensure_future(outer.wait(1))
    await settle()
    assert harness.flight.has_waiters()
    await harness.clock.advance(1)
    assert not await waiter
    assert not harness.flight.has_waiters()
    harness.work.gate.set()
    await settle()


async def test_a_detached_flight_is_not_joined_and_ends_for_its_waiters():
    flights: SingleFlight[str, int] = SingleFlight(ManualClock())
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        return 1

    first = flights.launch("a", work)
    waiting = asyncio.ensure_future(first.wait())
    flights.detach_all()
    assert flights.get("a") is None
    second = flights.launch("a", work)
    gate.set()
    assert await waiting
    assert (first.task.result(), await second.task) == (1, 1)
    await settle()
    assert len(flights) == 0


async def test_detached_flights_are_cancelled_on_close():
    clock = ManualClock()
    flights: SingleFlight[str, bool] = SingleFlight(clock)
    flight = flights.launch("a", asyncio.Event().wait)
    flights.detach_all()
    closing = asyncio.ensure_future(flights.close(1))
    await clock.advance(1)
    await closing
    assert flight.task.cancelled()


async def test_a_result_that_nobody_uses_any_more_is_freed_without_a_garbage_collection():
    class Result: ...

    flights: SingleFlight[str, Result] = SingleFlight(ManualClock())

    async def work() -> Result:
        return Result()

    gc.disable()
    try:
        flight = flights.launch("a", work)
        assert await flight.wait()
        await settle()
        result = weakref.ref(flight.task.result())
        del flight
        assert result() is None
    finally:
        gc.enable()
