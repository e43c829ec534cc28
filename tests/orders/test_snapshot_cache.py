"""The snapshot cache: one load for all callers, served as long as it may be, never incomplete."""

import asyncio
import gc
import logging
import math
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.freshness import CacheDirective, Freshness, Lifetime
from app.cache.grace_cache import NotInCache, Outcome, WaitTimeout
from app.orders.blocks import Block
from app.orders.changes import History
from app.orders.snapshot import Snapshot
from app.orders.snapshot_cache import MAX_RETRY_AFTER, ListLoading, SnapshotCache
from app.orders.snapshot_loader import ListTooLarge, SnapshotLoader
from app.single_flight import Flight, current_flight
from app.upstream.errors import UpstreamFailed
from tests.support.book import LIFETIME, TTL, BookHarness, row
from tests.support.clock import settle


class SnapshotHarness(BookHarness):
    """A book with a snapshot cache, whose fetches end only while the gate is open.

    Attributes:
        running: the fetches that run now.
        max_running: the most that ran at once.
        flights: for each block the flight of its last fetch.
    """

    def __init__(
        self,
        size: int,
        lifetime: Lifetime = LIFETIME,
        *,
        max_orders: int = 100_000,
        max_bytes: int = 10**9,
    ) -> None:
        super().__init__(size, lifetime)
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0
        self.max_running = 0
        self.flights: dict[int, Flight[Any]] = {}
        self.fetch = self._gated
        self.history = History()
        self.snapshots = SnapshotCache(
            self.book,
            self.clock,
            partial(
                SnapshotLoader,
                self.book,
                self.clock,
                concurrency=8,
                max_orders=max_orders,
                max_bytes=max_bytes,
            ),
            deadline=8,
            max_stale_wait=2,
            on_loaded=self.history.record,
        )

    async def snapshot(self) -> Snapshot:
        return (await self.snapshots.get()).snapshot

    def has_waiters(self, index: int) -> bool:
        """Return whether anybody waits for the last fetch of block `index`."""
        return self.flights[index].has_waiters()

    def hold_back(self, index: int) -> asyncio.Event:
        gate = super().hold_back(index)
        gated = self.fetch

        async def recorded(fetched: int) -> Block:
            self._record(fetched)
            return await gated(fetched)

        self.fetch = recorded
        return gate

    async def _gated(self, index: int) -> Block:
        self._record(index)
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        try:
            block = await self.list.fetch(index)
            await asyncio.sleep(0)
            await self.gate.wait()
        finally:
            self.running -= 1
        return block

    def _record(self, index: int) -> None:
        flight = current_flight()
        assert flight is not None
        self.flights[index] = flight


def numbers(snapshot: Snapshot) -> list[str]:
    return [row.order_no for row in snapshot.content.rows]


async def started(request: Coroutine[Any, Any, Any]) -> "asyncio.Future[Any]":
    """Return the request as a task that has run until it waits."""
    task = asyncio.ensure_future(request)
    await settle()
    return task


async def test_concurrent_requests_share_one_load_of_a_few_blocks_at_a_time():
    harness = SnapshotHarness(500)
    results = await asyncio.gather(*(harness.snapshots.get() for _ in range(50)))
    assert harness.list.calls == [0, 9, *range(1, 9), 0]
    assert harness.max_running == 8
    assert {id(snapshot) for snapshot, _ in results} == {id(results[0][0])}
    assert numbers(results[0][0]) == harness.list.numbers
    assert [lookup.outcome for _, lookup in results].count(Outcome.MISS) == 1
    again, lookup = await harness.snapshots.get()
    assert (again, lookup.outcome) == (results[0][0], Outcome.HIT)


@pytest.mark.without_coverage
async def test_a_full_garbage_collection_visits_one_object_for_each_block_and_no_order():
    def visited() -> int:
        gc.collect()
        modules = (str(type(one).__module__) for one in gc.get_objects())
        return sum(module.startswith(("app.orders.", "app.cache.")) for module in modules)

    harness = SnapshotHarness(5000)
    before = visited()
    snapshot = await harness.snapshot()
    assert (len(snapshot.content.rows), len(snapshot.blocks)) == (5000, 100)
    assert visited() - before < 1.2 * len(snapshot.blocks)


