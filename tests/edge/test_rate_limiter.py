"""A key has its quota at once after a rest, then one request per interval, and never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.edge.rate_limiter import Rate, RateLimiter

NOW = 1e8  # a machine that has been running for three years


def rate(text: str) -> Rate:
    parsed = Rate.parse(text)
    assert parsed
    return parsed


PER_MINUTE = rate("60/minute")


def admitted(limiter: RateLimiter, key: str, limit: Rate, now: float, requests: int) -> int:
    return sum(limiter.take(key, limit, now) == 0 for _ in range(requests))


@pytest.mark.parametrize(
    ("text", "interval"), [("5/second", 0.2), ("60/minute", 1.0), ("6000/minute", 0.01)]
)
def test_a_rate_is_a_number_per_unit(text: str, interval: float) -> None:
    parsed = rate(text)
    assert parsed.interval == interval
    assert f"{parsed.quota}/{parsed.unit}" == text


def test_zero_is_no_rate() -> None:
    assert Rate.parse("0") is None


@pytest.mark.parametrize("text", ["1/hour", "7/second", "60/minute", "6000/minute", "997/hour"])
def test_the_quota_is_admitted_at_once_and_then_one_request_per_interval(text: str) -> None:
    limit, limiter = rate(text), RateLimiter()
    assert admitted(limiter, "a", limit, NOW, limit.quota + 3) == limit.quota
    assert admitted(limiter, "a", limit, NOW + limit.interval * 0.9, 3) == 0
    assert admitted(limiter, "a", limit, NOW + limit.interval, 3) == 1
    assert admitted(limiter, "a", limit, NOW + limit.interval * 5, 9) == min(4, limit.quota)


def test_a_request_is_admitted_after_the_time_that_was_stated() -> None:
    limiter = RateLimiter()
    admitted(limiter, "a", PER_MINUTE, NOW, 60)
    seconds = limiter.take("a", PER_MINUTE, NOW + 0.25)
    assert seconds == pytest.approx(0.75)
    assert limiter.take("a", PER_MINUTE, NOW + 0.25 + seconds) == 0


def test_rejected_requests_do_not_extend_the_wait() -> None:
    limiter = RateLimiter()
    admitted(limiter, "a", PER_MINUTE, NOW, 10_000)
    assert limiter.take("a", PER_MINUTE, NOW + 1) == 0


def test_keys_do_not_affect_each_other() -> None:
    limiter = RateLimiter()
    assert admitted(limiter, "a", PER_MINUTE, NOW, 100) == 60
    assert admitted(limiter, "b", PER_MINUTE, NOW, 100) == 60


def test_what_is_given_back_can_be_used_again() -> None:
    limiter = RateLimiter()
    admitted(limiter, "a", PER_MINUTE, NOW, 60)
    for _ in range(10):
        limiter.give_back("a", PER_MINUTE, 0.9)
    assert admitted(limiter, "a", PER_MINUTE, NOW, 20) == 9
    limiter.give_back("unknown", PER_MINUTE, 0.9)
    assert len(limiter) == 1


def test_what_is_given_back_is_never_more_than_the_quota() -> None:
    limiter = RateLimiter()
    limiter.take("a", PER_MINUTE, NOW)
    limiter.give_back("a", PER_MINUTE, 1000)
    assert admitted(limiter, "a", PER_MINUTE, NOW, 100) == 60


def test_the_remaining_requests_and_the_time_to_the_next_one_are_known() -> None:
    limiter = RateLimiter()

    def remaining(seconds: float) -> tuple[int, float]:
        left, wait = limiter.remaining("a", PER_MINUTE, NOW + seconds)
        return left, round(wait, 1)

    assert remaining(0) == (60, 0)
    admitted(limiter, "a", PER_MINUTE, NOW, 1)
    assert remaining(0) == (59, 1)
    admitted(limiter, "a", PER_MINUTE, NOW, 100)
    assert remaining(0) == (0, 1)
    assert remaining(0.5) == (0, 0.5)
    assert remaining(30) == (30, 1)
    assert remaining(3600) == (60, 0)


def test_a_million_keys_neither_take_memory_nor_reset_the_limit_of_one() -> None:
    limiter = RateLimiter(max_keys=100)
    admitted(limiter, "greedy", PER_MINUTE, NOW, 100)
    for number in range(10_000):
        assert limiter.take(f"address {number}", PER_MINUTE, NOW) == 0
        assert len(limiter) <= 100
    assert limiter.take("greedy", PER_MINUTE, NOW) > 0


def test_keys_with_all_of_their_quota_are_forgotten_first() -> None:
    limiter = RateLimiter(max_keys=100)
    for number in range(100):
        limiter.take(f"old {number}", PER_MINUTE, NOW)
    for number in range(40):
        limiter.take(f"new {number}", PER_MINUTE, NOW + 2)
    assert len(limiter) == 40


@given(
    st.sampled_from(["3/second", "60/minute", "7/minute"]),
    st.lists(st.floats(0, 30), max_size=80),
)
def test_no_window_admits_more_than_twice_the_quota(text: str, pauses: list[float]) -> None:
    limit, limiter = rate(text), RateLimiter()
    now, times = NOW, []
    for pause in pauses:
        now += pause
        times += [now] * admitted(limiter, "a", limit, now, 5)
    for start in times:
        assert sum(start <= at < start + limit.window for at in times) <= 2 * limit.quota
