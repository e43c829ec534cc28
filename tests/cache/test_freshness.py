"""The freshness of an entry, at the ages where it changes."""

import pytest

from app.cache.freshness import Freshness, Lifetime

LIFETIME = Lifetime(ttl=60, stale_while_revalidate=300, stale_if_error=1300)


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
def test_an_entry_is_fresh_then_stale_then_stale_if_error_then_expired(
    age: float, freshness: Freshness
):
    assert LIFETIME.freshness(age) is freshness
