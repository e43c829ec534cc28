"""The whole list: read once for all, served as long as it may be, never a part of it."""

import asyncio
import gc
import math
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.freshness import Freshness, Lifetime
from app.cache.grace_cache import NotInCache, Outcome, WaitTimeout
from app.cache.policy import CacheDirective
from app.orders.blocks import Block
from app.orders.snapshot import Snapshot
from app.orders.snapshot_cache import CollectionLoading, SnapshotCache
from app.orders.snapshot_loader import CollectionTooLarge, SnapshotLoader
from app.single_flight import current_flight
from app.upstream.errors import UpstreamFailed
from tests.support.book import LIFETIME, TTL, BookHarness
from tests.support.clock import settle


class ListBench(BookHarness):
    """A book bench with the whole list over it, whose answers a test can hold back."""

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
        self.at_once = 0
        self.most_at_once = 0
        self.has_waiters: dict[int, Callable[[], bool]] = {}
        fetch = self.list.fetch

        async def held_back(index: int) -> Block:
            self.at_once += 1
            self.note(index)
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                block = await fetch(index)
                await asyncio.sleep(0)
                await self.gate.wait()
            finally:
                self.at_once -= 1
            return block

        self.book._fetch = held_back
        self.collection = SnapshotCache(
            self.book,
            self.clock,
            lambda: SnapshotLoader(
                self.book,
                self.clock,
                concurrency=8,
                max_orders=max_orders,
                max_bytes=max_bytes,
            ),
            deadline=8,
            max_stale_wait=2,
        )

    def note(self, index: int) -> None:
        flight = current_flight()
        assert flight is not None
        self.has_waiters[index] = flight.has_waiters

    async def whole(self) -> Snapshot:
        return (await self.collection.get())[0]

    def hold_back(self, index: int) -> asyncio.Event:
        """From now on block `index` is asked for when the event is set."""
        gate = asyncio.Event()
        fetch = self.book._fetch

        async def held_back(asked: int) -> Block:
            self.note(asked)
            if asked == index:
                await gate.wait()
            return await fetch(asked)

        self.book._fetch = held_back
        return gate


def numbers(whole: Snapshot) -> list[str]:
    return [row.order_no for row in whole.content.rows]


async def soon(waiting: Coroutine[Any, Any, Any]) -> "asyncio.Future[Any]":
    asking = asyncio.ensure_future(waiting)
    await settle()
    return asking


async def test_all_who_ask_at_once_share_one_reading_a_few_blocks_at_a_time():
    bench = ListBench(500)
    wholes = await asyncio.gather(*(bench.collection.get() for _ in range(50)))
    assert sorted(bench.list.calls) == list(range(10))
    assert bench.most_at_once == 8
    assert {id(whole) for whole, _ in wholes} == {id(wholes[0][0])}
    assert numbers(wholes[0][0]) == bench.list.numbers
    assert [served.outcome for _, served in wholes].count(Outcome.MISS) == 1
    again, served = await bench.collection.get()
    assert (again, served.outcome) == (wholes[0][0], Outcome.HIT)


async def test_a_full_collection_walks_the_blocks_that_are_held_and_not_the_orders():
    bench = ListBench(5000)
    gc.collect()
    before = len(gc.get_objects())
    whole = await bench.whole()
    gc.collect()
    assert len(whole.content.rows) == 5000
    assert len(gc.get_objects()) - before < 2500


async def test_blocks_that_pages_have_paid_for_are_not_read_again():
    bench = ListBench(120)
    for start in (0, 50, 100):
        await bench.book.window(start, start + 10)
    whole, served = await bench.collection.get()
    assert numbers(whole) == bench.list.numbers
    assert served.outcome is Outcome.HIT
    assert bench.list.calls == [0, 1, 2]


async def test_an_empty_list_is_a_list():
    bench = ListBench(0)
    assert numbers(await bench.whole()) == []
    assert (await bench.collection.get())[1].outcome is Outcome.HIT


async def test_a_stale_list_is_served_at_once_and_its_stale_blocks_are_read_again_behind():
    bench = ListBench(150)
    whole = await bench.whole()
    await bench.clock.advance(TTL - 1)
    await bench.book.window(0, 10, CacheDirective.NO_CACHE)
    bench.list.calls.clear()
    await bench.clock.advance(1)
    bench.gate.clear()
    for _ in range(3):
        old, served = await bench.collection.get()
        assert old is whole
        assert (served.freshness, served.outcome) == (Freshness.STALE, Outcome.STALE_HIT)
    bench.gate.set()
    await settle()
    new, served = await bench.collection.get()
    assert served.freshness is Freshness.FRESH
    assert sorted(bench.list.calls) == [1, 2]
    assert new.content is whole.content


