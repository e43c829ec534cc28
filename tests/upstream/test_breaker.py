"""The circuit opens after failures, and closes after a probe that succeeds."""

from app.upstream.breaker import Breaker, CallResult


class Bench:
    """A breaker, and calls through it."""

    def __init__(self) -> None:
        self.breaker = Breaker(open_seconds=5)
        self.now = 100.0

    def call(self, *results: CallResult) -> None:
        for result in results:
            assert self.breaker.retry_in(self.now) is None
            self.breaker.after_call(self.breaker.before_call(), result, self.now)

    @property
    def retry_in(self) -> float | None:
        return self.breaker.retry_in(self.now)

    def opened(self) -> "Bench":
        self.call(*[CallResult.FAILURE] * 5)
        return self


def test_five_consecutive_failures_open_it_and_a_success_resets_the_count():
    bench = Bench()
    bench.call(*[CallResult.FAILURE] * 4, CallResult.SUCCESS, *[CallResult.FAILURE] * 4)
    assert not bench.breaker.is_open
    bench.call(CallResult.FAILURE)
    assert bench.breaker.is_open
    assert bench.retry_in == 5


def test_failures_of_half_of_the_last_twenty_calls_open_it():
    bench = Bench()
    bench.call(*[CallResult.SUCCESS, CallResult.FAILURE] * 9, CallResult.SUCCESS)
    assert not bench.breaker.is_open
    bench.call(CallResult.FAILURE)
    assert bench.breaker.is_open


def test_old_failures_are_forgotten():
    bench = Bench()
    bench.call(*[CallResult.FAILURE, CallResult.SUCCESS] * 9)
    bench.call(*[CallResult.SUCCESS] * 20)
    bench.call(*[CallResult.FAILURE, CallResult.SUCCESS] * 9)
    assert not bench.breaker.is_open


def test_ignored_results_neither_open_nor_close_it():
    bench = Bench()
    bench.call(*[CallResult.FAILURE] * 4, *[CallResult.IGNORED] * 10)
    assert not bench.breaker.is_open
    bench.call(CallResult.FAILURE)
    bench.now += 5
    bench.call(CallResult.IGNORED)
    assert bench.breaker.is_open
    assert bench.retry_in is None


def test_when_half_open_it_lets_one_call_at_a_time_pass():
    bench = Bench().opened()
    bench.now += 4
    assert bench.retry_in == 1
    bench.now += 1
    assert bench.retry_in is None
    probe = bench.breaker.before_call()
    assert bench.retry_in == 1
    assert bench.breaker.after_call(probe, CallResult.FAILURE, bench.now) == 5
    assert bench.retry_in == 5
    bench.now += 5
    bench.call(CallResult.SUCCESS)
    assert not bench.breaker.is_open
    bench.call(*[CallResult.FAILURE] * 4)
    assert not bench.breaker.is_open


def test_results_of_calls_from_before_it_opened_are_ignored():
    bench = Bench()
    early = bench.breaker.before_call()
    bench.opened()
    assert bench.breaker.after_call(early, CallResult.SUCCESS, bench.now) is None
    assert bench.retry_in == 5
    bench.now += 5
    probe = bench.breaker.before_call()
    bench.breaker.after_call(early, CallResult.FAILURE, bench.now)
    assert bench.retry_in == 1
    bench.breaker.after_call(probe, CallResult.SUCCESS, bench.now)
    bench.breaker.after_call(early, CallResult.FAILURE, bench.now)
    assert not bench.breaker.is_open
