"""The freshness of an entry, and what the cache does for each directive."""

from itertools import product

import pytest

from app.cache.cache_control import parse_cache_control
from app.cache.freshness import Action, CacheDirective, Freshness, Lifetime, decide

FETCHING = {Action.REFRESH, Action.FETCH, Action.FETCH_OR_STALE}
DIRECTIVES = (
    CacheDirective.DEFAULT,
    CacheDirective.NO_CACHE,
    CacheDirective.ONLY_IF_CACHED,
    CacheDirective.MUST_REVALIDATE,
    CacheDirective.REFETCH,
)
CASES = list(product(DIRECTIVES, Freshness))
TTL, MIN_AGE = 60, 5
AGES = dict(zip(Freshness, (30, 100, 500, 2000), strict=True))
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


def decide_at(directive: CacheDirective, freshness: Freshness, **state: bool) -> Action:
    age = AGES[freshness]
    return decide(directive, freshness, age=age, ttl=TTL, min_age=MIN_AGE, **state)


def row(directive: CacheDirective) -> list[str]:
    return [decide_at(directive, freshness).name for freshness in Freshness]


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


@pytest.mark.parametrize(
    ("header", "age", "expected"),
    [
        # The entry is fresh up to 60 s, stale up to 360 s and stale-if-error up to 1360 s.
        ("max-age=30", 30, "SERVE"),
        ("max-age=29", 30, "FETCH_OR_STALE"),
        ("max-age=0", 30, "FETCH_OR_STALE"),
        ("max-age=0", 4.9, "SERVE"),
        ("no-cache", 4.9, "SERVE"),
        ("no-cache", 5, "FETCH_OR_STALE"),
        ("max-age=1", 4.9, "SERVE"),
        ("max-age=3600", 59, "SERVE"),
        ("max-age=3600", 61, "FETCH_OR_STALE"),
        ("max-age=3600, max-stale", 61, "REFRESH"),
        ("max-age=100, max-stale", 101, "FETCH_OR_STALE"),
        ("max-age=3600", 2000, "FETCH"),
        ("min-fresh=30", 30, "SERVE"),
        ("min-fresh=31", 30, "FETCH_OR_STALE"),
        ("min-fresh=100000", 10, "FETCH_OR_STALE"),
        ("min-fresh=100000", 4, "SERVE"),
        ("min-fresh=0", 61, "FETCH_OR_STALE"),
        ("min-fresh=0, max-stale", 61, "FETCH_OR_STALE"),
        ("max-stale=40", 100, "REFRESH"),
        ("max-stale=39", 100, "FETCH_OR_STALE"),
        ("max-stale=0", 60, "FETCH_OR_STALE"),
        ("max-stale=0", 59, "SERVE"),
        ("max-stale=440", 500, "REFRESH"),
        ("max-stale=439", 500, "FETCH_OR_STALE"),
        ("max-stale", 500, "REFRESH"),
        ("max-stale", 2000, "FETCH"),
        ("stale-if-error=0", 59, "SERVE"),
        ("stale-if-error=0", 100, "REFRESH"),
        ("stale-if-error=440", 500, "FETCH_OR_STALE"),
        ("stale-if-error=439", 500, "FETCH"),
        ("no-cache, stale-if-error=39", 100, "FETCH"),
        ("no-cache, stale-if-error=40", 100, "FETCH_OR_STALE"),
        ("no-cache, stale-if-error=0", 30, "FETCH_OR_STALE"),
        ("only-if-cached", 500, "SERVE"),
        ("only-if-cached", 2000, "NOT_IN_CACHE"),
        ("only-if-cached, max-age=30", 30, "SERVE"),
        ("only-if-cached, max-age=29", 30, "NOT_IN_CACHE"),
        ("only-if-cached, no-cache", 30, "NOT_IN_CACHE"),
        ("only-if-cached, min-fresh=31", 30, "NOT_IN_CACHE"),
        ("only-if-cached, max-stale=39", 100, "NOT_IN_CACHE"),
        ("only-if-cached, max-stale=40", 100, "SERVE"),
        ("only-if-cached, stale-if-error=0", 500, "SERVE"),
    ],
)
def test_a_request_directive_bounds_what_is_acceptable(header: str, age: float, expected: str):
    directive = parse_cache_control(header.encode())
    freshness = LIFETIME.freshness(age)

    assert decide(directive, freshness, age=age, ttl=TTL, min_age=MIN_AGE).name == expected


