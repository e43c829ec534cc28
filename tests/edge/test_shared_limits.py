"""The consumption of limits in several processes."""

from app.edge.rate_limiter import Rate, RateLimiter
from app.edge.shared_limits import EXCHANGES, Consumption, SharedLimits

RATE = Rate(10, "minute", 60.0, 6.0)
CALLER = ("key", "dashboard")


class Process:
    def __init__(self, name: str) -> None:
        self.name = name
        self.limiter = RateLimiter()
        self.shared = SharedLimits({"requests": self.limiter})
        self.report = Consumption()

    def take(self, count: int, now: float = 0.0, key: tuple[str, str] = CALLER) -> int:
        """Send requests; return how many are admitted."""
        return sum(self.limiter.take(key, RATE, now) == 0 for _ in range(count))


def exchange(processes: list[Process], now: float = 0.0) -> None:
    for process in processes:
        process.report = process.shared.report(now)
    for process in processes:
        others = {other.name: other.report for other in processes if other is not process}
        process.shared.apply(others, now)


def pair() -> list[Process]:
    return [Process("a"), Process("b")]


def test_what_a_caller_consumes_in_one_process_counts_in_all():
    first, second = processes = pair()
    second.take(1)
    exchange(processes)
    assert first.take(7) == 7
    exchange(processes)
    assert second.take(10) == 2
    assert first.take(10) == 2  # what arrives between two exchanges may exceed the limit
    exchange(processes)
    assert first.take(1) == second.take(1) == 0


def test_nothing_is_counted_twice():
    first, second = processes = pair()
    second.take(1)
    first.take(3)
    for _ in range(2 * EXCHANGES):
        exchange(processes)
    assert second.take(10) == 6


def test_a_caller_that_is_new_to_a_process_is_limited_after_one_exchange():
    first, second = processes = pair()
    first.take(10)
    exchange(processes)
    assert second.take(1) == 1
    exchange(processes)
    assert second.take(1) == 0
    # Both have counted eleven requests, and one takes six seconds.
    assert second.take(1, now=11.9) == 0
    assert second.take(1, now=12.1) == 1


def test_what_is_given_back_is_given_back_everywhere():
    first, second = processes = pair()
    second.take(1)
    first.take(9)
    first.limiter.give_back(CALLER, RATE, 4)
    exchange(processes)
    assert second.take(10) == 4


def test_a_process_that_misses_some_exchanges_counts_them_later():
    first, second = pair()
    second.take(1)
    second.shared.report(0.0)
    second.shared.apply({"a": first.shared.report(0.0)}, 0.0)
    for _ in range(3):
        first.take(1)
        report = first.shared.report(0.0)
    second.shared.apply({"a": report}, 0.0)
    assert second.take(10) == 6


def test_callers_and_limits_are_independent_and_a_process_that_ended_is_forgotten():
    first, second = processes = pair()
    second.take(1, key=("key", "other"))
    first.take(10)
    exchange(processes)
    assert second.take(10, key=("key", "other")) == 9
    second.shared.apply({"a": Consumption(1, ({"unknown limit": {"x": 1.0}},))}, 0.0)
    second.shared.apply({}, 0.0)
    assert second.shared._seen == {}


def test_a_report_names_no_caller():
    process = Process("a")
    process.take(1)
    assert "dashboard" not in repr(process.shared.report(0.0))


def test_what_is_remembered_of_callers_is_bounded():
    first, second = pair()
    for number in range(10_001):
        first.take(1, key=("address", str(number)))
    report = first.shared.report(0.0)
    second.shared.apply({"a": report}, 0.0)
    assert len(second.shared._unknown["requests"]) == 10_000
    assert len(first.shared._keys["requests"]) <= 10_001
    first.take(1)
    first.shared.report(0.0)
    assert len(first.shared._keys["requests"]) == 1
    second.shared.apply({"a": Consumption(9, ({},))}, 100.0)
    assert second.shared._unknown["requests"] == {}
