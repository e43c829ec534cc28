"""What a response says about the cache."""

import pytest

from app.cache.freshness import Freshness
from app.cache.grace_cache import Entry, Lookup, Outcome
from app.orders.responses import combine_lookups


def lookup(
    outcome: Outcome, *, age: float = 70, failed: bool = False, fresh: bool = False
) -> Lookup[str]:
    return Lookup(
        Entry("value", 100 - age, sequence=1),
        Freshness.FRESH if fresh else Freshness.STALE,
        outcome,
        ttl=60,
        forward_reason="uri-miss" if outcome is Outcome.MISS else "stale",
        error=ValueError() if failed else None,
    )


def cache_status(*lookups: Lookup[str]) -> str:
    outcome = combine_lookups(lookups, now=100, problem_code=lambda error: type(error).__name__)
    return outcome.cache_status.removeprefix("orders-bff; ")


FRESH_HIT = lookup(Outcome.HIT, age=10, fresh=True)
STALE_HIT = lookup(Outcome.STALE_HIT)
FAILING_HIT = lookup(Outcome.STALE_HIT, failed=True)


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ([FRESH_HIT], "hit; ttl=50"),
        ([FRESH_HIT, STALE_HIT], "hit; ttl=-10"),
        ([STALE_HIT, FAILING_HIT], "hit; ttl=-10; detail=ValueError"),
        ([lookup(Outcome.STALE_HIT, age=10)], "hit; ttl=0"),
        ([lookup(Outcome.MISS, fresh=True), STALE_HIT], "fwd=uri-miss; stored"),
        (
            [lookup(Outcome.MISS, fresh=True), FAILING_HIT],
            "fwd=uri-miss; stored; detail=ValueError",
        ),
        (
            [lookup(Outcome.COLLAPSED, fresh=True), FAILING_HIT],
            "fwd=stale; collapsed; detail=ValueError",
        ),
        (
            [lookup(Outcome.STALE_IF_ERROR, failed=True), FRESH_HIT],
            "fwd=stale; ttl=-10; detail=ValueError",
        ),
    ],
)
def test_the_greatest_outcome_and_the_cause_of_staleness_are_reported(
    lookups: list[Lookup[str]], expected: str
):
    assert cache_status(*lookups) == expected
