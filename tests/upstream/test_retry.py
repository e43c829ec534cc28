"""A call is tried again where that may help, and never so often that it does harm."""

import asyncio
from itertools import repeat

import httpx
import pytest

from app.upstream import errors
from app.upstream.client import ORDERS_PATH
from app.upstream.credentials import TOKEN_PATH
from app.upstream.retry import RetryBudget, backoff
from app.upstream.wire import OrderListResponse
from tests.support.clock import ManualClock, settle
from tests.support.upstream import ScriptedUpstream, client_of


class Bench:
    """A client that tries again, its upstream and its clock."""

    def __init__(self, *, chance: float = 0.0, **config: object) -> None:
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client = client_of(
            self.upstream, self.clock, **{"tries": 3, "chance": lambda: chance, **config}
        )

    def ask(self, *, within: float = 8) -> "asyncio.Task[OrderListResponse]":
        return asyncio.create_task(
            self.client.list_orders(1, deadline=self.clock.monotonic() + within)
        )

    @property
    def cost(self) -> tuple[int, int]:
        """Token calls, list calls."""
        asked = self.upstream.asked_for
        return len(asked(TOKEN_PATH)), len(asked(ORDERS_PATH))


def test_only_what_may_pass_is_tried_again():
    worth = {
        kind: backoff(kind("x"), 1, 0.5) is not None
        for kind in (
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
    }
    assert list(worth.values()) == [True] * 4 + [False] * 6


def test_the_pause_is_anything_up_to_a_bound_that_doubles_and_ends():
    failed = errors.UpstreamFailed("x")
    assert [backoff(failed, tried, 0.0) for tried in (1, 2, 3)] == [0, 0, 0]
    assert [backoff(failed, tried, 0.5) for tried in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert backoff(failed, 30, 0.5) == 1


def test_what_the_upstream_asks_for_is_waited_in_full_and_a_dead_connection_not_at_all():
    asked = errors.UpstreamThrottled("x", retry_after=3)
    assert backoff(asked, 1, 0.5) == 3.1
    assert backoff(errors.StaleConnection("x"), 1, 0.9) == 0


def test_a_fifth_of_the_calls_may_be_tried_again():
    budget = RetryBudget()
    now, spent = 1000.0, 0
    for _ in range(1000):  # a hundred calls a second, which all fail
        budget.on_call()
        spent += budget.try_spend(now)
        now += 0.01
    assert 190 <= spent <= 215


def test_three_a_second_may_be_tried_again_however_few_calls_there_are():
    budget = RetryBudget()
    assert [budget.try_spend(1000.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [budget.try_spend(1001.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [budget.try_spend(1001.4) for _ in range(3)] == [True, False, False]


async def test_a_failure_that_passes_is_noticed_by_nobody():
    bench = Bench()
    for error in (None, httpx.ConnectError("x"), httpx.ReadTimeout("x")):
        bench.upstream.fail_next(error=error, times=2)
        assert (await bench.ask()).total == 137
        await bench.clock.advance(1)
    assert bench.cost == (1, 9)


async def test_no_more_than_three_tries_are_made():
    bench = Bench()
    bench.upstream.fail_next(times=9)
    with pytest.raises(errors.UpstreamFailed):
        await bench.ask()
    assert bench.cost == (1, 3)


async def test_a_retry_waits_a_random_while_and_none_begins_past_the_deadline():
    bench = Bench(chance=0.5)
    bench.upstream.fail_next(times=2)
    asking = bench.ask()
    await settle()
    assert bench.cost == (1, 1)
    await bench.clock.advance(0.1)
    assert bench.cost == (1, 2)
    await bench.clock.advance(0.2)
    assert (await asking).total == 137
    bench.upstream.fail_next()
    with pytest.raises(errors.UpstreamFailed):
        await bench.ask(within=0.1)


async def test_a_retry_after_is_waited_for_if_the_deadline_allows():
    bench = Bench()
    bench.upstream.fail_next(503, headers={"retry-after": "3"})
    asking = bench.ask()
    await bench.clock.advance(2.9)
    assert bench.cost == (1, 1)
    await bench.clock.advance(0.1)
    assert (await asking).total == 137
    bench.upstream.fail_next(503, headers={"retry-after": "9"})
    with pytest.raises(errors.UpstreamFailed):
        await bench.ask()


async def test_a_throttled_call_is_tried_again_after_the_pause():
    bench = Bench()
    bench.upstream.fail_next(429)
    asking = bench.ask()
    await bench.clock.advance(0.9)
    assert bench.cost == (1, 1)
    await bench.clock.advance(0.1)
    assert (await asking).total == 137


async def test_a_connection_that_died_idle_is_replaced_at_once_and_says_nothing_of_the_upstream():
    async def dies(request: httpx.Request) -> None:
        await request.extensions["trace"]("http11.send_request_headers.started", {})
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    bench = Bench(chance=0.9)
    await bench.ask()
    inner = bench.upstream.transport.handler
    lives = iter([False, True] * 3)

    async def dying(request: httpx.Request) -> httpx.Response:
        if not next(lives):
            await dies(request)
        answer: httpx.Response = await inner(request)  # type: ignore[misc]
        return answer

    bench.upstream.transport.handler = dying
    for _ in range(3):
        assert (await bench.ask()).total == 137
        await bench.clock.advance(1)


async def test_the_token_is_tried_for_as_well_and_not_again_for_each_question():
    bench = Bench()
    bench.upstream.fail_next(path=TOKEN_PATH, times=2)
    assert (await bench.ask()).total == 137
    assert bench.cost == (3, 1)
    fresh = Bench()
    fresh.upstream.fail_next(path=TOKEN_PATH, times=9)
    with pytest.raises(errors.UpstreamFailed):
        await fresh.ask()
    assert fresh.cost == (3, 0)


async def test_nothing_is_tried_again_while_the_upstream_is_left_in_peace():
    bench = Bench()
    await bench.ask()
    bench.upstream.fail_next(times=99)
    for kind in (errors.UpstreamFailed, errors.UpstreamFailed, errors.UpstreamUnavailable):
        with pytest.raises(kind):
            await bench.ask()
    assert bench.cost == (1, 1 + 5)
    await bench.clock.advance(5)
    with pytest.raises(errors.UpstreamFailed):
        await bench.ask()
    assert bench.cost == (1, 1 + 5 + 1)


async def test_an_upstream_that_always_fails_costs_no_more_than_the_budget():
    bench = Bench(breaker_pause=0.0, max_rate=1000)
    await bench.ask()
    bench.upstream.fail_next(times=10_000)
    for _ in repeat(None, 50):
        with pytest.raises(errors.UpstreamFailed):
            await bench.ask()
        await bench.clock.advance(0.1)
    assert bench.cost[1] - 1 - 50 <= 3 * 5 + 3


async def test_a_silent_upstream_is_called_silent_though_the_last_try_came_too_late():
    bench = Bench(chance=0.5, read_timeout=5)
    await bench.ask()
    bench.upstream.fail_next(error=httpx.ReadTimeout("x"), times=3)
    asking = bench.ask(within=2.55)  # of five seconds 2.55 are fair, 2.45 and 2.25 are not
    await settle()
    await bench.clock.advance(0.1)
    await bench.clock.advance(0.2)
    with pytest.raises(errors.UpstreamTimeout) as told:
        await asking
    assert bench.cost == (1, 4)
    assert not isinstance(told.value, errors.DeadlineExceeded)
