"""Calls are retried where that may help, and not so often that it does harm."""

import asyncio
from itertools import repeat

import httpx
import pytest

from app.http import current_call
from app.upstream import errors
from app.upstream.client import ORDERS_PATH
from app.upstream.credentials import TOKEN_PATH
from app.upstream.retry import RetryBudget, backoff, upstream_backoff
from app.upstream.wire import OrderListResponse
from tests.support.clock import ManualClock, settle
from tests.support.upstream import ScriptedUpstream, client_of


class Bench:
    """A client with retries, its upstream and its clock."""

    def __init__(self, *, random: float = 0.0, **config: object) -> None:
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client = client_of(
            self.upstream, self.clock, **{"max_attempts": 3, "random": lambda: random, **config}
        )

    def request(self, *, within: float = 8) -> "asyncio.Task[OrderListResponse]":
        return asyncio.create_task(
            self.client.list_orders(1, deadline=self.clock.monotonic() + within)
        )

    @property
    def cost(self) -> tuple[int, int]:
        """Token calls, list calls."""
        requests_to = self.upstream.requests_to
        return len(requests_to(TOKEN_PATH)), len(requests_to(ORDERS_PATH))


def test_only_errors_that_may_pass_are_retried():
    retried = [
        backoff(error_class("x"), 1, 0.5) is not None
        for error_class in (
            errors.UpstreamUnreachable,
            errors.UpstreamTimeout,
            errors.UpstreamFailed,
            errors.UpstreamThrottled,
            errors.UpstreamMalformed,
            errors.UpstreamRejected,
            errors.UpstreamCredentialRejected,
            errors.UpstreamPlanRequired,
            errors.UpstreamUnavailable,
            errors.OrderNotFound,
        )
    ]
    assert retried == [True] * 4 + [False] * 6


