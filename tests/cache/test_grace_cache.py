"""What a caller gets while answers age, fail and land."""

import asyncio
import gc
import weakref
from copy import copy

import pytest

from app.cache.freshness import Freshness, Lifetime, backoff_seconds
from app.cache.grace_cache import (
    CacheDirective,
    Entry,
    GraceCache,
    Lookup,
    NotInCache,
    Outcome,
    WaitTimeout,
)
from app.single_flight import Awaited, SingleFlight, TooManyWaiters, always_awaited
from tests.support.clock import ManualClock, settle


class Unknown(Exception):
    """A fact: there is no such thing."""


class Source:
    """What is fetched: numbered answers, held back or failing at a test's will."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.is_awaited: Awaited = always_awaited

    async def __call__(self, awaited: Awaited) -> str:
        self.asked += 1
        self.is_awaited = awaited
        answer, error = f"answer {self.asked}", self.error
        await self.open.wait()
        if error:
            raise error
        return answer


class Bench:
    """A cache, its clock and its source."""

    def __init__(self, *, ttl: float = 60, min_age: float = 5, max_bytes: int = 1000) -> None:
        self.clock = ManualClock()
        self.source = Source()
        self.landed: list[Entry[str]] = []
        self.cache: GraceCache[str, str] = GraceCache(
            Lifetime(ttl, 300, 1300),
            self.clock,
            min_age=min_age,
            wait=2,
            max_entries=10,
            max_bytes=max_bytes,
            size_of=len,
            pause=lambda _error, in_a_row: backoff_seconds(in_a_row),
            facts=(Unknown,),
            landed=lambda _key, entry: self.landed.append(entry),
        )

    def ask(
        self, ask: CacheDirective = CacheDirective.DEFAULT, key: str = "k"
    ) -> "asyncio.Future[Lookup[str]]":
        until = self.clock.monotonic() + 8
        return asyncio.ensure_future(self.cache.serve(key, self.source, ask=ask, until=until))

    def renew(self, entry: Entry[str]) -> "asyncio.Future[Lookup[str]]":
        until = self.clock.monotonic() + 8
        return asyncio.ensure_future(self.cache.renew("k", entry, self.source, until=until))


def nobody() -> bool:
    """Work for which nobody waits."""
    return False


@pytest.fixture
def bench() -> Bench:
    return Bench()


def told(served: Lookup[str]) -> tuple[str, Freshness, Outcome]:
    return served.entry.value, served.freshness, served.outcome


async def test_a_fresh_answer_is_served_without_asking(bench: Bench):
    first = await bench.ask()
    assert told(first) == ("answer 1", Freshness.FRESH, Outcome.MISS)
    assert first.forward_reason == "uri-miss"
    await bench.clock.advance(59)
    assert told(await bench.ask()) == ("answer 1", Freshness.FRESH, Outcome.HIT)
    assert bench.source.asked == 1


async def test_a_stale_answer_is_served_at_once_and_refreshed_behind(bench: Bench):
    await bench.ask()
    await bench.clock.advance(60)
    bench.source.open.clear()
    assert told(await bench.ask()) == ("answer 1", Freshness.STALE, Outcome.STALE_HIT)
    bench.source.open.set()
    await settle()
    assert told(await bench.ask()) == ("answer 2", Freshness.FRESH, Outcome.HIT)


async def test_many_who_find_nothing_cost_one_call(bench: Bench):
    served = await asyncio.gather(*(bench.ask() for _ in range(50)))
    assert {one.entry.value for one in served} == {"answer 1"}
    assert [one.outcome for one in served].count(Outcome.MISS) == 1
    assert [one.outcome for one in served].count(Outcome.COLLAPSED) == 49
    assert bench.source.asked == 1


async def test_a_kept_answer_is_asked_for_anew_and_waited_for(bench: Bench):
    await bench.ask()
    await bench.clock.advance(360)
    served = await bench.ask()
    assert told(served) == ("answer 2", Freshness.FRESH, Outcome.MISS)
    assert served.forward_reason == "stale"


async def test_a_kept_answer_is_served_when_the_upstream_fails(bench: Bench):
    await bench.ask()
    await bench.clock.advance(360)
    bench.source.error = OSError("down")
    served = await bench.ask()
    assert told(served) == ("answer 1", Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    assert served.error is bench.source.error


async def test_a_kept_answer_is_served_when_the_upstream_lasts(bench: Bench):
    await bench.ask()
    await bench.clock.advance(360)
    bench.source.open.clear()
    asking = bench.ask()
    await bench.clock.advance(1.9)
    assert not asking.done()
    await bench.clock.advance(0.1)
    assert told(asking.result()) == ("answer 1", Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    assert isinstance(asking.result().error, WaitTimeout)
    bench.source.open.set()
    await settle()
    assert told(await bench.ask()) == ("answer 2", Freshness.FRESH, Outcome.HIT)


async def test_an_answer_that_is_gone_is_not_served(bench: Bench):
    await bench.ask()
    await bench.clock.advance(1360)
    bench.source.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        await bench.ask()


async def test_a_caller_with_nothing_held_waits_to_its_deadline_and_the_flight_goes_on(
    bench: Bench,
):
    bench.source.open.clear()
    asking = bench.ask()
    await bench.clock.advance(8)
    with pytest.raises(WaitTimeout):
        asking.result()
    bench.source.open.set()
    await settle()
    assert told(await bench.ask()) == ("answer 1", Freshness.FRESH, Outcome.HIT)


async def test_a_failed_fetch_is_not_tried_again_at_once(bench: Bench):
    bench.source.error = OSError("down")
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await bench.ask()
    assert bench.source.asked == 1
    await bench.clock.advance(1)
    with pytest.raises(OSError, match="down"):
        await bench.ask()
    await bench.clock.advance(1.9)
    with pytest.raises(OSError, match="down"):
        await bench.ask()
    assert bench.source.asked == 2


async def test_a_failure_is_told_with_the_time_until_it_is_asked_again(bench: Bench):
    def aged(_: BaseException, elapsed: float, left: float) -> BaseException:
        return OSError(f"down since {elapsed}, for {left}")

    bench.cache._told_later = aged
    bench.source.error = OSError("down")
    for pause, told in ((0, "since 0.0, for 1.0"), (0.25, "since 0.25, for 0.75"), (1, "for 2.0")):
        await bench.clock.advance(pause)
        with pytest.raises(OSError, match=f"{told}$"):
            await bench.ask()


async def test_what_is_remembered_of_a_failure_holds_nothing_of_the_call(bench: Bench):
    class Whatever:
        """What a call has in its hands when it fails."""

    held: list[weakref.ref[Whatever]] = []

    async def call(_: Awaited) -> str:
        whatever = Whatever()
        held.append(weakref.ref(whatever))
        raise OSError("down")

    bench.cache._told_later = lambda error, *_: copy(error)
    with pytest.raises(OSError, match="down"):
        await bench.cache.serve(
            "k", call, ask=CacheDirective.DEFAULT, until=bench.clock.monotonic() + 8
        )
    await settle()
    gc.collect()
    assert held[0]() is None


async def test_a_caller_too_many_is_served_what_is_held(bench: Bench):
    bench.cache._flights = SingleFlight(bench.clock, max_waiters=0)
    bench.source.open.clear()
    with pytest.raises(TooManyWaiters):
        await bench.ask()
    bench.source.open.set()
    await settle()
    bench.source.open.clear()
    await bench.clock.advance(360)
    served = await bench.ask()
    assert told(served) == ("answer 1", Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    assert isinstance(served.error, TooManyWaiters)
    bench.source.open.set()
    await settle()


async def test_a_fetch_can_look_whether_anybody_waits_for_it(bench: Bench):
    await bench.ask()
    await bench.clock.advance(60)
    bench.source.open.clear()
    await bench.ask()  # stale: served at once, and refreshed behind
    await settle()
    assert not bench.source.is_awaited()
    await bench.clock.advance(300)
    joined = bench.ask()  # kept: it waits for the refresh
    await settle()
    assert bench.source.is_awaited()
    joined.cancel()
    await settle()
    assert not bench.source.is_awaited()
    bench.source.open.set()
    await settle()
    assert not bench.source.is_awaited()


async def test_what_is_held_is_served_at_once_while_a_failure_is_remembered(bench: Bench):
    await bench.ask()
    await bench.clock.advance(360)
    bench.source.error = OSError("down")
    await bench.ask()
    assert told(await bench.ask()) == ("answer 1", Freshness.STALE_IF_ERROR, Outcome.STALE_HIT)
    assert told(await bench.ask(CacheDirective.NO_CACHE)) == (
        "answer 1",
        Freshness.STALE_IF_ERROR,
        Outcome.STALE_HIT,
    )
    assert bench.source.asked == 2


async def test_a_stale_answer_is_not_refreshed_while_a_failure_is_remembered(bench: Bench):
    await bench.ask()
    await bench.clock.advance(60)
    bench.source.error = OSError("down")
    await bench.ask()
    await settle()
    await bench.ask()
    await settle()
    assert bench.source.asked == 2


async def test_an_error_never_lengthens_a_life(bench: Bench):
    await bench.ask()
    bench.source.error = OSError("down")
    for _ in range(136):
        await bench.clock.advance(10)
    with pytest.raises(OSError, match="down"):
        await bench.ask()


async def test_a_fact_ends_what_was_held(bench: Bench):
    await bench.ask()
    await bench.clock.advance(360)
    bench.source.error = Unknown()
    with pytest.raises(Unknown):
        await bench.ask()
    with pytest.raises(Unknown):
        await bench.ask()
    assert bench.cache.get("k") is None


async def test_no_cache_asks_again_unless_what_is_held_is_young(bench: Bench):
    await bench.ask()
    await bench.clock.advance(4)
    assert told(await bench.ask(CacheDirective.NO_CACHE)) == (
        "answer 1",
        Freshness.FRESH,
        Outcome.HIT,
    )
    await bench.clock.advance(1)
    served = await bench.ask(CacheDirective.NO_CACHE)
    assert told(served) == ("answer 2", Freshness.FRESH, Outcome.MISS)
    assert served.forward_reason == "request"


async def test_no_cache_serves_what_is_held_when_asking_fails(bench: Bench):
    await bench.ask()
    await bench.clock.advance(30)
    bench.source.error = OSError("down")
    assert told(await bench.ask(CacheDirective.NO_CACHE)) == (
        "answer 1",
        Freshness.FRESH,
        Outcome.STALE_IF_ERROR,
    )


async def test_only_if_cached_serves_what_is_held_and_asks_nobody(bench: Bench):
    with pytest.raises(NotInCache):
        await bench.ask(CacheDirective.ONLY_IF_CACHED)
    await bench.ask()
    await bench.clock.advance(400)
    served = await bench.ask(CacheDirective.ONLY_IF_CACHED)
    assert told(served) == ("answer 1", Freshness.STALE_IF_ERROR, Outcome.STALE_HIT)
    assert bench.source.asked == 1


async def test_what_is_too_heavy_is_served_and_not_held():
    bench = Bench(max_bytes=3)
    assert (await bench.ask()).entry.value == "answer 1"
    assert (await bench.ask()).entry.value == "answer 2"
    assert bench.cache.items() == []


async def test_what_was_found_lagging_is_stale_and_fetched_again_once_a_ttl(bench: Bench):
    first = await bench.ask()
    second = await bench.renew(first.entry)
    assert told(second) == ("answer 2", Freshness.FRESH, Outcome.MISS)
    third = await bench.renew(second.entry)
    assert told(third) == ("answer 2", Freshness.STALE, Outcome.STALE_HIT)
    await bench.ask()
    await settle()
    assert bench.source.asked == 2
    await bench.clock.advance(60)
    await bench.ask()
    await settle()
    assert bench.source.asked == 3


async def test_a_lagging_answer_that_was_replaced_meanwhile_is_not_fetched_again(bench: Bench):
    first = await bench.ask()
    await bench.clock.advance(10)
    await bench.ask(CacheDirective.NO_CACHE)
    renewed = await bench.renew(first.entry)
    assert renewed.entry.value == "answer 2"
    assert bench.source.asked == 2


async def test_a_lagging_answer_that_is_held_no_more_is_fetched_again():
    bench = Bench(max_bytes=3)
    first = await bench.ask()
    assert (await bench.renew(first.entry)).entry.value == "answer 2"


async def test_landings_are_told(bench: Bench):
    served = await bench.ask()
    assert bench.landed == [served.entry]


async def test_closing_waits_for_the_flights(bench: Bench):
    bench.source.open.clear()
    asking = bench.ask()
    await settle()
    closing = asyncio.ensure_future(bench.cache.close(10))
    await settle()
    bench.source.open.set()
    await closing
    assert (await asking).entry.value == "answer 1"


async def test_work_behind_gets_what_is_fresh_without_asking_and_else_waits_for_the_answer(
    bench: Bench,
):
    first = await bench.cache.refreshed("k", bench.source, nobody)
    assert told(first) == ("answer 1", Freshness.FRESH, Outcome.MISS)
    assert told(await bench.cache.refreshed("k", bench.source, nobody))[2] is Outcome.HIT
    await bench.clock.advance(60)
    bench.source.open.clear()
    waiting = asyncio.ensure_future(bench.cache.refreshed("k", bench.source, nobody))
    await bench.clock.advance(100)
    assert not waiting.done()
    bench.source.open.set()
    served = await waiting
    assert (served.entry.value, served.forward_reason) == ("answer 2", "stale")


async def test_a_fetch_for_work_behind_is_awaited_while_somebody_waits_for_the_work(bench: Bench):
    waiting_for_the_work = False
    bench.source.open.clear()
    work = asyncio.ensure_future(
        bench.cache.refreshed("k", bench.source, lambda: waiting_for_the_work)
    )
    await settle()
    assert not bench.source.is_awaited()
    waiting_for_the_work = True
    assert bench.source.is_awaited()
    waiting_for_the_work = False
    caller = bench.ask()
    await settle()
    assert bench.source.is_awaited()
    bench.source.open.set()
    await asyncio.gather(work, caller)


async def test_work_behind_is_told_of_a_failure_and_leaves_the_key_in_peace_after_it(bench: Bench):
    await bench.ask()
    await bench.clock.advance(60)
    bench.source.error = RuntimeError("down")
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await bench.cache.refreshed("k", bench.source, nobody)
    assert bench.source.asked == 2


async def test_work_behind_takes_what_was_fetched_early_as_it_is(bench: Bench):
    entry = (await bench.ask()).entry
    await bench.clock.advance(10)
    early = (await bench.renew(entry)).entry
    lagging = (await bench.renew(early)).entry
    served = await bench.cache.refreshed("k", bench.source, nobody)
    assert (served.entry, served.outcome) == (lagging, Outcome.STALE_HIT)
    assert bench.source.asked == 2


async def test_an_answer_that_was_found_lagging_is_reported_as_one_that_is_now_held(bench: Bench):
    entry = (await bench.ask()).entry
    bench.source.error = RuntimeError("down")
    served = await bench.renew(entry)
    assert bench.landed == [entry, served.entry]
    assert served.entry.outdated