async def test_of_the_blocks_that_were_fetched_for_pages_only_the_first_is_fetched_again():
    harness = SnapshotHarness(120)
    for start in (0, 50, 100):
        await harness.book.window(start, start + 10)
    assert harness.list.calls == [0, 2, 1]
    snapshot, lookup = await harness.snapshots.get()
    assert numbers(snapshot) == harness.list.numbers
    assert lookup.outcome is Outcome.MISS
    assert harness.list.calls == [0, 2, 1, 0]
    assert (await harness.snapshots.get()).lookup.outcome is Outcome.HIT


async def test_concurrent_requests_share_the_work_of_assembling_the_cached_blocks():
    harness = SnapshotHarness(5000)
    await harness.book.window(0, 5000)
    loaders: list[SnapshotLoader] = []

    def new_loader() -> SnapshotLoader:
        loader = SnapshotLoader(
            harness.book, harness.clock, concurrency=8, max_orders=5000, max_bytes=10**9
        )
        loaders.append(loader)
        return loader

    snapshots = SnapshotCache(harness.book, harness.clock, new_loader, deadline=8, max_stale_wait=2)
    results = await asyncio.gather(*(snapshots.get() for _ in range(300)))
    assert len({id(result.snapshot) for result in results}) == 1
    # One that is made with the cache, one that assembles the blocks, and one if that had to load.
    assert len(loaders) <= 3


async def test_an_empty_list_has_a_snapshot():
    harness = SnapshotHarness(0)
    assert numbers(await harness.snapshot()) == []
    assert (await harness.snapshots.get())[1].outcome is Outcome.HIT


async def test_a_stale_snapshot_is_served_while_its_stale_blocks_are_fetched_in_the_background():
    harness = SnapshotHarness(150)
    snapshot = await harness.snapshot()
    await harness.clock.advance(TTL - 1)
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    harness.list.calls.clear()
    await harness.clock.advance(1)
    harness.gate.clear()
    for _ in range(3):
        old, lookup = await harness.snapshots.get()
        assert old.content is snapshot.content
        assert (lookup.freshness, lookup.outcome) == (Freshness.STALE, Outcome.STALE_HIT)
    harness.gate.set()
    await settle()
    new, lookup = await harness.snapshots.get()
    assert lookup.freshness is Freshness.FRESH
    assert sorted(harness.list.calls) == [1, 2]
    assert new.content is snapshot.content
    assert [entry.value.request_id for entry in new.blocks] == ["call-5", "call-2", "call-1"]


async def test_only_a_refresh_with_changes_replaces_the_content():
    harness = SnapshotHarness(150)
    snapshot = await harness.snapshot()
    harness.list.numbers[70] = "another"
    await harness.clock.advance(TTL)
    await harness.snapshot()
    for _ in range(3):
        await settle()
    new = await harness.snapshot()
    assert new.content is not snapshot.content
    assert new.blocks[0].value.rows is snapshot.blocks[0].value.rows
    assert numbers(new) == harness.list.numbers


async def test_an_old_snapshot_is_served_if_loading_it_again_fails_or_takes_too_long():
    harness = SnapshotHarness(60)
    snapshot = await harness.snapshot()
    await harness.clock.advance(TTL + 300)
    harness.list.down = True
    old, lookup = await harness.snapshots.get()
    assert (old, lookup.freshness, lookup.outcome) == (
        snapshot,
        Freshness.STALE_IF_ERROR,
        Outcome.STALE_IF_ERROR,
    )
    assert isinstance(lookup.error, UpstreamFailed)
    calls = len(harness.list.calls)
    old, lookup = await harness.snapshots.get()
    assert (old, lookup.outcome, len(harness.list.calls)) == (snapshot, Outcome.STALE_HIT, calls)
    await harness.clock.advance(10)
    harness.list.down = False
    harness.gate.clear()
    request = await started(harness.snapshots.get())
    await harness.clock.advance(2)
    old, lookup = await request
    assert (old, lookup.outcome) == (snapshot, Outcome.STALE_IF_ERROR)
    assert isinstance(lookup.error, WaitTimeout)
    harness.gate.set()
    await settle()
    assert (await harness.snapshots.get())[1].freshness is Freshness.FRESH


