"""A store that fails, hangs, is slow or comes back, as whoever uses it sees it."""

import asyncio
import logging

import pytest

from app.cache.store import StoreError
from app.cache.store_access import (
    BACKGROUND_BUDGET,
    CALLER_BUDGET,
    DOWN_SECONDS,
    HANGING_SECONDS,
    MAX_DOWN_SECONDS,
    STABLE_SECONDS,
    StoreAccess,
    StoreUnavailable,
)
from app.single_flight import SingleFlight
from tests.support.clock import ManualClock, settle


class FakeStore:
    """A store with one operation, which answers when a test lets it."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.calls = self.completed = 0
        self.closed = False

    async def operation(self) -> str:
        self.calls += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        self.completed += 1
        return "answer"

    async def close(self) -> None:
        await self.gate.wait()
        self.closed = True


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = FakeStore()
        self.access = StoreAccess(self.store, self.clock)  # type: ignore[arg-type]

    async def run(self, *, is_probe: bool = False) -> str:
        return await self.access.run(self.store.operation, is_probe=is_probe)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


async def test_an_operation_returns_its_answer(bench: Bench):
    assert await bench.run() == "answer"


async def test_a_caller_waits_for_its_budget_and_the_operation_goes_on(bench: Bench):
    bench.store.gate.clear()
    waiting = asyncio.ensure_future(bench.run())
    await bench.clock.advance(CALLER_BUDGET * 0.9)
    assert not waiting.done()
    await bench.clock.advance(CALLER_BUDGET * 0.2)
    with pytest.raises(StoreUnavailable):
        await waiting
    bench.store.gate.set()
    await settle()
    assert bench.store.completed == 1
    assert not bench.access.is_down


async def test_an_answer_that_comes_too_late_is_passed_on(bench: Bench):
    bench.store.gate.clear()
    late: list[str] = []
    waiting = asyncio.ensure_future(bench.access.run(bench.store.operation, on_late=late.append))
    await bench.clock.advance(CALLER_BUDGET)
    with pytest.raises(StoreUnavailable):
        await waiting
    bench.store.gate.set()
    await settle()
    assert late == ["answer"]


async def test_an_error_that_comes_too_late_is_passed_to_nobody(bench: Bench):
    bench.store.gate.clear()
    late: list[str] = []
    waiting = asyncio.ensure_future(bench.access.run(bench.store.operation, on_late=late.append))
    await bench.clock.advance(CALLER_BUDGET)
    with pytest.raises(StoreUnavailable):
        await waiting
    bench.store.error = StoreError("lost")
    bench.store.gate.set()
    await settle()
    assert (late, bench.access.is_down) == ([], True)


async def test_while_an_operation_hangs_nobody_else_waits(bench: Bench):
    bench.store.gate.clear()
    waiting = asyncio.ensure_future(bench.run())
    await bench.clock.advance(HANGING_SECONDS * 1.1)
    with pytest.raises(StoreUnavailable):
        await waiting
    with pytest.raises(StoreUnavailable):
        await bench.run()
    assert bench.store.calls == 1
    bench.store.gate.set()
    await settle()
    assert await bench.run() == "answer"


async def test_an_operation_of_no_caller_may_take_longer(bench: Bench):
    flights: SingleFlight[str, str] = SingleFlight(bench.clock)
    bench.store.gate.clear()
    flight = flights.launch("key", bench.run)
    await bench.clock.advance(BACKGROUND_BUDGET * 0.9)
    assert not flight.task.done()
    bench.store.gate.set()
    await settle()
    assert flight.task.result() == "answer"


async def test_a_caller_that_is_cancelled_does_not_cancel_the_operation(bench: Bench):
    bench.store.gate.clear()
    waiting = asyncio.ensure_future(bench.run())
    await settle()
    waiting.cancel()
    await settle()
    bench.store.gate.set()
    await settle()
    assert bench.store.completed == 1


async def test_a_store_that_fails_is_not_used_until_a_probe_succeeds_and_each_is_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    bench.store.error = StoreError("lost")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await bench.run()
    assert bench.store.calls == 1
    with pytest.raises(StoreUnavailable):
        await bench.run(is_probe=True)
    assert events(caplog) == ["store_down"]
    bench.store.error = None
    assert await bench.run(is_probe=True) == "answer"
    assert await bench.run() == "answer"
    assert events(caplog) == ["store_down", "store_up"]


async def test_an_operation_from_before_the_failure_does_not_bring_the_store_back(bench: Bench):
    bench.store.gate.clear()
    early = asyncio.ensure_future(bench.access.run(bench.store.operation, caller_budget=9))
    await settle()
    bench.access._report_down("lost")
    bench.store.gate.set()
    assert await early == "answer"
    assert bench.access.is_down


async def test_a_store_that_hangs_for_long_is_reported_as_down(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    bench.access.check()
    bench.store.gate.clear()
    waiting = asyncio.ensure_future(bench.run())
    await bench.clock.advance(DOWN_SECONDS * 1.1)
    bench.access.check()
    bench.access.check()
    assert bench.access.is_down
    assert events(caplog) == ["store_down"]
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_an_error_that_nobody_expects_is_logged_and_the_store_counts_as_down(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    bench.store.error = TypeError("bug")
    with pytest.raises(StoreUnavailable):
        await bench.run()
    assert events(caplog) == ["unhandled_exception", "store_down"]
    assert bench.access.is_down


async def test_operations_whose_result_nobody_needs_are_not_started_while_the_store_is_down(
    bench: Bench,
):
    bench.access.start(bench.store.operation)
    await settle()
    assert bench.store.completed == 1
    bench.access.is_down = True
    bench.access.start(bench.store.operation)
    await settle()
    assert bench.store.calls == 1


async def test_a_store_that_fails_again_after_each_recovery_is_down_for_longer_each_time(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    for _ in range(120):
        bench.store.error = StoreError("no permission")
        with pytest.raises(StoreUnavailable):
            await bench.run()
        bench.store.error = None
        await bench.run(is_probe=True)
        await bench.clock.advance(1)
    # Down for 0, 1, 2, 4, 8, 16, 30 and 30 seconds.
    assert events(caplog) == [*["store_down", "store_up"] * 8, "store_down"]
    await bench.clock.advance(MAX_DOWN_SECONDS)
    await bench.run(is_probe=True)
    await bench.clock.advance(STABLE_SECONDS)
    bench.store.error = StoreError("another failure")
    with pytest.raises(StoreUnavailable):
        await bench.run()
    bench.store.error = None
    await bench.run(is_probe=True)
    assert not bench.access.is_down


async def test_closing_waits_for_operations_in_progress(bench: Bench):
    bench.store.gate.clear()
    bench.access.start(bench.store.operation)
    closing = asyncio.ensure_future(bench.access.close(1))
    await bench.clock.advance(0.5)
    assert not closing.done()
    bench.store.gate.set()
    await closing
    assert (bench.store.completed, bench.store.closed) == (1, True)


async def test_closing_ends_although_the_store_hangs(bench: Bench):
    bench.store.gate.clear()
    bench.access.start(bench.store.operation)
    waiting = asyncio.ensure_future(bench.run())
    closing = asyncio.ensure_future(bench.access.close(1))
    await bench.clock.advance(1 + BACKGROUND_BUDGET)
    await closing
    with pytest.raises(StoreUnavailable):
        await waiting
    assert not bench.store.closed


async def test_a_cancelled_operation_counts_as_no_answer(bench: Bench):
    bench.store.gate.clear()
    waiting = asyncio.ensure_future(bench.run())
    await settle()
    closing = asyncio.ensure_future(bench.access.close(0))
    await bench.clock.advance(0)
    with pytest.raises(StoreUnavailable):
        await waiting
    bench.store.gate.set()
    await closing
