"""The rate is the configured one, half of it after throttling, and then grows again slowly."""

from hypothesis import given
from hypothesis import strategies as st

from app.upstream.limiter import RateLimit


def test_of_calls_in_flight_together_only_the_first_throttled_one_halves_the_rate():
    limit = RateLimit(48)
    limit.on_throttled(started=9.9, now=10.0, retry_after=None)
    assert (limit.rate(10), limit.paused_until) == (24, 11)
    limit.on_throttled(started=9.95, now=10.5, retry_after=3)
    assert (limit.rate(10.5), limit.paused_until) == (24, 13.5)
    limit.on_throttled(started=13.5, now=13.6, retry_after=None)
    assert 12 <= limit.rate(13.6) < 12.1


def test_after_the_pause_the_rate_grows_back_to_the_maximum():
    limit = RateLimit(60)
    limit.on_throttled(started=0, now=0, retry_after=2)
    assert [limit.rate(now) for now in (0, 2, 12, 32, 100)] == [30, 30, 40, 60, 60]


def test_repeated_throttling_leaves_one_call_per_second():
    limit = RateLimit(50)
    now = 0.0
    for _ in range(20):
        limit.on_throttled(started=now, now=now, retry_after=0)
        now += 0.001
    assert 1 <= limit.rate(now) < 1.1
    limit.record(now)
    assert limit.next_slot(now) - now == 1
    slowest = RateLimit(1)
    slowest.on_throttled(started=0, now=0, retry_after=0)
    assert slowest.rate(0) == 1


def test_at_half_the_rate_half_as_many_calls_start_within_a_second():
    limit = RateLimit(4)
    for _ in range(4):
        limit.record(10)
    limit.on_throttled(started=10, now=10, retry_after=0)
    assert limit.next_slot(10.5) == 11
    limit.record(11)
    limit.record(11)
    assert limit.next_slot(11) == 12


@given(
    max_rate=st.integers(1, 60),
    gaps=st.lists(st.floats(0, 2), max_size=150),
)
def test_no_second_has_more_call_starts_than_allowed(max_rate: int, gaps: list[float]):
    limit = RateLimit(max_rate)
    now, starts = 0.0, []
    for gap in gaps:
        now = max(now + gap * gap * gap, limit.next_slot(now + gap * gap * gap))
        limit.record(now)
        starts.append(now)
    for first, one_too_many in zip(starts, starts[max_rate:], strict=False):
        assert one_too_many - first >= 1 - 1e-9


def test_a_call_that_is_sent_late_counts_from_when_it_was_sent():
    limit = RateLimit(1)
    start = limit.record(10)
    assert limit.next_slot(10) == 11
    start.at = 10.75
    assert limit.next_slot(10.75) == 11.75