async def test_the_fetches_of_a_load_have_waiters_while_anybody_waits_for_the_list():
    harness = SnapshotHarness(100)
    harness.gate.clear()
    first, second = [await started(harness.snapshots.get()) for _ in range(2)]
    assert harness.has_waiters(0)
    first.cancel()
    await settle()
    assert harness.has_waiters(0)
    second.cancel()
    await settle()
    assert not harness.has_waiters(0)
    third = await started(harness.snapshots.get())
    assert harness.has_waiters(0)
    harness.gate.set()
    await third


async def test_a_background_load_has_no_waiters():
    harness = SnapshotHarness(150)
    await harness.snapshot()
    await harness.clock.advance(TTL)
    harness.flights.clear()
    harness.list.numbers.insert(0, "another")
    harness.gate.clear()
    await harness.snapshot()
    await settle()
    assert list(harness.flights) == [0]
    assert not harness.has_waiters(0)
    page = await started(harness.book.window(0, 10, CacheDirective.NO_CACHE))
    assert harness.has_waiters(0)
    harness.gate.set()
    await page


async def test_the_refetch_of_an_outdated_block_has_the_waiters_of_the_list():
    harness = SnapshotHarness(100)
    later = harness.hold_back(1)
    waiting = await started(harness.snapshots.get())
    harness.list.numbers.insert(0, "another")
    again = harness.hold_back(0)
    harness.flights.clear()
    later.set()
    await settle()
    assert harness.has_waiters(0)
    waiting.cancel()
    await settle()
    assert not harness.has_waiters(0)
    again.set()
    await settle()
    assert numbers(await harness.snapshot()) == harness.list.numbers


async def test_an_expired_snapshot_is_loaded_anew():
    harness = SnapshotHarness(60)
    await harness.snapshot()
    await harness.clock.advance(TTL + 1300)
    snapshot, lookup = await harness.snapshots.get()
    assert (lookup.outcome, lookup.forward_reason) == (Outcome.MISS, "uri-miss")
    assert harness.list.calls == [0, 1, 0, 0, 1]
    assert snapshot is await harness.snapshot()


async def test_a_request_past_its_deadline_reports_progress_and_the_load_goes_on():
    harness = SnapshotHarness(500)
    await harness.book.window(0, 10)
    harness.gate.clear()
    request = await started(harness.snapshots.get())
    await harness.clock.advance(8)
    with pytest.raises(ListLoading) as loading:
        await request
    assert loading.value.progress == (50, 500)
    assert loading.value.retry_after == MAX_RETRY_AFTER
    harness.gate.set()
    await settle()
    assert (await harness.snapshots.get())[1].outcome is Outcome.HIT
    assert sorted(harness.list.calls) == [0, *range(10)]


async def test_while_loads_fail_every_stale_snapshot_says_so():
    harness = SnapshotHarness(100)
    await harness.snapshot()
    harness.list.down = True
    await harness.clock.advance(TTL)
    assert (await harness.snapshots.get()).lookup.error is None
    await harness.clock.advance(0.5)
    _, lookup = await harness.snapshots.get()
    assert lookup.outcome is Outcome.STALE_HIT
    assert isinstance(lookup.error, UpstreamFailed)
    harness.list.down = False
    await harness.clock.advance(1)
    await harness.snapshots.get()
    await settle()
    assert (await harness.snapshots.get()).lookup.error is None


async def test_stale_if_error_bounds_the_snapshot_that_is_served_while_loads_fail():
    harness = SnapshotHarness(100)
    await harness.snapshot()
    harness.list.down = True
    await harness.clock.advance(TTL + 400)
    accepted = await harness.snapshots.get(CacheDirective(stale_if_error=400))
    assert accepted.lookup.outcome is Outcome.STALE_IF_ERROR
    for _ in range(2):
        with pytest.raises(UpstreamFailed):
            await harness.snapshots.get(CacheDirective(stale_if_error=399))
    harness.list.down = False
    await harness.clock.advance(5)
    _, lookup = await harness.snapshots.get(CacheDirective(stale_if_error=399))
    assert (lookup.outcome, lookup.forward_reason) == (Outcome.MISS, "stale")


