"""Ages and what they mean, at their borders."""

import pytest

from app.cache.freshness import Freshness, Lifetime, pause_after


@pytest.mark.parametrize(
    ("age", "freshness"),
    [
        (0, Freshness.FRESH),
        (59.9, Freshness.FRESH),
        (60, Freshness.STALE),
        (359.9, Freshness.STALE),
        (360, Freshness.KEPT),
        (1359.9, Freshness.KEPT),
        (1360, Freshness.GONE),
    ],
)
def test_an_answer_is_fresh_then_stale_then_kept_then_gone(age: float, freshness: Freshness):
    assert Lifetime(ttl=60, grace=300, keep=1000).judge(age) is freshness


def test_a_failed_fetch_is_not_tried_again_for_1_s_doubling_to_5():
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 5, 5000)] == [1, 2, 4, 5, 5, 5]


def test_a_ttl_is_stretched_and_never_shortened():
    life = Lifetime(ttl=60, grace=300, keep=1000)
    assert life.stretched(400) == Lifetime(ttl=400, grace=300, keep=1000)
    assert life.stretched(5) == life
