"""The limits per caller: who is counted as one, what costs how much, and what a rejection says."""

import pytest

from app.edge.caller_limits import FAILURE_RATE, CallerLimits
from app.edge.context import Caller

NOW = 1000.0


def caller(name: str = "a", rate: str | None = None, kind: str = "key") -> Caller:
    return Caller(name, kind, frozenset(), (kind, name), rate)


def admitted(limits: CallerLimits, who: Caller, requests: int, now: float = NOW) -> int:
    return sum(limits.admit(who, now) is None for _ in range(requests))


def test_each_caller_has_the_rate() -> None:
    limits = CallerLimits(rate="5/minute")
    assert admitted(limits, caller("a"), 9) == 5
    assert admitted(limits, caller("b"), 9) == 5
    assert admitted(limits, caller("a", kind="subject"), 9) == 5


def test_two_keys_of_one_name_are_one_caller() -> None:
    limits = CallerLimits(rate="5/minute")
    assert admitted(limits, caller(), 3) + admitted(limits, caller(), 9) == 5


def test_the_rate_of_a_key_replaces_that_of_all_callers() -> None:
    limits = CallerLimits(rate="5/minute")
    assert admitted(limits, caller("slow", "2/hour"), 9) == 2
    assert admitted(limits, caller("fast", "50/second"), 99) == 50
    assert admitted(limits, caller("free", "0"), 999) == 999
    assert admitted(CallerLimits(rate="0"), caller("slow", "2/hour"), 9) == 2


def test_zero_disables_a_limit() -> None:
    limits = CallerLimits(rate="0", scan_rate="0", detail_rate="0")
    for admit in (limits.admit, limits.admit_scan, limits.admit_lookup):
        assert all(admit(caller(), NOW) is None for _ in range(1000))
    limits.on_not_modified(caller())


def test_ten_responses_without_a_body_cost_as_much_as_one_request() -> None:
    limits = CallerLimits(rate="60/minute")
    for _ in range(590):
        assert limits.admit(caller(), NOW) is None
        limits.on_not_modified(caller())
    assert admitted(limits, caller(), 9) == 1


def test_a_response_without_a_body_costs_the_same_in_either_way() -> None:
    limits = CallerLimits(rate="60/minute")
    count = limits.counter(caller(), 304)
    assert not any(count(NOW) for _ in range(590))
    assert admitted(limits, caller(), 9) == 1


def test_each_limit_is_counted_separately() -> None:
    limits = CallerLimits(rate="9/minute", scan_rate="3/minute", detail_rate="2/minute")
    for admit, count in ((limits.admit_scan, 3), (limits.admit_lookup, 2), (limits.admit, 9)):
        assert sum(admit(caller(), NOW) is None for _ in range(20)) == count


@pytest.mark.parametrize(
    ("method", "detail"),
    [
        ("admit", "The limit of 1 requests per hour is reached. Try again in 3000 seconds."),
        (
            "admit_scan",
            (
                "The limit of 1 requests over the whole list that are not cached per second is"
                " reached. Try again in 1 second."
            ),
        ),
        (
            "admit_lookup",
            (
                "The limit of 1 order numbers that are not cached per minute is reached."
                " Try again in 60 seconds."
            ),
        ),
    ],
)
def test_a_rejection_says_which_limit_is_reached_and_when_to_try_again(
    method: str, detail: str
) -> None:
    limits = CallerLimits(rate="1/hour", scan_rate="1/second", detail_rate="1/minute")
    admit = getattr(limits, method)
    assert admit(caller(), NOW) is None
    rejection = admit(caller(), NOW + 600 if method == "admit" else NOW)
    assert rejection.detail == detail


def test_rejected_requests_are_counted_by_limit_and_once() -> None:
    limits = CallerLimits(rate="1/minute", scan_rate="1/minute", detail_rate="1/minute")
    for _ in range(3):
        limits.admit(caller(), NOW)
        limits.admit_scan(caller(), NOW)
        limits.admit_lookup(caller(), NOW)
    assert limits.counter(caller(), 200)(NOW), "left to `admit`, which counts it"
    unused = {"failures": 0, "sign_ins": 0}
    assert limits.rejected == {"requests": 2, "scans": 2, "lookups": 2, **unused}


def test_what_is_admitted_is_counted_in_either_way() -> None:
    limits = CallerLimits(rate="2/minute")
    count = limits.counter(caller(), 200)
    assert not count(NOW)
    assert limits.admit(caller(), NOW) is None
    assert count(NOW)
    assert not CallerLimits().counter(caller(), 200)(NOW)


def test_failed_authentications_are_counted_by_address() -> None:
    limits = CallerLimits()
    quota = int(FAILURE_RATE.partition("/")[0])
    rejections = [limits.admit_failure("203.0.113.9", NOW) for _ in range(quota + 5)]
    assert rejections.count(None) == quota
    assert limits.admit_failure("203.0.113.10", NOW) is None
    for host in range(quota):
        assert limits.admit_failure(f"2001:db8:1:2::{host:x}", NOW) is None
    assert limits.admit_failure("2001:db8:1:2:ffff::", NOW), "one network is one address"


def test_the_headers_state_the_limits_and_what_remains_of_them() -> None:
    limits = CallerLimits(rate="60/minute", scan_rate="0", detail_rate="7200/hour")
    for _ in range(3):
        limits.admit(caller(), NOW)
    assert dict(limits.headers(caller(), NOW)) == {
        b"ratelimit-policy": b'"requests";q=60;w=60, "lookups";q=7200;w=3600',
        b"ratelimit": b'"requests";r=57;t=1, "lookups";r=7200;t=0',
    }
    assert dict(limits.headers(caller("b", rate="2/second"), NOW)) == {
        b"ratelimit-policy": b'"requests";q=2;w=1, "lookups";q=7200;w=3600',
        b"ratelimit": b'"requests";r=2;t=0, "lookups";r=7200;t=0',
    }
    assert CallerLimits().headers(caller(), NOW) == []