async def test_a_failed_load_is_not_repeated_before_its_backoff_ends():
    harness = SnapshotHarness(500)
    await harness.book.window(0, 10)
    harness.list.down = True
    for _ in range(5):
        with pytest.raises(UpstreamFailed):
            await harness.snapshot()
    assert harness.list.calls == [0, 9]
    harness.list.down = False
    await harness.clock.advance(1)
    assert numbers(await harness.snapshot()) == harness.list.numbers
    assert sorted(harness.list.calls) == [0, 0, *range(1, 9), 9, 9]


async def test_a_list_beyond_the_limits_is_refused_before_it_is_loaded():
    harness = SnapshotHarness(500, max_orders=499)
    for _ in range(2):
        with pytest.raises(ListTooLarge):
            await harness.snapshot()
    assert harness.list.calls == [0]
    heavy = SnapshotHarness(500, max_bytes=100_000)
    with pytest.raises(ListTooLarge):
        await heavy.snapshot()


async def test_with_only_if_cached_nothing_is_fetched_and_all_blocks_must_be_cached():
    harness = SnapshotHarness(100)
    with pytest.raises(NotInCache):
        await harness.snapshots.get(CacheDirective.ONLY_IF_CACHED)
    await harness.book.window(0, 10)
    with pytest.raises(NotInCache):
        await harness.snapshots.get(CacheDirective.ONLY_IF_CACHED)
    await harness.book.window(60, 70)
    snapshot, lookup = await harness.snapshots.get(CacheDirective.ONLY_IF_CACHED)
    assert (numbers(snapshot), lookup.outcome) == (harness.list.numbers, Outcome.STALE_HIT)
    assert snapshot.inconsistent  # the first block was fetched before the last one
    await harness.clock.advance(TTL + 300)
    snapshot, lookup = await harness.snapshots.get(CacheDirective.ONLY_IF_CACHED)
    assert lookup.freshness is Freshness.STALE_IF_ERROR
    await settle()
    assert harness.list.calls == [0, 1]


async def test_stale_cached_blocks_are_served_as_a_snapshot_if_fetching_them_takes_too_long():
    harness = SnapshotHarness(100)
    await harness.book.window(0, 10)
    await harness.book.window(60, 70)
    await harness.clock.advance(TTL)
    harness.gate.clear()
    request = await started(harness.snapshots.get())
    await harness.clock.advance(2)
    snapshot, lookup = await request
    assert (lookup.freshness, lookup.outcome) == (Freshness.STALE, Outcome.STALE_IF_ERROR)
    assert snapshot.inconsistent  # the first block was fetched before the last one
    harness.gate.set()
    await settle()
    assert sorted(harness.list.calls) == [0, 0, 1, 1]
    assert not (await harness.snapshot()).inconsistent


async def test_after_a_block_has_changed_a_request_waits_for_the_others():
    harness = SnapshotHarness(150)
    await harness.snapshot()
    await harness.clock.advance(10)
    harness.list.numbers.insert(0, "newest")
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    snapshot, lookup = await harness.snapshots.get()
    assert numbers(snapshot) == harness.list.numbers
    assert (lookup.freshness, lookup.outcome) == (Freshness.FRESH, Outcome.MISS)
    assert not snapshot.inconsistent


async def test_after_a_block_has_changed_the_old_snapshot_is_served_if_the_others_take_too_long():
    harness = SnapshotHarness(150)
    snapshot = await harness.snapshot()
    await harness.clock.advance(10)
    harness.list.numbers.insert(0, "newest")
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    harness.gate.clear()
    request = await started(harness.snapshots.get())
    await harness.clock.advance(2)
    old, lookup = await request
    assert (old, lookup.freshness, lookup.outcome) == (
        snapshot,
        Freshness.STALE,
        Outcome.STALE_IF_ERROR,
    )
    harness.gate.set()
    await settle()


