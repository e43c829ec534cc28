"""Ages and what they mean, at their borders."""

import pytest

from app.cache.freshness import Freshness, Lifetime, backoff_seconds


@pytest.mark.parametrize(
    ("age", "freshness"),
    [
        (0, Freshness.FRESH),
        (59.9, Freshness.FRESH),
        (60, Freshness.STALE),
        (359.9, Freshness.STALE),
        (360, Freshness.STALE_IF_ERROR),
        (1359.9, Freshness.STALE_IF_ERROR),
        (1360, Freshness.EXPIRED),
    ],
)
def test_an_answer_is_fresh_then_stale_then_kept_then_gone(age: float, freshness: Freshness):
    assert (
        Lifetime(ttl=60, stale_while_revalidate=300, stale_if_error=1300).freshness(age)
        is freshness
    )


def test_a_failed_fetch_is_not_tried_again_for_1_s_doubling_to_5():
    assert [backoff_seconds(failures) for failures in (1, 2, 3, 4, 5, 5000)] == [1, 2, 4, 5, 5, 5]


def test_a_ttl_is_stretched_and_never_shortened():
    life = Lifetime(ttl=60, stale_while_revalidate=300, stale_if_error=1300)
    assert life.with_min_ttl(400) == Lifetime(
        ttl=400, stale_while_revalidate=300, stale_if_error=1300
    )
    assert life.with_min_ttl(5) == life
