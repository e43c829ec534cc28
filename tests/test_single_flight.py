"""Concurrent calls for one key are one call."""

import asyncio

import pytest

from app.single_flight import SingleFlight, TooManyWaiters, current_flight, has_waiters
from tests.support.clock import ManualClock, settle


class Work:
    """A call that a test lets end."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.ended = False

    async def __call__(self) -> int:
        await self.gate.wait()
        self.ended = True
        return 42


class CountingClock(ManualClock):
    """Tells how many timers were set."""

    sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


async def test_everyone_who_waits_gets_the_one_result():
    flights: SingleFlight[str, int] = SingleFlight(ManualClock())
    work = Work()
    flight = flights.launch("a", work)
    waiting = [asyncio.ensure_future(flight.landed_within(8)) for _ in range(100)]
    await settle()
    work.gate.set()
    assert all(await asyncio.gather(*waiting))
    assert flight.result() == 42
    assert flight.failure() is None
    assert flights.under_way("a") is None


async def test_a_leaver_does_not_end_the_flight_for_others():
    flights: SingleFlight[str, int] = SingleFlight(ManualClock())
    work = Work()
    flight = flights.launch("a", work)
    leaver = asyncio.ensure_future(flight.landed_within(8))
    stayer = asyncio.ensure_future(flight.landed_within(8))
    await settle()
    leaver.cancel()
    await settle()
    assert flight.waiters == 1
    work.gate.set()
    assert await stayer
    assert work.ended


async def test_who_has_waited_long_enough_goes_and_the_flight_goes_on():
    clock = ManualClock()
    flights: SingleFlight[str, int] = SingleFlight(clock)
    work = Work()
    flight = flights.launch("a", work)
    waiting = asyncio.ensure_future(flight.landed_within(2))
    await clock.advance(2)
    assert waiting.result() is False
    assert flights.under_way("a") is flight
    work.gate.set()
    await settle()
    assert work.ended
    assert await flight.landed_within(0)


async def test_a_failure_is_shared_and_an_abandoned_one_is_quiet():
    async def fail() -> int:
        raise ValueError("no")

    flights: SingleFlight[str, int] = SingleFlight(ManualClock())
    flight = flights.launch("a", fail)
    await settle()
    assert isinstance(flight.failure(), ValueError)
    with pytest.raises(ValueError, match="no"):
        flight.result()


async def test_a_flight_has_no_more_waiters_than_it_may():
    flights: SingleFlight[str, int] = SingleFlight(ManualClock(), max_waiters=1)
    work = Work()
    flight = flights.launch("a", work)
    waiting = asyncio.ensure_future(flight.landed_within(8))
    await settle()
    with pytest.raises(TooManyWaiters):
        await flight.landed_within(8)
    work.gate.set()
    assert await waiting


async def test_each_waits_as_long_as_he_would_whoever_came_before():
    clock = ManualClock()
    flights: SingleFlight[str, int] = SingleFlight(clock)
    work = Work()
    flight = flights.launch("a", work)
    patient = asyncio.ensure_future(flight.landed_within(8))
    await settle()
    hasty = asyncio.ensure_future(flight.landed_within(1))
    alike = asyncio.ensure_future(flight.landed_within(1))
    await clock.advance(1)
    assert hasty.done()
    assert alike.done()
    assert not patient.done()
    await clock.advance(7)
    assert patient.result() is False
    assert flight.waiters == 0
    work.gate.set()
    await settle()


async def test_one_timer_serves_any_number_of_waiters():
    clock = CountingClock()
    flights: SingleFlight[str, int] = SingleFlight(clock)
    work = Work()
    flight = flights.launch("a", work)
    waiting = [asyncio.ensure_future(flight.landed_within(8)) for _ in range(1000)]
    await settle()
    assert clock.sleeps == 1
    work.gate.set()
    assert all(await asyncio.gather(*waiting))


async def test_those_who_waited_are_woken_in_the_order_in_which_they_came():
    flights: SingleFlight[str, int] = SingleFlight(ManualClock())
    work = Work()
    flight = flights.launch("a", work)
    woken = []

    async def wait(name: int) -> None:
        await flight.landed_within(9 - name)
        woken.append(name)

    waiting = [asyncio.ensure_future(wait(name)) for name in range(5)]
    await settle()
    work.gate.set()
    await asyncio.gather(*waiting)
    assert woken == [0, 1, 2, 3, 4]


async def test_who_comes_and_leaves_is_not_held_for_ever():
    flights: SingleFlight[str, int] = SingleFlight(ManualClock(), max_waiters=2)
    work = Work()
    flight = flights.launch("a", work)
    for _ in range(100):
        leaver = asyncio.ensure_future(flight.landed_within(8))
        await settle()
        leaver.cancel()
        await settle()
    assert len(flight._waiting) <= 4
    work.gate.set()
    await settle()


async def test_closing_lets_flights_run_out():
    flights: SingleFlight[str, int] = SingleFlight(ManualClock())
    work = Work()
    flights.launch("a", work)
    closing = asyncio.ensure_future(flights.close(10))
    await settle()
    assert not closing.done()
    work.gate.set()
    await closing
    assert work.ended
    assert len(flights) == 0
    await flights.close(10)


async def test_closing_ends_what_does_not_end_in_time():
    clock = ManualClock()
    flights: SingleFlight[str, int] = SingleFlight(clock)
    work = Work()
    flights.launch("a", work)
    closing = asyncio.ensure_future(flights.close(10))
    await clock.advance(10)
    await closing
    assert not work.ended
    assert len(flights) == 0


async def test_the_work_of_a_flight_can_see_whether_it_has_waiters():
    flights: SingleFlight[str, bool] = SingleFlight(ManualClock())
    work = Work()
    seen: list[bool] = []

    async def watch() -> bool:
        seen.append(has_waiters())
        await work()
        seen.append(has_waiters())
        return True

    assert has_waiters()
    assert current_flight() is None
    flight = flights.launch("a", watch)
    await settle()
    waiting = asyncio.ensure_future(flight.landed_within(8))
    await settle()
    assert flight.has_waiters()
    work.gate.set()
    assert await waiting
    assert seen == [False, True]
    assert not flight.has_waiters()


async def test_a_flight_that_waits_for_another_counts_as_a_waiter_while_it_has_waiters_itself():
    clock = ManualClock()
    flights: SingleFlight[str, int] = SingleFlight(clock)
    work = Work()
    inner = flights.launch("inner", work)

    async def wait_for_inner() -> int:
        await asyncio.gather(inner.landed_within(8))
        return inner.result()

    outer = flights.launch("outer", wait_for_inner)
    await settle()
    assert not inner.has_waiters()
    caller = asyncio.ensure_future(outer.landed_within(1))
    await settle()
    assert inner.has_waiters()
    await clock.advance(1)
    assert not await caller
    assert not inner.has_waiters()
    work.gate.set()
    await settle()
