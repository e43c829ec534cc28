"""The freshness of an entry, and the table of directive and freshness, read back in full."""

from itertools import product

import pytest

from app.cache.freshness import Action, CacheDirective, Freshness, Lifetime, decide

FETCHING = {Action.REFRESH, Action.FETCH, Action.FETCH_OR_STALE}
CASES = list(product(CacheDirective, Freshness))
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


def row(directive: CacheDirective) -> list[str]:
    return [decide(directive, freshness).name for freshness in Freshness]


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        (CacheDirective.DEFAULT, "SERVE REFRESH FETCH_OR_STALE FETCH"),
        (CacheDirective.NO_CACHE, "FETCH_OR_STALE FETCH_OR_STALE FETCH_OR_STALE FETCH"),
        (CacheDirective.ONLY_IF_CACHED, "SERVE SERVE SERVE NOT_IN_CACHE"),
        (CacheDirective.MUST_REVALIDATE, "SERVE FETCH FETCH FETCH"),
        (CacheDirective.REFETCH, "FETCH_OR_STALE FETCH_OR_STALE FETCH_OR_STALE FETCH_OR_STALE"),
    ],
)
def test_each_directive_has_an_action_for_each_freshness(directive: CacheDirective, expected: str):
    assert row(directive) == expected.split()


@pytest.mark.parametrize(("directive", "freshness"), CASES)
def test_nothing_is_fetched_while_backing_off(directive: CacheDirective, freshness: Freshness):
    action = decide(directive, freshness)
    while_backing_off = decide(directive, freshness, backing_off=True)

    assert while_backing_off not in FETCHING
    assert while_backing_off is {
        Action.REFRESH: Action.SERVE,
        Action.FETCH_OR_STALE: Action.SERVE,
        Action.FETCH: Action.FAIL,
    }.get(action, action)


@pytest.mark.parametrize(("directive", "freshness"), CASES)
def test_a_recently_refetched_entry_is_fetched_again_only_for_no_cache(
    directive: CacheDirective, freshness: Freshness
):
    action = decide(directive, freshness, recently_refetched=True)

    if directive is CacheDirective.NO_CACHE:
        assert action is decide(directive, freshness)
    else:
        assert action is Action.SERVE