async def test_what_was_worked_out_is_kept_by_a_refresh_that_changes_nothing_and_by_no_other():
    bench = ListBench(150)
    whole = await bench.whole()
    bench.list.numbers[70] = "another"
    await bench.clock.advance(TTL)
    await bench.whole()
    await settle()
    new = await bench.whole()
    assert new.content is not whole.content
    assert new.blocks[0].value.rows is whole.blocks[0].value.rows
    assert numbers(new) == bench.list.numbers


async def test_a_kept_list_is_asked_for_again_and_served_if_that_fails_or_lasts():
    bench = ListBench(60)
    whole = await bench.whole()
    await bench.clock.advance(TTL + 300)
    bench.list.down = True
    old, served = await bench.collection.get()
    assert (old, served.freshness, served.outcome) == (
        whole,
        Freshness.STALE_IF_ERROR,
        Outcome.STALE_IF_ERROR,
    )
    assert isinstance(served.error, UpstreamFailed)
    calls = len(bench.list.calls)
    old, served = await bench.collection.get()
    assert (old, served.outcome, len(bench.list.calls)) == (whole, Outcome.STALE_HIT, calls)
    await bench.clock.advance(10)
    bench.list.down = False
    bench.gate.clear()
    asking = await soon(bench.collection.get())
    await bench.clock.advance(2)
    old, served = await asking
    assert (old, served.outcome) == (whole, Outcome.STALE_IF_ERROR)
    assert isinstance(served.error, WaitTimeout)
    bench.gate.set()
    await settle()
    assert (await bench.collection.get())[1].freshness is Freshness.FRESH


async def test_the_calls_of_a_reading_are_awaited_while_anybody_waits_for_the_list():
    bench = ListBench(100)
    bench.gate.clear()
    first, second = [await soon(bench.collection.get()) for _ in range(2)]
    assert bench.has_waiters[0]()
    first.cancel()
    await settle()
    assert bench.has_waiters[0]()
    second.cancel()
    await settle()
    assert not bench.has_waiters[0]()
    third = await soon(bench.collection.get())
    assert bench.has_waiters[0]()
    bench.gate.set()
    await third


async def test_what_is_read_again_behind_a_list_that_is_served_is_awaited_by_nobody():
    bench = ListBench(150)
    await bench.whole()
    await bench.clock.advance(TTL)
    bench.has_waiters.clear()
    bench.list.numbers.insert(0, "another")
    bench.gate.clear()
    await bench.whole()
    await settle()
    assert sorted(bench.has_waiters) == [0, 1, 2]
    assert not any(has_waiters() for has_waiters in bench.has_waiters.values())
    page = await soon(bench.book.window(100, 110, CacheDirective.NO_CACHE))
    assert [bench.has_waiters[index]() for index in range(3)] == [False, False, True]
    bench.gate.set()
    await page


async def test_a_block_that_lags_is_read_again_in_the_name_of_those_who_wait_for_the_list():
    bench = ListBench(100)
    later = bench.hold_back(1)
    waiting = await soon(bench.collection.get())
    bench.list.numbers.insert(0, "another")
    again = bench.hold_back(0)
    bench.has_waiters.clear()
    later.set()
    await settle()
    assert bench.has_waiters[0]()
    waiting.cancel()
    await settle()
    assert not bench.has_waiters[0]()
    again.set()
    await settle()
    assert numbers(await bench.whole()) == bench.list.numbers


async def test_a_list_that_is_gone_is_read_anew():
    bench = ListBench(60)
    await bench.whole()
    await bench.clock.advance(TTL + 1300)
    whole, served = await bench.collection.get()
    assert (served.outcome, served.forward_reason) == (Outcome.MISS, "uri-miss")
    assert bench.list.calls == [0, 1, 0, 1]
    assert whole is await bench.whole()


async def test_a_caller_whose_time_is_over_learns_how_far_it_is_and_the_reading_goes_on():
    bench = ListBench(500)
    await bench.book.window(0, 10)
    bench.gate.clear()
    asking = await soon(bench.collection.get())
    await bench.clock.advance(8)
    with pytest.raises(CollectionLoading) as loading:
        await asking
    assert loading.value.progress == (50, 500)
    assert loading.value.retry_after == 9 * 8
    bench.gate.set()
    await settle()
    assert (await bench.collection.get())[1].outcome is Outcome.HIT
    assert sorted(bench.list.calls) == list(range(10))


