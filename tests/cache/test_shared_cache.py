"""Caches of several processes that share a store: who fetches, who waits, and who adopts."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cache.freshness import CacheDirective, Freshness, Lifetime
from app.cache.grace_cache import Entry, Lookup, NotInCache, Outcome
from app.cache.shared_cache import SharedCache
from app.cache.shared_values import SharedValues
from app.cache.sqlite_store import SqliteStore
from app.cache.store import LEASE_SECONDS, Lease, Wanted
from app.cache.store_access import CALLER_BUDGET, StoreAccess
from tests.support.clock import ManualClock, settle

TTL = 60.0
SPACE = "orders-bff:1:0123456789abcdef:UTC:"
KEY = 7


class FixedSpace:
    async def find(self) -> str:
        return SPACE

    async def require(self) -> str:
        return SPACE


class Process:
    """A process that caches texts, which it fetches from an upstream that a test controls.

    Attributes:
        gate: what a fetch waits for.
        delay: seconds that each operation of the store takes.
    """

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.delay = 0.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.fetches = 0
        self.store = SqliteStore(path, clock, self._run_in_thread)
        self.access = StoreAccess(self.store, clock)
        values = SharedValues(
            self.access,
            FixedSpace(),
            clock,
            kind="text",
            encode=str.encode,
            decode=bytes.decode,
            max_wait=8,
        )
        self.cache: SharedCache[str] = SharedCache(
            Lifetime(TTL, 300, 1300),
            clock,
            min_age=5,
            max_stale_wait=2,
            max_entries=100,
            max_bytes=10_000,
            size_of=len,
            values=values,
        )

    async def _run_in_thread(self, function: Callable[[], Any]) -> Any:
        if self.delay:
            await self.clock.sleep(self.delay)
        return function()

    async def fetch(self, key: int) -> str:
        self.fetches += 1
        number = self.fetches
        await self.gate.wait()
        if self.error:
            raise self.error
        return f"text {key}, fetch {number}"

    async def get(self, directive: CacheDirective = CacheDirective.DEFAULT) -> Lookup[str]:
        return await self.cache.get_or_fetch(KEY, self.fetch, directive)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


async def pair(path: Path, clock: ManualClock) -> tuple[Process, Process]:
    """Return two processes that have cached the same text."""
    first, second = Process(path, clock), Process(path, clock)
    await first.get()
    await second.get()
    return first, second


async def test_a_process_with_nothing_cached_adopts_what_is_stored(path: Path, clock: ManualClock):
    first, second = Process(path, clock), Process(path, clock)
    await first.get()
    await clock.advance(20)
    lookup = await second.get()
    assert (lookup.entry.value, lookup.outcome) == ("text 7, fetch 1", Outcome.HIT)
    assert lookup.entry.fetched_at == clock.monotonic() - 20
    assert lookup.entry.adopted
    assert second.fetches == 0


async def test_a_stale_entry_is_replaced_by_the_one_that_another_process_has_fetched(
    path: Path, clock: ManualClock
):
    first, second = await pair(path, clock)
    await clock.advance(TTL)
    await first.get()
    await settle()
    assert (await second.get()).outcome is Outcome.STALE_HIT
    await settle()
    lookup = await second.get()
    assert (lookup.entry.value, lookup.outcome) == ("text 7, fetch 2", Outcome.HIT)
    assert (first.fetches, second.fetches) == (2, 0)


async def test_only_if_cached_finds_what_is_stored_and_fetches_nothing(
    path: Path, clock: ManualClock
):
    first, second = Process(path, clock), Process(path, clock)
    with pytest.raises(NotInCache):
        await second.get(CacheDirective.ONLY_IF_CACHED)
    await first.get()
    lookup = await second.get(CacheDirective.ONLY_IF_CACHED)
    assert lookup.outcome is Outcome.HIT
    assert second.fetches == 0


async def test_a_process_waits_for_the_fetch_of_another(path: Path, clock: ManualClock):
    first, second = Process(path, clock), Process(path, clock)
    first.gate.clear()
    requests = [asyncio.ensure_future(process.get()) for process in (first, second)]
    await clock.advance(4 * LEASE_SECONDS * 0.9)
    assert [request.done() for request in requests] == [False, False]
    first.gate.set()
    await clock.advance(1)
    lookups = [request.result() for request in requests]
    assert [lookup.outcome for lookup in lookups] == [Outcome.MISS, Outcome.COLLAPSED]
    assert lookups[0].entry.value == lookups[1].entry.value
    assert second.fetches == 0


async def test_a_dead_process_keeps_no_lease(path: Path, clock: ManualClock):
    dead, other = Process(path, clock), Process(path, clock)
    lease = await dead.store.acquire(SPACE, f"text:{KEY}", Wanted(max_age=TTL))
    assert isinstance(lease, Lease)
    request = asyncio.ensure_future(other.get())
    await clock.advance(LEASE_SECONDS * 0.9)
    assert other.fetches == 0
    await clock.advance(LEASE_SECONDS * 0.2)
    assert request.done()
    assert other.fetches == 1


async def test_a_process_that_waits_too_long_fetches_by_itself(path: Path, clock: ManualClock):
    first, second = Process(path, clock), Process(path, clock)
    first.gate.clear()
    requests = [asyncio.ensure_future(process.get()) for process in (first, second)]
    await clock.advance(9)
    assert (first.fetches, second.fetches) == (1, 1)
    assert requests[1].done()
    first.gate.set()
    await clock.advance(1)
    assert requests[0].done()


async def test_a_failed_fetch_frees_the_lease_for_the_next_process(path: Path, clock: ManualClock):
    first, second = Process(path, clock), Process(path, clock)
    first.error = ValueError("upstream")
    with pytest.raises(ValueError, match="upstream"):
        await first.get()
    await settle()
    assert (await second.get()).outcome is Outcome.MISS
    assert isinstance(first.cache.last_error(KEY), ValueError)


async def test_a_caller_that_joins_a_fetch_gets_nothing_older_than_it_accepts(
    path: Path, clock: ManualClock
):
    first, second = await pair(path, clock)
    await clock.advance(TTL)
    await first.get()
    await clock.advance(30)
    directives = (CacheDirective.MUST_REVALIDATE, CacheDirective.NO_CACHE)
    lookups = await asyncio.gather(*(second.get(directive) for directive in directives))
    assert [lookup.entry.value for lookup in lookups] == ["text 7, fetch 2", "text 7, fetch 1"]
    assert [lookup.outcome for lookup in lookups] == [Outcome.HIT, Outcome.MISS]
    assert lookups[0].entry.sequence < lookups[1].entry.sequence


async def test_an_entry_that_is_still_fresh_by_the_stores_clock_is_adopted_again(
    path: Path, clock: ManualClock
):
    first, second = Process(path, clock), Process(path, clock)
    await first.get()
    await clock.advance(10)
    second.delay = 0.005
    request = asyncio.ensure_future(second.get())
    await clock.advance(0.01)
    adopted = request.result().entry
    assert clock.monotonic() - adopted.fetched_at > 10.01  # by as much as the operation took
    second.delay = 0
    await clock.advance(TTL - 10.012)
    again = (await second.get(CacheDirective.MUST_REVALIDATE)).entry
    assert (again.value, again.sequence) == (adopted.value, adopted.sequence)
    assert again.fetched_at >= adopted.fetched_at
    assert (first.fetches, second.fetches) == (1, 0)


async def test_an_outdated_entry_is_fetched_ahead_of_time_by_one_process_and_only_once(
    path: Path, clock: ManualClock
):
    first, second = await pair(path, clock)
    for process in (first, second):
        entry = process.cache.get(KEY)
        assert entry
        lookup = await process.cache.get_or_fetch(
            KEY, process.fetch, CacheDirective.REFETCH, outdated=entry
        )
        assert lookup.entry.value == "text 7, fetch 2"
        assert lookup.entry.refetched_early
    assert (first.fetches, second.fetches) == (2, 0)
    newer = second.cache.get(KEY)
    assert newer
    await second.cache.get_or_fetch(KEY, second.fetch, CacheDirective.REFETCH, outdated=newer)
    assert second.fetches == 0


async def test_an_entry_fetched_ahead_of_time_is_adopted_although_it_is_outdated_itself(
    path: Path, clock: ManualClock
):
    first, second = await pair(path, clock)
    for process in (first, second):
        entry = process.cache.get(KEY)
        assert entry
        await process.cache.get_or_fetch(KEY, process.fetch, CacheDirective.REFETCH, outdated=entry)
        # Whatever has been fetched so far is outdated.
        second.cache.set_outdated_check(lambda _: True, lambda _: 100)
    assert (first.fetches, second.fetches) == (2, 0)
    await clock.advance(TTL)
    await second.get(CacheDirective.MUST_REVALIDATE)
    assert second.fetches == 1


async def test_a_fetch_of_an_entry_that_is_not_outdated_is_not_ahead_of_time(
    path: Path, clock: ManualClock
):
    first, _ = await pair(path, clock)
    lookup = await first.get(CacheDirective.REFETCH)
    assert lookup.entry.sequence == 2
    assert not lookup.entry.refetched_early


async def test_an_older_entry_never_replaces_a_later_one(path: Path, clock: ManualClock):
    first, _ = await pair(path, clock)
    entry = first.cache.get(KEY)
    assert entry
    assert first.cache._adopt(KEY, Entry("older", clock.monotonic(), entry.sequence - 1)) is entry
    assert first.cache.get(KEY) is entry


async def test_a_stored_value_that_cannot_be_read_is_fetched_again(path: Path, clock: ManualClock):
    process = Process(path, clock)
    unreadable: list[str] = []
    process.store.on_unreadable = unreadable.append
    lease = await process.store.acquire(SPACE, f"text:{KEY}", Wanted(max_age=TTL))
    assert isinstance(lease, Lease)
    await process.store.publish(SPACE, f"text:{KEY}", lease, b"\xff", early=False, lifetime=600)
    assert (await process.get()).entry.value == "text 7, fetch 1"
    assert set(unreadable) == {"value"}
    assert (await Process(path, clock).get()).outcome is Outcome.HIT


async def test_a_slow_store_delays_a_caller_by_its_budget_and_leaves_no_lease(
    path: Path, clock: ManualClock
):
    first, second = await pair(path, clock)
    second.delay = 0.04
    await clock.advance(6)
    request = asyncio.ensure_future(second.get(CacheDirective.NO_CACHE))
    await clock.advance(CALLER_BUDGET * 1.1)
    lookup = request.result()
    assert (lookup.outcome, lookup.freshness) == (Outcome.MISS, Freshness.FRESH)
    await clock.advance(1)
    assert (await first.get(CacheDirective.NO_CACHE)).outcome is Outcome.MISS
    assert first.fetches == 2


async def test_a_fetch_that_cannot_be_published_answers_its_callers(path: Path, clock: ManualClock):
    first, second = await pair(path, clock)
    await clock.advance(6)
    first.gate.clear()
    request = asyncio.ensure_future(first.get(CacheDirective.NO_CACHE))
    await settle()
    first.delay = 5
    first.gate.set()
    await clock.advance(CALLER_BUDGET * 1.1)
    entry = request.result().entry
    assert entry.value == "text 7, fetch 2"
    assert entry.completed_at >= entry.sequence > 0
    assert first.cache.latest_sequence >= entry.sequence
    del second


async def test_numbers_go_on_from_the_greatest_one_that_was_known_while_the_store_is_down(
    path: Path, clock: ManualClock
):
    first, second = await pair(path, clock)
    first.access.is_down = True
    await clock.advance(TTL)
    entry = (await first.get(CacheDirective.MUST_REVALIDATE)).entry
    assert entry.sequence > 1
    assert not await first.cache.load([8])
    first.access.is_down = False
    await clock.advance(6)
    later = (await first.get(CacheDirective.NO_CACHE)).entry
    assert later.sequence > entry.sequence
    assert (await second.get(CacheDirective.MUST_REVALIDATE)).entry.sequence == later.sequence
    await first.cache.close(1)


async def test_what_was_purged_here_is_not_taken_from_a_store_that_still_has_it(
    path: Path, clock: ManualClock
):
    first, _ = await pair(path, clock)
    await clock.advance(6)
    first.cache.purge(drop=True)
    await clock.advance(1)
    assert await first.cache.load([KEY])
    assert first.cache.get(KEY) is None
    assert (await first.get()).entry.value == "text 7, fetch 2"


async def test_a_fetch_during_a_purge_answers_its_callers_and_is_not_stored(
    path: Path, clock: ManualClock
):
    process = Process(path, clock)
    process.gate.clear()
    request = asyncio.ensure_future(process.get())
    await settle()
    process.cache.purge()
    process.gate.set()
    assert (await request).entry.value == "text 7, fetch 1"
    assert process.cache.get(KEY) is None


async def test_a_fetch_that_fails_during_a_purge_is_tried_again_at_once(
    path: Path, clock: ManualClock
):
    process = Process(path, clock)
    process.gate.clear()
    request = asyncio.ensure_future(process.get())
    await settle()
    process.cache.purge()
    process.error = ValueError("upstream")
    process.gate.set()
    with pytest.raises(ValueError, match="upstream"):
        await request
    process.error = None
    assert (await process.get()).entry.value == "text 7, fetch 2"


async def test_a_value_that_is_found_too_late_is_not_waited_for(path: Path, clock: ManualClock):
    first, second = await pair(path, clock)
    await clock.advance(TTL)
    await first.get(CacheDirective.MUST_REVALIDATE)
    second.delay = 0.04
    request = asyncio.ensure_future(second.get(CacheDirective.MUST_REVALIDATE))
    await clock.advance(CALLER_BUDGET * 1.1)
    assert request.result().outcome is Outcome.MISS
    await clock.advance(1)
    assert not second.access.is_down