async def test_the_old_snapshot_is_served_if_outdated_blocks_cannot_be_fetched_again():
    harness = SnapshotHarness(120)
    old = await harness.snapshot()
    harness.list.numbers.insert(0, "newest")
    await harness.clock.advance(30)
    await harness.book.window(50, 60, CacheDirective.NO_CACHE)
    harness.list.down = True
    snapshot, lookup = await harness.snapshots.get()
    assert snapshot is old
    assert not snapshot.inconsistent
    assert (lookup.freshness, lookup.outcome) == (Freshness.STALE, Outcome.STALE_IF_ERROR)


async def test_a_list_that_changes_between_any_two_fetches_is_inconsistent_until_it_rests():
    harness = SnapshotHarness(150)
    harness.list.before_response = lambda: harness.list.numbers.insert(
        0, f"x{len(harness.list.calls)}"
    )
    snapshot, lookup = await harness.snapshots.get()
    assert snapshot.inconsistent
    calls = len(harness.list.calls)
    assert calls <= 2 * (4 + 1)
    again, lookup = await harness.snapshots.get()
    assert (again, lookup.outcome, len(harness.list.calls)) == (snapshot, Outcome.STALE_HIT, calls)
    harness.list.before_response = lambda: None
    await harness.clock.advance(TTL)
    await harness.snapshot()
    await settle()
    snapshot = await harness.snapshot()
    assert numbers(snapshot) == harness.list.numbers
    assert not snapshot.inconsistent


async def test_a_list_that_shrank_is_loaded_to_its_new_end():
    harness = SnapshotHarness(120)
    await harness.snapshot()
    await harness.clock.advance(TTL + 300)
    del harness.list.numbers[60:]
    snapshot = await harness.snapshot()
    assert numbers(snapshot) == harness.list.numbers
    assert len(snapshot.blocks) == 2
    assert snapshot.block_at(59).index == 1


async def test_blocks_that_the_list_no_longer_has_are_not_fetched():
    harness = SnapshotHarness(120)
    harness.list.stated_total = 90_000

    def correct_the_total() -> None:
        if len(harness.list.calls) == 20:
            harness.list.stated_total = None

    harness.list.before_response = correct_the_total
    snapshot = await harness.snapshot()
    assert numbers(snapshot) == harness.list.numbers
    assert len(harness.list.calls) < 50


async def test_concurrent_requests_get_the_same_snapshot_of_cached_blocks():
    harness = SnapshotHarness(100)
    await harness.book.window(0, 10)
    await harness.book.window(60, 70)
    (first, _), (second, _) = await asyncio.gather(harness.snapshots.get(), harness.snapshots.get())
    assert first is second


async def test_a_block_that_is_fetched_for_a_page_during_a_load_is_used():
    harness = SnapshotHarness(500)
    await harness.book.window(0, 10)
    harness.gate.clear()
    request = await started(harness.snapshots.get())
    harness.list.numbers[0] = "another"
    await harness.clock.advance(6)
    page = await started(harness.book.window(0, 10, CacheDirective.NO_CACHE))
    harness.gate.set()
    await page
    snapshot, _ = await request
    assert numbers(snapshot) == harness.list.numbers


async def test_orders_without_a_number_and_duplicates_within_a_block_are_all_included():
    harness = SnapshotHarness(100)
    harness.list.numbers[10] = harness.list.numbers[20] = harness.list.numbers[70] = ""
    harness.list.numbers[30] = harness.list.numbers[40] = "twice"
    snapshot = await harness.snapshot()
    assert numbers(snapshot) == harness.list.numbers
    assert not snapshot.inconsistent


def outcome_without_load(harness: SnapshotHarness, snapshot: Snapshot) -> Outcome | None:
    key = snapshot.generation, snapshot.oldest_block.fetched_at
    found = harness.snapshots.lookups_without_load(*key)
    return found[0].lookup.outcome if found else None