async def test_an_error_with_nothing_held_is_told_to_all_and_not_asked_for_again_at_once():
    bench = ListBench(500)
    await bench.book.window(0, 10)
    bench.list.down = True
    for _ in range(5):
        with pytest.raises(UpstreamFailed):
            await bench.whole()
    assert len(bench.list.calls) == 1 + 8
    bench.list.down = False
    await bench.clock.advance(1)
    assert numbers(await bench.whole()) == bench.list.numbers
    assert len(bench.list.calls) == 1 + 8 + 9


async def test_more_orders_than_may_be_held_are_refused_before_they_are_read():
    bench = ListBench(500, max_orders=499)
    for _ in range(2):
        with pytest.raises(CollectionTooLarge):
            await bench.whole()
    assert bench.list.calls == [0]
    heavy = ListBench(500, max_bytes=100_000)
    with pytest.raises(CollectionTooLarge):
        await heavy.whole()


async def test_only_what_is_held_is_served_where_that_is_asked_and_only_all_of_it():
    bench = ListBench(100)
    with pytest.raises(NotInCache):
        await bench.collection.get(CacheDirective.ONLY_IF_CACHED)
    await bench.book.window(0, 10)
    with pytest.raises(NotInCache):
        await bench.collection.get(CacheDirective.ONLY_IF_CACHED)
    await bench.book.window(60, 70)
    whole, served = await bench.collection.get(CacheDirective.ONLY_IF_CACHED)
    assert (numbers(whole), served.outcome) == (bench.list.numbers, Outcome.HIT)
    await bench.clock.advance(TTL + 300)
    whole, served = await bench.collection.get(CacheDirective.ONLY_IF_CACHED)
    assert served.freshness is Freshness.STALE_IF_ERROR
    await settle()
    assert bench.list.calls == [0, 1]


async def test_held_blocks_that_are_stale_are_a_list_that_is_served_at_once():
    bench = ListBench(100)
    await bench.book.window(0, 10)
    await bench.book.window(60, 70)
    await bench.clock.advance(TTL)
    whole, served = await bench.collection.get()
    assert (served.freshness, served.outcome) == (Freshness.STALE, Outcome.STALE_HIT)
    await settle()
    assert sorted(bench.list.calls) == [0, 0, 1, 1]
    assert not whole.inconsistent


async def test_a_block_that_says_something_else_is_waited_for_with_its_neighbours():
    bench = ListBench(150)
    await bench.whole()
    await bench.clock.advance(10)
    bench.list.numbers.insert(0, "newest")
    await bench.book.window(0, 10, CacheDirective.NO_CACHE)
    whole, served = await bench.collection.get()
    assert numbers(whole) == bench.list.numbers
    assert (served.freshness, served.outcome) == (Freshness.FRESH, Outcome.MISS)
    assert not whole.inconsistent


async def test_a_list_whose_blocks_disagree_is_served_as_it_was_where_they_cannot_be_read():
    bench = ListBench(150)
    whole = await bench.whole()
    await bench.clock.advance(10)
    bench.list.numbers.insert(0, "newest")
    await bench.book.window(0, 10, CacheDirective.NO_CACHE)
    bench.gate.clear()
    asking = await soon(bench.collection.get())
    await bench.clock.advance(2)
    old, served = await asking
    assert (old, served.freshness, served.outcome) == (
        whole,
        Freshness.STALE,
        Outcome.STALE_IF_ERROR,
    )
    bench.gate.set()
    await settle()


async def test_a_list_that_shifts_again_and_again_says_so_and_is_left_in_peace_for_a_moment():
    bench = ListBench(150)
    bench.list.before_answer = lambda: bench.list.numbers.insert(0, f"x{len(bench.list.calls)}")
    whole, served = await bench.collection.get()
    assert whole.inconsistent
    assert served.freshness is Freshness.STALE
    found = numbers(whole)
    assert len(set(found)) == len(found)
    calls = len(bench.list.calls)
    again, served = await bench.collection.get()
    assert (again, served.outcome, len(bench.list.calls)) == (whole, Outcome.STALE_HIT, calls)
    bench.list.before_answer = lambda: None
    await bench.clock.advance(TTL)
    await bench.whole()
    await settle()
    assert not (await bench.whole()).inconsistent


async def test_a_shorter_list_is_read_to_its_new_end():
    bench = ListBench(120)
    await bench.whole()
    await bench.clock.advance(TTL + 300)
    del bench.list.numbers[60:]
    whole = await bench.whole()
    assert numbers(whole) == bench.list.numbers
    assert len(whole.blocks) == 2
    assert whole.block_at(59).index == 1