@pytest.mark.parametrize(
    ("header", "age", "while_failing", "while_backing_off"),
    [
        ("", 100, "REFRESH", "SERVE"),
        ("", 500, "FETCH_OR_STALE", "SERVE"),
        ("stale-if-error=40", 100, "REFRESH", "SERVE"),
        ("stale-if-error=39", 100, "FETCH", "FAIL"),
        ("stale-if-error=39", 59, "SERVE", "SERVE"),
        ("stale-if-error=439", 500, "FETCH", "FAIL"),
        ("max-stale, stale-if-error=39", 100, "FETCH", "FAIL"),
        ("no-cache, stale-if-error=39", 100, "FETCH", "FAIL"),
        ("no-cache", 100, "FETCH_OR_STALE", "SERVE"),
        ("max-age=10", 2000, "FETCH", "FAIL"),
        ("only-if-cached, stale-if-error=0", 100, "SERVE", "SERVE"),
    ],
)
def test_stale_if_error_bounds_what_is_served_while_fetches_fail(
    header: str, age: float, while_failing: str, while_backing_off: str
):
    directive = parse_cache_control(header.encode())
    freshness = LIFETIME.freshness(age)

    actions = [
        decide(directive, freshness, age=age, ttl=TTL, failed=True, backing_off=backing_off).name
        for backing_off in (False, True)
    ]
    assert actions == [while_failing, while_backing_off]


@pytest.mark.parametrize("header", ["max-stale=0", "max-age=300", "min-fresh=0"])
def test_an_outdated_entry_does_not_satisfy_a_caller_that_accepts_no_stale_one(header: str):
    directive = parse_cache_control(header.encode())

    action = decide(directive, Freshness.STALE, age=30, ttl=TTL, min_age=MIN_AGE)

    assert action is Action.FETCH_OR_STALE


@pytest.mark.parametrize(("directive", "freshness"), CASES)
def test_nothing_is_fetched_while_backing_off(directive: CacheDirective, freshness: Freshness):
    action = decide_at(directive, freshness, failed=True)
    while_backing_off = decide_at(directive, freshness, failed=True, backing_off=True)

    assert while_backing_off not in FETCHING
    assert while_backing_off is {
        Action.REFRESH: Action.SERVE,
        Action.FETCH_OR_STALE: Action.SERVE,
        Action.FETCH: Action.FAIL,
    }.get(action, action)


@pytest.mark.parametrize(
    ("directive", "freshness"), [case for case in CASES if case[1] is not Freshness.EXPIRED]
)
def test_a_recently_refetched_entry_is_fetched_again_only_if_a_request_does_not_accept_it(
    directive: CacheDirective, freshness: Freshness
):
    action = decide_at(directive, freshness, recently_refetched=True)

    if directive is CacheDirective.NO_CACHE:
        assert action is decide_at(directive, freshness)
    else:
        assert action is Action.SERVE


@pytest.mark.parametrize(
    ("directive", "seconds"),
    [
        (CacheDirective.DEFAULT, 60),
        (CacheDirective.MUST_REVALIDATE, 60),
        (CacheDirective.REFETCH, 60),
        (CacheDirective.NO_CACHE, 5),
        (CacheDirective(max_age=20), 20),
        (CacheDirective(max_age=1), 5),
        (CacheDirective(max_age=600), 60),
        (CacheDirective(min_fresh=20), 40),
        (CacheDirective(min_fresh=20, max_age=30), 30),
    ],
    ids=str,
)
def test_a_fetch_is_satisfied_by_what_the_directive_accepts_and_the_ttl_allows(
    directive: CacheDirective, seconds: float
):
    assert directive.max_fetched_age(ttl=60, min_age=5) == seconds


def test_the_minimum_age_of_a_refetch_is_never_more_than_the_ttl():
    assert CacheDirective.NO_CACHE.max_fetched_age(ttl=2, min_age=5) == 2