async def test_a_response_over_the_list_is_a_hit_until_a_block_changes_or_the_oldest_is_stale():
    harness = SnapshotHarness(100)
    snapshot = await harness.snapshot()
    assert outcome_without_load(harness, snapshot) is Outcome.HIT
    await harness.clock.advance(10)
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    assert outcome_without_load(harness, snapshot) is Outcome.HIT  # nothing has changed
    await harness.clock.advance(10)
    harness.list.numbers[0] = "another"
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    assert outcome_without_load(harness, snapshot) is None
    snapshot = await harness.snapshot()
    assert outcome_without_load(harness, snapshot) is Outcome.HIT
    await harness.clock.advance(TTL - 20)
    assert outcome_without_load(harness, snapshot) is Outcome.HIT  # all blocks were fetched again
    await harness.clock.advance(20)
    assert outcome_without_load(harness, snapshot) is None


async def test_a_response_over_the_list_is_a_stale_hit_while_it_is_loaded_and_after_that_failed():
    harness = SnapshotHarness(100)
    snapshot = await harness.snapshot()
    gate = asyncio.Event()

    async def fail(_index: int) -> Block:
        await gate.wait()
        raise UpstreamFailed("down")

    harness.fetch = fail
    await harness.clock.advance(TTL)
    assert outcome_without_load(harness, snapshot) is None  # a request starts a load
    await harness.snapshot()
    assert outcome_without_load(harness, snapshot) is Outcome.STALE_HIT
    revision = harness.snapshots.revision
    gate.set()
    await settle()
    assert outcome_without_load(harness, snapshot) is Outcome.STALE_HIT
    assert harness.snapshots.revision > revision
    key = snapshot.generation, snapshot.oldest_block.fetched_at
    found = harness.snapshots.lookups_without_load(*key)
    assert found is not None
    lookup = (await harness.snapshots.get()).lookup
    assert replace(lookup, entry=found[0].lookup.entry) == found[0].lookup
    assert lookup.entry.fetched_at == found[0].lookup.entry.fetched_at
    assert found[0].until == harness.clock.monotonic() + 1
    await harness.clock.advance(1)
    assert outcome_without_load(harness, snapshot) is None  # it is time to try again
    await harness.clock.advance(LIFETIME.stale_if_error)
    assert outcome_without_load(harness, snapshot) is None


async def test_a_total_from_a_block_past_the_new_end_counts():
    harness = SnapshotHarness(150)
    await harness.snapshot()
    await harness.clock.advance(10)
    del harness.list.numbers[70:130]
    await harness.book.window(100, 110, CacheDirective.NO_CACHE)
    snapshot = await harness.snapshot()
    assert numbers(snapshot) == harness.list.numbers
    assert not snapshot.contradictory


async def test_the_block_of_each_row_is_known():
    harness = SnapshotHarness(120)
    snapshot = await harness.snapshot()
    assert [snapshot.block_at(at).index for at in (0, 49, 50, 99, 100, 119)] == [0, 0, 1, 1, 2, 2]


async def test_closing_waits_for_a_load():
    harness = SnapshotHarness(100)
    request = await started(harness.snapshots.get())
    await harness.snapshots.close(1)
    await request


changes_of = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "none"]), st.integers(0, 400)), max_size=40
)


@settings(max_examples=60)
@given(size=st.integers(0, 300), changes=changes_of, requests=st.integers(1, 6))
def test_while_the_list_changes_no_order_is_duplicated_and_a_missing_one_makes_it_inconsistent(
    size: int, changes: list[tuple[str, int]], requests: int
):
    async def journey() -> None:
        harness = SnapshotHarness(size)
        pending = list(changes)
        largest = size

        def change() -> None:
            nonlocal largest
            what, where = pending.pop() if pending else ("none", 0)
            at = min(where, len(harness.list.numbers))
            if what == "add":
                harness.list.numbers.insert(at, f"new{len(pending)}")
            elif what == "remove" and harness.list.numbers:
                del harness.list.numbers[at - 1]
            largest = max(largest, len(harness.list.numbers))

        harness.list.before_response = change
        for _ in range(requests):
            snapshot = await harness.snapshot()
            found = numbers(snapshot)
            if not snapshot.inconsistent:
                assert len(set(found)) == len(found)
                assert {entry.value.total for entry in snapshot.blocks} == {len(found)}
        await settle()
        assert len(harness.list.calls) <= 2 * (math.ceil(largest / 50) + 1)

    asyncio.run(journey())


