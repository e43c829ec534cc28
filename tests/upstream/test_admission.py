"""What the circuit breaker learns from the end of a call, and which calls an open one rejects."""

import asyncio
import logging
from functools import partial

import pytest

from app.upstream import errors
from app.upstream.breaker import Admission, Breaker, CallResult, classify_error
from app.upstream.fair_share import Operation
from app.upstream.limiter import CallLimiter
from tests.support.clock import ManualClock, settle


class Bench:
    """An admission, and calls that fail when a test says so."""

    def __init__(self, *, max_concurrency: int = 8) -> None:
        self.clock = ManualClock()
        self.limiter = CallLimiter(self.clock, max_concurrency=max_concurrency, max_rate=100)
        self.admission = Admission(self.limiter, partial(Breaker, open_seconds=5), self.clock)
        self.sent = 0

    async def call(
        self,
        error: Exception | None = None,
        until: asyncio.Event | None = None,
        *,
        order_no: str = "",
    ) -> None:
        """A call for a page of the list, or for an order."""
        operation = Operation.DETAIL if order_no else Operation.LIST
        async with self.admission.slot(self.clock.monotonic() + 8, operation, order_no):
            self.sent += 1
            if until:
                await until.wait()
            if error:
                raise error

    async def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(errors.UpstreamFailed):
                await self.call(errors.UpstreamFailed("failed"))


def test_an_upstream_that_is_unreachable_silent_or_failing_is_unhealthy_and_otherwise_healthy():
    results = [
        classify_error(error_class("x"))
        for error_class in (
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
    ]
    assert results == [CallResult.FAILURE] * 3 + [CallResult.IGNORED] * 2 + [CallResult.SUCCESS] * 5


async def test_an_open_circuit_rejects_calls_and_says_when_to_retry():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(2)
    assert bench.admission.is_rejecting(Operation.LIST)
    with pytest.raises(errors.UpstreamUnavailable) as rejected:
        await bench.call()
    assert rejected.value.retry_after == 3
    await bench.clock.advance(3)
    assert not bench.admission.is_rejecting(Operation.LIST)
    await bench.call()
    await bench.call()
    assert bench.sent == 7


async def test_the_circuit_opening_is_logged_as_a_warning_and_its_closing_as_information(
    caplog: pytest.LogCaptureFixture,
):
    bench = Bench()
    with caplog.at_level(logging.INFO, "orders_bff.upstream"):
        await bench.fail(5)
        await bench.clock.advance(5)
        await bench.call()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "circuit_opened"),
        ("INFO", "circuit_closed"),
    ]


async def test_while_a_probe_is_in_flight_all_other_calls_are_rejected():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(5)
    end = asyncio.Event()
    probe = asyncio.create_task(bench.call(until=end))
    await settle()
    with pytest.raises(errors.UpstreamUnavailable) as rejected:
        await bench.call()
    assert rejected.value.retry_after == 1
    end.set()
    await probe
    await bench.call()


async def test_calls_in_the_queue_are_rejected_as_soon_as_the_circuit_opens():
    bench = Bench(max_concurrency=1)
    end = asyncio.Event()
    await bench.fail(4)
    last = asyncio.create_task(bench.call(errors.UpstreamTimeout("silent"), end))
    await settle()
    queued = asyncio.create_task(bench.call())
    await settle()
    end.set()
    with pytest.raises(errors.UpstreamTimeout):
        await last
    with pytest.raises(errors.UpstreamUnavailable) as rejected:
        await queued
    assert rejected.value.retry_after == 5
    assert bench.sent == 5


async def test_throttling_slows_calls_down_and_does_not_open_the_circuit():
    bench = Bench()
    for _ in range(6):
        with pytest.raises(errors.UpstreamThrottled):
            await bench.call(errors.UpstreamThrottled("slow", retry_after=0.0))
        await bench.clock.advance(1)
    assert bench.limiter._rate_limit.rate(bench.clock.monotonic()) < 10
    assert not bench.admission.is_rejecting(Operation.LIST)


async def test_a_failed_call_releases_its_slot_whatever_it_failed_with():
    bench = Bench(max_concurrency=1)
    for error in (errors.UpstreamMalformed("x"), ValueError("a bug of ours")):
        with pytest.raises(type(error)):
            await bench.call(error)
    await bench.call()


async def test_a_probe_that_gets_no_slot_in_time_lets_the_next_one_go():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(5)
    with pytest.raises(errors.DeadlineExceeded):
        async with bench.admission.slot(bench.clock.monotonic()):
            raise AssertionError("no time was left")
    await bench.call()
    await bench.call()


async def test_a_cancelled_probe_lets_the_next_one_go():
    bench = Bench()
    await bench.fail(5)
    await bench.clock.advance(5)
    probe = asyncio.create_task(bench.call(until=asyncio.Event()))
    await settle()
    probe.cancel()
    await settle()
    await bench.call()
    await bench.call()


async def test_failing_orders_never_open_the_circuit_of_the_list():
    bench = Bench()
    for error_class in (errors.UpstreamUnreachable, errors.UpstreamTimeout, errors.UpstreamFailed):
        for number in range(20):
            with pytest.raises((error_class, errors.UpstreamUnavailable)):
                await bench.call(error_class("x"), order_no=f"{error_class}{number}")
    assert not bench.admission.is_rejecting(Operation.LIST)
    assert not bench.admission.is_rejecting(Operation.TOKEN)
    await bench.call()


async def test_an_upstream_that_reports_failures_of_orders_is_healthy_for_others():
    bench = Bench()
    for number in range(50):
        with pytest.raises(errors.UpstreamFailed):
            await bench.call(errors.UpstreamFailed("x"), order_no=f"{number}")
    await bench.call(order_no="another")


async def test_one_order_that_always_times_out_does_not_open_the_circuit_of_the_others():
    bench = Bench()
    for _ in range(50):
        with pytest.raises(errors.UpstreamTimeout):
            await bench.call(errors.UpstreamTimeout("x"), order_no="1")
    await bench.call(order_no="2")


async def test_five_orders_that_time_out_open_the_circuit_of_orders(
    caplog: pytest.LogCaptureFixture,
):
    bench = Bench()
    with caplog.at_level(logging.INFO, "orders_bff.upstream"):
        for number in range(5):
            with pytest.raises(errors.UpstreamTimeout):
                await bench.call(errors.UpstreamTimeout("x"), order_no=f"{number}")
        assert bench.admission.is_rejecting(Operation.DETAIL)
        await bench.clock.advance(5)
        with pytest.raises(errors.UpstreamTimeout):
            await bench.call(errors.UpstreamTimeout("x"), order_no="3")
        await bench.call(order_no="4")  # the failure of an order that had failed was no verdict
    assert [(line.message, vars(line)["fields"]) for line in caplog.records] == [
        ("circuit_opened", {"operations": ["detail"]}),
        ("circuit_closed", {"operations": ["detail"]}),
    ]


async def test_a_failing_list_does_not_open_the_circuit_of_orders():
    bench = Bench()
    await bench.fail(5)
    assert bench.admission.is_rejecting(Operation.LIST)
    await bench.call(order_no="1")
