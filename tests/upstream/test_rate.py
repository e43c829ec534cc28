"""The rate is what is allowed, half of it once throttled, and grows again slowly."""

from hypothesis import given
from hypothesis import strategies as st

from app.upstream.rate import RateLimit


def test_of_calls_that_were_in_flight_together_only_the_first_halves_the_rate():
    pace = RateLimit(48)
    pace.on_throttled(started=9.9, now=10.0, retry_after=None)
    assert (pace.rate(10), pace.paused_until) == (24, 11)
    pace.on_throttled(started=9.95, now=10.5, retry_after=3)
    assert (pace.rate(10.5), pace.paused_until) == (24, 13.5)
    pace.on_throttled(started=13.5, now=13.6, retry_after=None)
    assert 12 <= pace.rate(13.6) < 12.1


def test_the_rate_grows_again_after_the_pause_to_what_is_allowed_and_no_further():
    pace = RateLimit(60)
    pace.on_throttled(started=0, now=0, retry_after=2)
    assert [pace.rate(now) for now in (0, 2, 12, 32, 100)] == [30, 30, 40, 60, 60]


def test_a_storm_of_throttlings_leaves_one_call_a_second():
    pace = RateLimit(50)
    now = 0.0
    for _ in range(20):
        pace.on_throttled(started=now, now=now, retry_after=0)
        now += 0.001
    assert 1 <= pace.rate(now) < 1.1
    pace.started(now)
    assert 0.9 < pace.next_start(now) - now <= 1
    lame = RateLimit(1)
    lame.on_throttled(started=0, now=0, retry_after=0)
    assert lame.rate(0) == 1


@given(
    max_rate=st.integers(1, 60),
    gaps=st.lists(st.floats(0, 2), max_size=150),
)
def test_however_calls_come_no_second_sees_more_than_is_allowed(max_rate: int, gaps: list[float]):
    pace = RateLimit(max_rate)
    now, starts = 0.0, []
    for gap in gaps:
        now = max(now + gap * gap * gap, pace.next_start(now + gap * gap * gap))
        pace.started(now)
        starts.append(now)
    for first, one_too_many in zip(starts, starts[max_rate:], strict=False):
        assert one_too_many - first >= 1 - 1e-9


def test_a_call_that_goes_out_late_counts_from_when_it_went_out():
    pace = RateLimit(1)
    start = pace.started(10)
    assert pace.next_start(10) == 11
    start.at = 10.75
    assert pace.next_start(10.75) == 11.75