async def test_a_list_that_expires_during_its_load_is_complete_all_the_same():
    harness = SnapshotHarness(100, Lifetime(2, 0, 0))
    gate = harness.hold_back(1)
    request = await started(harness.snapshots.get())
    await harness.clock.advance(5)
    gate.set()
    snapshot, lookup = await request
    assert numbers(snapshot) == harness.list.numbers
    assert not snapshot.inconsistent
    assert lookup.freshness is Freshness.STALE_IF_ERROR


async def test_contradictory_cached_blocks_are_served_if_fetching_them_again_takes_too_long():
    harness = SnapshotHarness(99)
    await harness.book.window(0, 10)
    harness.list.numbers.insert(0, "newest")
    await harness.book.window(60, 70)
    gate = harness.hold_back(0)
    requests = [await started(harness.snapshots.get()) for _ in range(2)]
    assert not any(request.done() for request in requests)
    await harness.clock.advance(2)
    for request in requests:
        snapshot, lookup = await request
        assert snapshot.contradictory
        assert lookup.outcome is Outcome.STALE_IF_ERROR
    gate.set()
    await harness.clock.advance(1)
    assert numbers(await harness.snapshot()) == harness.list.numbers


@pytest.mark.parametrize("turns", range(20))
async def test_a_load_that_ends_while_the_cached_blocks_are_assembled_is_served(turns: int):
    harness = SnapshotHarness(100)
    await harness.book.window(0, 10)
    harness.list.numbers.insert(0, "newest")
    await harness.book.window(60, 70)
    gate = harness.hold_back(0)
    first = await started(harness.snapshot())
    gate.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    second = asyncio.ensure_future(harness.snapshot())
    assert numbers(await first) == harness.list.numbers
    await second
    assert numbers(await harness.snapshot()) == harness.list.numbers


async def refreshed(harness: SnapshotHarness) -> Snapshot:
    """Return the snapshot after each block has been fetched again."""
    await harness.clock.advance(TTL)
    await harness.snapshot()
    await settle()
    return await harness.snapshot()


async def test_a_snapshot_that_lacks_an_order_is_inconsistent_until_a_second_reading_confirms_it():
    harness = SnapshotHarness(130)
    await harness.snapshot()
    cursor = harness.history.cursor
    del harness.list.numbers[70]
    snapshot = await refreshed(harness)
    assert numbers(snapshot) == harness.list.numbers
    assert (snapshot.inconsistent, snapshot.contradictory) == (True, False)
    assert harness.history.since(cursor) == ()
    harness.list.calls.clear()
    snapshot = await refreshed(harness)
    assert not snapshot.inconsistent
    assert [change.order_no for change in harness.history.since(cursor)] == ["n70"]
    assert sorted(harness.list.calls) == [0, 1, 2]


async def test_pages_that_fetch_all_blocks_again_confirm_a_removal_too():
    harness = SnapshotHarness(130)
    await harness.snapshot()
    del harness.list.numbers[70]
    assert (await refreshed(harness)).lacks_orders
    await harness.clock.advance(10)
    for start in (0, 50, 100):
        await harness.book.window(start, start + 10, CacheDirective.NO_CACHE)
    assert not (await harness.snapshot()).lacks_orders


def overlap(harness: SnapshotHarness) -> None:
    """Let the last order of the first block be the first of the second one, too."""
    harness.list.numbers[50] = harness.list.numbers[49]


async def test_a_list_that_contradicts_itself_for_good_is_served_with_every_row_at_no_extra_cost(
    caplog: pytest.LogCaptureFixture,
):
    harness = SnapshotHarness(150)
    overlap(harness)
    with caplog.at_level(logging.INFO, "orders_bff.orders"):
        for _ in range(4):
            snapshot = await harness.snapshot()
            assert snapshot.inconsistent
            assert numbers(snapshot) == harness.list.numbers
            harness.list.calls.clear()
            assert (await refreshed(harness)).inconsistent
            assert sorted(harness.list.calls) == [0, 1, 2]
        window = await harness.book.window(40, 60)
        assert window.inconsistent
        assert [row.order_no for row in window.rows] == harness.list.numbers[40:60]
        found = harness.book.find("n49")
        assert found is not None
        assert found[1].value.index == 0
        assert harness.list.calls == [0, 2, 1]
        harness.list.numbers[50] = "n50"
        await refreshed(harness)
        snapshot = await refreshed(harness)
        assert (snapshot.inconsistent, numbers(snapshot)) == (False, harness.list.numbers)
        assert numbers(await refreshed(harness)) == harness.list.numbers
    assert [(line.levelno, line.message) for line in caplog.records] == [
        (logging.WARNING, "list_contradicts_itself"),
        (logging.INFO, "list_consistent"),
    ]


