"""An upstream that is ill is left in peace, and asked one thing at a time until it is well."""

from app.upstream.breaker import Breaker, Health


class Bench:
    """A breaker, and calls through it."""

    def __init__(self) -> None:
        self.breaker = Breaker(pause=5)
        self.now = 100.0

    def call(self, *healths: Health) -> None:
        for health in healths:
            assert self.breaker.refused_for(self.now) is None
            self.breaker.leave(self.breaker.enter(), health, self.now)

    @property
    def refused_for(self) -> float | None:
        return self.breaker.refused_for(self.now)

    def opened(self) -> "Bench":
        self.call(*[Health.ILL] * 5)
        return self


def test_five_failures_in_a_row_open_it_and_an_answer_between_starts_anew():
    bench = Bench()
    bench.call(*[Health.ILL] * 4, Health.WELL, *[Health.ILL] * 4)
    assert not bench.breaker.is_open
    bench.call(Health.ILL)
    assert bench.breaker.is_open
    assert bench.refused_for == 5


def test_half_of_the_last_twenty_open_it():
    bench = Bench()
    bench.call(*[Health.WELL, Health.ILL] * 9, Health.WELL)
    assert not bench.breaker.is_open
    bench.call(Health.ILL)
    assert bench.breaker.is_open


def test_old_failures_are_forgotten():
    bench = Bench()
    bench.call(*[Health.ILL, Health.WELL] * 9)
    bench.call(*[Health.WELL] * 20)
    bench.call(*[Health.ILL, Health.WELL] * 9)
    assert not bench.breaker.is_open


def test_what_tells_nothing_of_the_upstream_neither_opens_nor_closes_it():
    bench = Bench()
    bench.call(*[Health.ILL] * 4, *[Health.UNTOLD] * 10)
    assert not bench.breaker.is_open
    bench.call(Health.ILL)
    bench.now += 5
    bench.call(Health.UNTOLD)
    assert bench.breaker.is_open
    assert bench.refused_for is None


def test_after_the_pause_one_call_at_a_time_tries():
    bench = Bench().opened()
    bench.now += 4
    assert bench.refused_for == 1
    bench.now += 1
    assert bench.refused_for is None
    probe = bench.breaker.enter()
    assert bench.refused_for == 1
    assert bench.breaker.leave(probe, Health.ILL, bench.now) == 5
    assert bench.refused_for == 5
    bench.now += 5
    bench.call(Health.WELL)
    assert not bench.breaker.is_open
    bench.call(*[Health.ILL] * 4)
    assert not bench.breaker.is_open


def test_a_call_from_before_the_opening_tells_nothing_any_more():
    bench = Bench()
    early = bench.breaker.enter()
    bench.opened()
    assert bench.breaker.leave(early, Health.WELL, bench.now) is None
    assert bench.refused_for == 5
    bench.now += 5
    probe = bench.breaker.enter()
    bench.breaker.leave(early, Health.ILL, bench.now)
    assert bench.refused_for == 1
    bench.breaker.leave(probe, Health.WELL, bench.now)
    bench.breaker.leave(early, Health.ILL, bench.now)
    assert not bench.breaker.is_open