def test_the_backoff_is_random_up_to_a_bound_that_doubles_and_is_limited():
    failed = errors.UpstreamFailed("x")
    assert [backoff(failed, attempt, 0.0) for attempt in (1, 2, 3)] == [0, 0, 0]
    assert [backoff(failed, attempt, 0.5) for attempt in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert backoff(failed, 30, 0.5) == 1


def test_a_retry_after_is_waited_for_in_full_and_a_stale_connection_not_at_all():
    throttled = errors.UpstreamThrottled("x", retry_after=3)
    assert backoff(throttled, 1, 0.5) == 3.1
    assert backoff(errors.StaleConnection("x"), 1, 0.9) == 0


def test_after_all_retries_failed_the_backoff_grows_to_five_seconds_or_to_the_retry_after():
    failed = errors.UpstreamFailed("x")
    assert [upstream_backoff(failed, failures) for failures in range(1, 6)] == [1, 2, 4, 5, 5]
    assert upstream_backoff(errors.UpstreamThrottled("x", retry_after=7), 1) == 7
    assert upstream_backoff(errors.UpstreamCredentialRejected("x"), 1) == 10
    assert upstream_backoff(errors.UpstreamUnavailable("x", retry_after=3), 9) == 3
    assert upstream_backoff(errors.UpstreamUnavailable("x"), 9) == 1


def test_a_fifth_of_the_calls_may_be_retried():
    budget = RetryBudget()
    now, spent = 1000.0, 0
    for _ in range(1000):  # a hundred calls per second, which all fail
        budget.on_call()
        spent += budget.try_spend(now)
        now += 0.01
    assert 190 <= spent <= 215


def test_three_per_second_may_be_retried_however_few_calls_there_are():
    budget = RetryBudget()
    assert [budget.try_spend(1000.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [budget.try_spend(1001.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [budget.try_spend(1001.4) for _ in range(3)] == [True, False, False]


async def test_a_transient_failure_is_not_noticed():
    bench = Bench()
    for error in (None, httpx.ConnectError("x"), httpx.ReadTimeout("x")):
        bench.upstream.fail_next(error=error, times=2)
        assert (await bench.request()).total == 137
        await bench.clock.advance(1)
    assert bench.cost == (1, 9)


async def test_no_more_than_three_attempts_are_made():
    bench = Bench()
    bench.upstream.fail_next(times=9)
    with pytest.raises(errors.UpstreamFailed):
        await bench.request()
    assert bench.cost == (1, 3)


async def test_a_retry_waits_for_a_random_time_and_never_begins_after_the_deadline():
    bench = Bench(random=0.5)
    bench.upstream.fail_next(times=2)
    pending = bench.request()
    await settle()
    assert bench.cost == (1, 1)
    await bench.clock.advance(0.1)
    assert bench.cost == (1, 2)
    await bench.clock.advance(0.2)
    assert (await pending).total == 137
    bench.upstream.fail_next()
    with pytest.raises(errors.UpstreamFailed):
        await bench.request(within=0.1)


async def test_a_retry_after_is_waited_for_if_the_deadline_allows_it():
    bench = Bench()
    bench.upstream.fail_next(503, headers={"retry-after": "3"})
    pending = bench.request()
    await bench.clock.advance(2.9)
    assert bench.cost == (1, 1)
    await bench.clock.advance(0.1)
    assert (await pending).total == 137
    bench.upstream.fail_next(503, headers={"retry-after": "9"})
    with pytest.raises(errors.UpstreamFailed):
        await bench.request()


async def test_a_throttled_call_is_retried_after_the_pause():
    bench = Bench()
    bench.upstream.fail_next(429)
    pending = bench.request()
    await bench.clock.advance(0.9)
    assert bench.cost == (1, 1)
    await bench.clock.advance(0.1)
    assert (await pending).total == 137


async def test_a_call_on_a_stale_connection_is_repeated_at_once_and_is_no_failure_of_the_upstream():
    def disconnect() -> None:
        current_call().before_write(is_reused=True)
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    bench = Bench(random=0.9)
    await bench.request()
    inner = bench.upstream.transport.handler
    succeeds = iter([False, True] * 3)

    async def flaky(request: httpx.Request) -> httpx.Response:
        if not next(succeeds):
            disconnect()
        response: httpx.Response = await inner(request)  # type: ignore[misc]
        return response

    bench.upstream.transport.handler = flaky
    for _ in range(3):
        assert (await bench.request()).total == 137
        await bench.clock.advance(1)


async def test_the_token_call_is_retried_as_well_but_not_once_more_for_each_request():
    bench = Bench()
    bench.upstream.fail_next(path=TOKEN_PATH, times=2)
    assert (await bench.request()).total == 137
    assert bench.cost == (3, 1)
    other = Bench()
    other.upstream.fail_next(path=TOKEN_PATH, times=9)
    with pytest.raises(errors.UpstreamFailed):
        await other.request()
    assert other.cost == (3, 0)


async def test_nothing_is_retried_while_the_circuit_is_open():
    bench = Bench()
    await bench.request()
    bench.upstream.fail_next(times=99)
    for error_class in (
        errors.UpstreamFailed,
        errors.UpstreamFailed,
        errors.UpstreamUnavailable,
    ):
        with pytest.raises(error_class):
            await bench.request()
    assert bench.cost == (1, 1 + 5)
    await bench.clock.advance(5)
    with pytest.raises(errors.UpstreamFailed):
        await bench.request()
    assert bench.cost == (1, 1 + 5 + 1)


async def test_an_upstream_that_always_fails_costs_no_more_retries_than_the_budget():
    bench = Bench(breaker_open_seconds=0.0, max_rate=1000)
    await bench.request()
    bench.upstream.fail_next(times=10_000)
    for _ in repeat(None, 50):
        with pytest.raises(errors.UpstreamFailed):
            await bench.request()
        await bench.clock.advance(0.1)
    assert bench.cost[1] - 1 - 50 <= 3 * 5 + 3


async def test_a_timeout_of_the_upstream_is_raised_although_the_last_attempt_had_too_little_time():
    bench = Bench(random=0.5, read_timeout=5)
    await bench.request()
    bench.upstream.fail_next(error=httpx.ReadTimeout("x"), times=3)
    pending = bench.request(within=2.55)  # 2.55 of 5 seconds are a fair time, 2.45 and 2.25 are not
    await settle()
    await bench.clock.advance(0.1)
    await bench.clock.advance(0.2)
    with pytest.raises(errors.UpstreamTimeout) as raised:
        await pending
    assert bench.cost == (1, 4)
    assert not isinstance(raised.value, errors.DeadlineExceeded)