async def test_blocks_that_are_fetched_again_unchanged_keep_the_snapshot_current():
    harness = SnapshotHarness(150)
    snapshot = await harness.snapshot()
    for _ in range(4):
        for start in (0, 50, 100):
            await harness.clock.advance(TTL / 4)
            await harness.book.window(start, start + 10, CacheDirective.NO_CACHE)
            renewed, lookup = await harness.snapshots.get()
            assert renewed.content is snapshot.content
            assert (lookup.freshness, lookup.outcome) == (Freshness.FRESH, Outcome.HIT)
    assert len(harness.list.calls) == 4 + 12


async def test_an_update_that_a_page_has_fetched_is_in_the_next_snapshot_without_a_fetch():
    harness = SnapshotHarness(150)
    await harness.snapshot()

    async def updated(index: int) -> Block:
        block = await harness.list.fetch(index)
        return replace(block, rows=tuple(row(one.order_no, rev="2") for one in block.rows))

    harness.fetch = updated
    await harness.clock.advance(10)
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    calls = len(harness.list.calls)
    snapshot, lookup = await harness.snapshots.get()
    assert [one.rev for one in snapshot.content.rows] == ["2"] * 50 + [""] * 100
    assert (lookup.outcome, len(harness.list.calls)) == (Outcome.HIT, calls)
    assert not snapshot.inconsistent


async def test_outdated_blocks_are_fetched_again_ahead_of_time_once_per_ttl():
    harness = SnapshotHarness(140)
    await harness.snapshot()
    for number in ("new", "newer"):
        await harness.clock.advance(10)
        harness.list.numbers.insert(0, number)
        await harness.book.window(60, 70, CacheDirective.NO_CACHE)
        harness.list.calls.clear()
        snapshot = await harness.snapshot()
        assert snapshot.contradictory is (number == "newer")
        assert harness.list.calls == ([0, 2] if number == "new" else [])


async def test_a_purge_while_loads_fail_serves_the_snapshot_and_keeps_the_backoff():
    harness = SnapshotHarness(100)
    snapshot = await harness.snapshot()
    harness.list.down = True
    await harness.clock.advance(TTL + 300)
    await harness.snapshots.get()
    calls = len(harness.list.calls)
    harness.book.blocks.purge()
    assert harness.snapshots.purge() == 1
    found, lookup = await harness.snapshots.get()
    assert (found, lookup.freshness) == (snapshot, Freshness.STALE_IF_ERROR)
    assert len(harness.list.calls) == calls


async def test_a_load_from_before_a_purge_that_fails_is_not_backed_off_from():
    harness = SnapshotHarness(100)
    gate = harness.hold_back(0)
    harness.list.down = True
    before = asyncio.ensure_future(harness.snapshots.get())
    await settle()
    harness.book.blocks.purge()
    assert harness.snapshots.purge() == 0
    gate.set()
    with pytest.raises(UpstreamFailed):
        await before
    harness.list.down = False
    assert len((await harness.snapshots.get()).snapshot.content.rows) == 100


async def test_a_snapshot_whose_load_was_overtaken_by_a_failing_one_is_served_to_its_caller():
    harness = SnapshotHarness(100)
    await harness.snapshot()
    await harness.clock.advance(TTL + 300)
    gate = harness.hold_back(0)
    harness.list.down = True
    before = asyncio.ensure_future(harness.snapshots.get())
    await settle()
    harness.book.blocks.purge()
    harness.snapshots.purge()
    gate.set()
    assert (await before).lookup.freshness is Freshness.STALE_IF_ERROR