async def test_who_asks_while_held_blocks_are_looked_at_gets_the_same_list():
    bench = ListBench(100)
    await bench.book.window(0, 10)
    await bench.book.window(60, 70)
    (first, _), (second, _) = await asyncio.gather(bench.collection.get(), bench.collection.get())
    assert first is second


async def test_a_block_that_a_page_brings_while_the_list_is_read_is_the_one_that_counts():
    bench = ListBench(500)
    await bench.book.window(0, 10)
    bench.gate.clear()
    asking = await soon(bench.collection.get())
    bench.list.numbers[0] = "another"
    await bench.clock.advance(6)
    paging = await soon(bench.book.window(0, 10, CacheDirective.NO_CACHE))
    bench.gate.set()
    await paging
    whole, _ = await asking
    assert numbers(whole) == bench.list.numbers


async def test_orders_without_a_number_are_all_told_and_those_told_twice_once():
    bench = ListBench(100)
    bench.list.numbers[10] = bench.list.numbers[20] = ""
    bench.list.numbers[30] = bench.list.numbers[40] = "twice"
    found = numbers(await bench.whole())
    assert (len(found), found.count(""), found.count("twice")) == (99, 2, 1)


async def test_a_list_is_current_until_any_block_is_another_or_the_oldest_is_stale():
    bench = ListBench(100)
    whole = await bench.whole()

    def is_current() -> bool:
        return bench.collection.is_current(whole.generation, whole.oldest_block.fetched_at)

    assert is_current()
    await bench.clock.advance(10)
    await bench.book.window(0, 10, CacheDirective.NO_CACHE)
    assert not is_current()
    whole = await bench.whole()
    assert is_current()
    await bench.clock.advance(TTL - 10)
    assert not is_current()


async def test_a_total_that_a_block_past_the_new_end_told_counts_too():
    bench = ListBench(150)
    await bench.whole()
    await bench.clock.advance(10)
    del bench.list.numbers[:60]
    await bench.book.window(100, 110, CacheDirective.NO_CACHE)
    whole = await bench.whole()
    assert numbers(whole) == bench.list.numbers
    assert not whole.inconsistent


async def test_each_row_knows_the_block_that_it_came_in():
    bench = ListBench(120)
    whole = await bench.whole()
    assert [whole.block_at(at).index for at in (0, 49, 50, 99, 100, 119)] == [0, 0, 1, 1, 2, 2]


async def test_closing_lets_a_reading_come_to_its_end():
    bench = ListBench(100)
    asking = await soon(bench.collection.get())
    await bench.collection.close(1)
    await asking


shifts = st.lists(
    st.tuples(st.sampled_from(["come", "go", "none"]), st.integers(0, 400)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 300), shifts=shifts, looks=st.integers(1, 6))
def test_on_a_list_that_shifts_no_order_comes_twice_and_none_is_lost_unsaid(
    size: int, shifts: list[tuple[str, int]], looks: int
):
    async def journey() -> None:
        bench = ListBench(size)
        pending = list(shifts)
        largest = size

        def shift() -> None:
            nonlocal largest
            what, where = pending.pop() if pending else ("none", 0)
            at = min(where, len(bench.list.numbers))
            if what == "come":
                bench.list.numbers.insert(at, f"new{len(pending)}")
            elif what == "go" and bench.list.numbers:
                del bench.list.numbers[at - 1]
            largest = max(largest, len(bench.list.numbers))

        bench.list.before_answer = shift
        for _ in range(looks):
            whole = await bench.whole()
            found = numbers(whole)
            assert len(set(found)) == len(found)
            if not whole.inconsistent:
                assert {entry.value.total for entry in whole.blocks} == {len(found)}
        await settle()
        assert len(bench.list.calls) <= 2 * (math.ceil(largest / 50) + 1)

    asyncio.run(journey())


async def test_a_list_that_takes_longer_to_read_than_it_lives_is_whole_all_the_same():
    bench = ListBench(100, Lifetime(2, 0, 0))
    gate = bench.hold_back(1)
    asking = await soon(bench.collection.get())
    await bench.clock.advance(5)
    gate.set()
    whole, served = await asking
    assert numbers(whole) == bench.list.numbers
    assert not whole.inconsistent
    assert served.freshness is Freshness.STALE_IF_ERROR


async def test_who_comes_when_the_blocks_only_have_to_agree_has_something_held():
    bench = ListBench(100)
    await bench.book.window(0, 10)
    bench.list.numbers.insert(0, "newest")
    await bench.book.window(60, 70)
    gate = bench.hold_back(0)
    first = await soon(bench.whole())
    second = await soon(bench.collection.get())
    assert second.done()
    assert (await second)[0].inconsistent
    assert not first.done()
    gate.set()
    assert numbers(await first) == bench.list.numbers
