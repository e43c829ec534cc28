"""The upstream receives no more calls than allowed, and calls with waiters go first."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.single_flight import SingleFlight
from app.upstream.errors import (
    DeadlineExceeded,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstream.fair_share import Operation
from app.upstream.limiter import CallLimiter, CallStart, RateLimit
from tests.support.callers import start_for
from tests.support.clock import ManualClock, settle


class Bench:
    """A limiter, and calls that end when a test says so."""

    def __init__(
        self, *, max_concurrency: int = 2, max_rate: int = 100, max_queue: int = 1000
    ) -> None:
        self.clock = ManualClock()
        self.limiter = CallLimiter(
            self.clock, max_concurrency=max_concurrency, max_rate=max_rate, max_queue=max_queue
        )
        self.flights: SingleFlight[str, None] = SingleFlight(self.clock)
        self.started: list[tuple[str, float]] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.responding = True

    def call(self, name: str, *, within: float = 8, caller: str = "") -> "asyncio.Task[None]":
        """A call that its caller waits for."""
        return start_for(caller, self._call(name, within))

    def calls(self, name: str, count: int, *, caller: str) -> "list[asyncio.Task[None]]":
        """Calls of one caller."""
        return [self.call(f"{name} {number}", caller=caller) for number in range(count)]

    def refresh(self, name: str, *, caller: str = "") -> "asyncio.Task[None]":
        """A call in a flight that nobody waits for."""

        async def launch() -> "asyncio.Task[None]":
            return self.flights.launch(name, lambda: self._call(name, 8)).task

        async def wait() -> None:
            await (await launch())

        return start_for(caller, wait())

    def join(self, name: str, *, caller: str = "") -> "asyncio.Task[bool]":
        """A caller who waits for a refresh."""
        flight = self.flights.get(name)
        assert flight
        return start_for(caller, flight.wait(8))

    def count(self, name: str) -> int:
        """How many calls with this first word have started."""
        return sum(started.split()[0] == name for started in self.names)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.started]

    async def _call(self, name: str, within: float) -> None:
        self.ends[name] = asyncio.Event()
        operations = {"detail": Operation.DETAIL, "token": Operation.TOKEN}
        operation = operations.get(name.split(maxsplit=1)[0], Operation.LIST)
        start = await self.limiter.acquire(self.clock.monotonic() + within, operation)
        self.started.append((name, self.clock.monotonic() - 1000.0))
        await self.ends[name].wait()
        self.limiter.release(start, responded=self.responding)

    async def end_all(self) -> None:
        for _ in range(len(self.ends)):
            for end in self.ends.values():
                end.set()
            await settle()


async def test_calls_beyond_the_concurrency_limit_start_in_order_as_others_end():
    bench = Bench()
    calls = [bench.call(name) for name in "abcde"]
    await settle()
    assert bench.names == ["a", "b"]
    bench.ends["b"].set()
    await settle()
    assert bench.names == ["a", "b", "c"]
    late = bench.call("f")
    await settle()
    await bench.end_all()
    assert bench.names == list("abcdef")
    await asyncio.gather(*calls, late)


async def test_a_queued_call_fails_at_its_deadline_and_the_others_stay_queued():
    bench = Bench(max_concurrency=1)
    first = bench.call("first")
    hasty, patient = bench.call("hasty", within=3), bench.call("patient")
    await bench.clock.advance(3)
    with pytest.raises(UpstreamTimeout):
        await hasty
    bench.ends["first"].set()
    await settle()
    assert bench.names == ["first", "patient"]
    await bench.end_all()
    await asyncio.gather(first, patient)


async def test_a_call_whose_deadline_has_passed_fails_at_once():
    bench = Bench(max_concurrency=1)
    first = bench.call("first")
    await settle()
    late = bench.call("late", within=-1)
    await bench.clock.advance(0)
    assert late.done()
    with pytest.raises(UpstreamTimeout):
        await late
    with pytest.raises(UpstreamTimeout):
        await Bench().call("late", within=-1)
    await bench.end_all()
    await first


async def test_no_more_calls_start_within_any_second_than_allowed():
    bench = Bench(max_concurrency=100, max_rate=20)
    calls = [bench.call(str(number)) for number in range(70)]
    await bench.clock.advance(4)
    assert bench.names == [str(number) for number in range(70)]
    assert [time for _, time in bench.started] == [0] * 20 + [1] * 20 + [2] * 20 + [3] * 10
    await bench.end_all()
    await asyncio.gather(*calls)


async def test_a_call_that_the_rate_would_start_after_its_deadline_fails():
    bench = Bench(max_concurrency=100, max_rate=1)
    first, second = bench.call("first", within=2), bench.call("second", within=2)
    third = bench.call("third", within=2)
    await bench.clock.advance(2)
    with pytest.raises(DeadlineExceeded):
        await third
    assert bench.names == ["first", "second"]
    await bench.end_all()
    await asyncio.gather(first, second)


async def test_calls_with_waiters_start_before_background_refreshes():
    bench = Bench(max_concurrency=1)
    first = bench.call("first")
    await settle()
    background = bench.refresh("background")
    await settle()
    foreground = bench.call("foreground")
    await settle()
    refresh = bench.refresh("joined")
    await settle()
    joined = bench.join("joined")  # while its call is queued
    await settle()
    await bench.end_all()
    assert bench.names == ["first", "foreground", "joined", "background"]
    await asyncio.gather(first, foreground, joined, refresh, background)


async def test_background_refreshes_go_on_however_many_details_and_pages_are_requested():
    bench = Bench(max_concurrency=1)
    calls = [bench.call("first")]
    calls += [bench.call(f"{kind} {number}") for kind in ("detail", "page") for number in range(20)]
    await settle()
    refresh = bench.refresh("refresh")
    await settle()
    await bench.end_all()
    await asyncio.gather(*calls, refresh)
    assert bench.names.index("refresh") < 8
    assert {name.split()[0] for name in bench.names[:5]} >= {"detail", "page"}


async def test_detail_calls_leave_a_quarter_of_the_slots_to_others():
    bench = Bench(max_concurrency=8)
    details = [bench.call(f"detail {number}") for number in range(8)]
    await settle()
    assert len(bench.names) == 6
    assert bench.clock.pending_timers == 2, "no timer for a slot, one for each deadline"
    page = bench.call("page")
    await settle()
    assert bench.names[6:] == ["page"]
    bench.ends["detail 0"].set()
    await settle()
    assert bench.names[7:] == ["detail 6"]
    await bench.end_all()
    await asyncio.gather(*details, page)


async def test_a_token_call_starts_before_all_others():
    bench = Bench(max_concurrency=1)
    calls = [bench.call(name) for name in ("first", "page", "detail", "token")]
    await settle()
    await bench.end_all()
    await asyncio.gather(*calls)
    assert bench.names[:2] == ["first", "token"]


async def test_a_single_slot_is_for_details_as_well():
    bench = Bench(max_concurrency=1)
    detail = bench.call("detail")
    await settle()
    await bench.end_all()
    await detail
    assert bench.names == ["detail"]


async def test_a_queue_that_is_full_of_details_accepts_other_calls():
    bench = Bench(max_concurrency=1, max_queue=2)
    calls = [bench.call(f"detail {number}") for number in range(3)]
    await settle()
    with pytest.raises(UpstreamUnavailable):
        await bench.call("detail 3")
    page = bench.call("page")
    await settle()
    await bench.end_all()
    await asyncio.gather(*calls, page)
    assert "page" in bench.names


@pytest.mark.parametrize("responding", [True, False])
async def test_after_a_pause_one_call_goes_first_and_the_others_only_if_it_is_answered(
    responding: bool,
):
    bench = Bench(max_concurrency=8)
    bench.limiter.on_throttled(1000.0, 5)
    bench.responding = responding
    calls = [bench.call(name) for name in "abcd"]
    await bench.clock.advance(5)
    assert bench.names == ["a"]
    bench.ends["a"].set()
    await settle()
    assert bench.names == (["a", "b", "c", "d"] if responding else ["a", "b"])
    await bench.end_all()
    await asyncio.gather(*calls)


async def test_a_call_from_before_the_pause_does_not_end_it():
    bench = Bench(max_concurrency=3)
    early = bench.call("early")
    await settle()
    bench.limiter.on_throttled(1000.0, 5)
    calls = [bench.call(name) for name in "abc"]
    await bench.clock.advance(5)
    bench.ends["early"].set()
    await settle()
    assert bench.names == ["early", "a"]
    await bench.end_all()
    await asyncio.gather(early, *calls)


async def test_a_full_queue_rejects_calls_and_evicts_a_background_refresh_for_a_caller():
    bench = Bench(max_concurrency=1, max_queue=2)
    first, foreground = bench.call("first"), bench.call("foreground")
    await settle()
    background = bench.refresh("background")
    await settle()
    late_background = bench.refresh("late background")
    await settle()
    with pytest.raises(UpstreamUnavailable):
        await late_background
    late = bench.call("late")
    await settle()
    with pytest.raises(UpstreamUnavailable) as evicted:
        await background
    assert evicted.value.retry_after == 2 / 100
    with pytest.raises(UpstreamUnavailable):
        await bench.call("later")
    await bench.end_all()
    assert bench.names == ["first", "foreground", "late"]
    await asyncio.gather(first, foreground, late)


async def test_calls_of_one_caller_do_not_delay_those_of_another():
    bench = Bench(max_concurrency=1)
    calls = bench.calls("greedy", 40, caller="greedy")
    await settle()
    calls += bench.calls("polite", 2, caller="polite") + bench.calls("other", 1, caller="other")
    await settle()
    await bench.end_all()
    await asyncio.gather(*calls)
    assert {bench.names.index(name) for name in ("polite 0", "other 0")} == {2, 3}
    assert bench.names.index("polite 1") <= 5


async def test_a_call_that_several_callers_wait_for_starts_when_any_of_them_has_its_turn():
    bench = Bench(max_concurrency=1)
    calls = bench.calls("greedy", 40, caller="greedy")
    await settle()
    refresh = bench.refresh("shared", caller="greedy")
    await settle()
    joined = [bench.join("shared", caller="greedy"), bench.join("shared", caller="polite")]
    await settle()
    await bench.end_all()
    await asyncio.gather(*calls, *joined, refresh)
    assert bench.names.index("shared") <= 2


async def test_refreshes_of_orders_that_one_caller_requests_delay_no_refresh_of_the_list():
    bench = Bench(max_concurrency=1)
    tasks: list[asyncio.Task[None]] = [bench.call("first")]
    await settle()
    tasks += [bench.refresh(f"detail {number}", caller="greedy") for number in range(40)]
    await settle()
    tasks += [bench.refresh(f"page {number}", caller="greedy") for number in range(4)]
    tasks += [bench.refresh("detail polite", caller="polite")]
    await settle()
    await bench.end_all()
    await asyncio.gather(*tasks)
    order = bench.names
    assert order.index("page 0") <= 3
    assert order.index("detail polite") <= 3
    assert order.index("page 3") <= 12


async def test_one_caller_has_at_most_half_of_a_queue():
    bench = Bench(max_concurrency=1, max_queue=10)
    calls = bench.calls("greedy", 6, caller="greedy")
    await settle()
    with pytest.raises(UpstreamUnavailable):
        await bench.call("too many", caller="greedy")
    calls += bench.calls("polite", 5, caller="polite")
    await settle()
    await bench.end_all()
    await asyncio.gather(*calls)
    assert (bench.count("greedy"), bench.count("polite")) == (6, 5)


async def test_in_a_full_queue_the_last_call_of_the_caller_with_the_most_is_rejected():
    bench = Bench(max_concurrency=1, max_queue=10)
    calls = bench.calls("first", 6, caller="first") + bench.calls("second", 5, caller="second")
    await settle()
    late = bench.call("polite", caller="polite")
    await settle()
    with pytest.raises(UpstreamUnavailable):
        await calls.pop(5)
    with pytest.raises(UpstreamUnavailable):
        await bench.call("second 6", caller="second")
    refresh = bench.refresh("page", caller="first")
    await settle()
    await bench.end_all()
    results = await asyncio.gather(*calls, late, refresh, return_exceptions=True)
    assert bench.count("polite") == bench.count("page") == 1
    assert sum(isinstance(result, UpstreamUnavailable) for result in results) == 1


async def test_throttling_pauses_all_calls_and_rejects_those_whose_deadline_is_earlier():
    bench = Bench(max_concurrency=2)
    first, second = bench.call("first"), bench.call("second")
    hasty, patient = bench.call("hasty", within=3), bench.call("patient")
    await settle()
    bench.limiter.on_throttled(1000.0, 5)
    with pytest.raises(UpstreamThrottled) as rejected:
        await hasty
    assert rejected.value.retry_after == 5
    bench.ends["first"].set()
    await bench.clock.advance(1)
    with pytest.raises(UpstreamThrottled) as rejected:
        await bench.call("late", within=3)
    assert rejected.value.retry_after == 4
    await bench.clock.advance(3.9)
    assert bench.names == ["first", "second"]
    await bench.clock.advance(0.1)
    assert bench.names == ["first", "second", "patient"]
    await bench.end_all()
    await asyncio.gather(first, second, patient)


async def test_rejecting_all_queued_calls_leaves_no_task():
    bench = Bench(max_concurrency=1)
    before = asyncio.all_tasks()
    calls = [bench.call(name) for name in "abc"]
    await settle()
    bench.limiter.reject_all(UpstreamUnavailable("closed"), set(Operation))
    for call in calls[1:]:
        with pytest.raises(UpstreamUnavailable, match="closed"):
            await call
    cancelled = bench.call("cancelled")
    await settle()
    bench.limiter.reject_all(UpstreamUnavailable("closed"), set(Operation))
    cancelled.cancel()  # rejected and cancelled at the same moment
    await settle()
    await bench.end_all()
    await calls[0]
    assert bench.limiter._queue == []
    assert asyncio.all_tasks() == before
    next_call = bench.call("next")
    await settle()
    assert bench.names == ["a", "next"]
    await bench.end_all()
    await next_call


async def test_a_call_cancelled_in_the_queue_takes_no_slot():
    bench = Bench(max_concurrency=1)
    first, cancelled, last = bench.call("first"), bench.call("cancelled"), bench.call("last")
    await settle()
    cancelled.cancel()
    bench.ends["first"].set()
    await settle()
    assert bench.names == ["first", "last"]
    await bench.end_all()
    await asyncio.gather(first, cancelled, last, return_exceptions=True)


async def test_a_call_cancelled_when_its_turn_has_come_passes_the_slot_on():
    bench = Bench(max_concurrency=1)
    first, cancelled, last = bench.call("first"), bench.call("cancelled"), bench.call("last")
    await settle()
    bench.ends["first"].set()
    await first  # the second call has its turn now, and has not run yet
    cancelled.cancel()
    await settle()
    assert cancelled.cancelled()
    assert bench.names == ["first", "last"]
    await bench.end_all()
    await asyncio.gather(first, last)


async def test_a_quiet_time_does_not_allow_more_calls_later():
    bench = Bench(max_concurrency=100, max_rate=1)
    calls = [bench.call("first")]
    await bench.clock.advance(5)
    calls += [bench.call("second"), bench.call("third")]
    await bench.clock.advance(2)
    assert bench.started == [("first", 0), ("second", 5), ("third", 6)]
    await bench.end_all()
    await asyncio.gather(*calls)


async def test_a_queued_call_leaves_no_task_and_no_timer_behind():
    bench = Bench(max_concurrency=1)
    before = asyncio.all_tasks()
    calls = [bench.call(name) for name in "abc"]
    await settle()
    assert asyncio.all_tasks() - before == set(calls)
    await bench.end_all()
    await asyncio.gather(*calls)
    await settle()
    assert asyncio.all_tasks() == before
    assert bench.clock.pending_timers == 0


# The rate is halved by throttling, and then grows again slowly.


def test_of_calls_in_flight_together_only_the_first_throttled_one_halves_the_rate():
    limit = RateLimit(48)
    limit.on_throttled(started=9.9, now=10.0, retry_after=None)
    assert (limit.rate(10), limit.paused_until) == (24, 11)
    limit.on_throttled(started=9.95, now=10.5, retry_after=3)
    assert (limit.rate(10.5), limit.paused_until) == (24, 13.5)
    limit.on_throttled(started=13.5, now=13.6, retry_after=None)
    assert 12 <= limit.rate(13.6) < 12.1


def test_after_the_pause_the_rate_grows_back_to_the_maximum():
    limit = RateLimit(60)
    limit.on_throttled(started=0, now=0, retry_after=2)
    assert [limit.rate(now) for now in (0, 2, 12, 32, 100)] == [30, 30, 40, 60, 60]


def test_repeated_throttling_leaves_one_call_per_second():
    limit = RateLimit(50)
    now = 0.0
    for _ in range(20):
        limit.on_throttled(started=now, now=now, retry_after=0)
        now += 0.001
    assert 1 <= limit.rate(now) < 1.1
    limit.record(CallStart(now))
    assert limit.next_slot(now) - now == 1
    slowest = RateLimit(1)
    slowest.on_throttled(started=0, now=0, retry_after=0)
    assert slowest.rate(0) == 1


def test_at_half_the_rate_half_as_many_calls_start_within_a_second():
    limit = RateLimit(4)
    for _ in range(4):
        limit.record(CallStart(10))
    limit.on_throttled(started=10, now=10, retry_after=0)
    assert limit.next_slot(10.5) == 11
    limit.record(CallStart(11))
    limit.record(CallStart(11))
    assert limit.next_slot(11) == 12


@given(
    max_rate=st.integers(1, 60),
    gaps=st.lists(st.floats(0, 2), max_size=150),
)
def test_no_second_has_more_call_starts_than_allowed(max_rate: int, gaps: list[float]):
    limit = RateLimit(max_rate)
    now, starts = 0.0, []
    for gap in gaps:
        now = max(now + gap * gap * gap, limit.next_slot(now + gap * gap * gap))
        limit.record(CallStart(now))
        starts.append(now)
    for first, one_too_many in zip(starts, starts[max_rate:], strict=False):
        assert one_too_many - first >= 1 - 1e-9


def test_a_call_that_is_sent_late_counts_from_when_it_was_sent():
    limit = RateLimit(1)
    start = CallStart(10)
    limit.record(start)
    assert limit.next_slot(10) == 11
    start.at = 10.75
    assert limit.next_slot(10.75) == 11.75


@pytest.mark.parametrize(("processes", "starts"), [(1, 50), (6, 8), (50, 1)])
def test_processes_share_the_rate_evenly(processes: int, starts: int):
    limit = RateLimit(50)
    limit.set_processes(processes)
    for _ in range(starts):
        assert limit.next_slot(10.0) <= 10.0
        limit.record(CallStart(10.0))
    assert limit.next_slot(10.0) == 11.0


def test_a_share_of_less_than_one_call_per_second_is_one_call_in_several_seconds():
    limit = RateLimit(50)
    limit.set_processes(100)
    limit.record(CallStart(10.0))
    assert limit.next_slot(10.0) == 12.0
    assert limit.rate(10.0) == 0.5


async def test_calls_that_wait_start_when_the_share_becomes_greater():
    bench = Bench(max_concurrency=100, max_rate=2)
    bench.limiter.set_processes(2)
    calls = [asyncio.ensure_future(bench.limiter.acquire(2000.0)) for _ in range(2)]
    await settle()
    assert [call.done() for call in calls] == [True, False]
    bench.limiter.set_processes(1)
    await settle()
    assert [call.done() for call in calls] == [True, True]
