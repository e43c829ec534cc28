"""Windows of the order book, compared with a plain list, while it changes and while it does not."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.freshness import CacheDirective, Freshness, Lifetime
from app.cache.grace_cache import NotInCache, Outcome
from app.orders.blocks import Block, Window
from app.orders.book import MAX_EVICTED
from app.upstream.errors import UpstreamFailed
from app.upstream.wire import MAX_TOTAL
from tests.support.book import LIFETIME, TTL, BookHarness
from tests.support.clock import settle

pages = st.tuples(st.integers(1, 60), st.integers(1, 50))


def numbers(window: Window) -> list[str]:
    return [row.order_no for row in window.rows]


def positions(page: int, limit: int) -> tuple[int, int]:
    return (page - 1) * limit, page * limit


@pytest.mark.without_coverage
@settings(max_examples=200)
@given(
    size=st.integers(0, 500),
    requested=st.lists(pages, min_size=1, max_size=40),
    concurrently=st.booleans(),
)
def test_while_the_list_does_not_change_every_window_is_right_and_each_block_is_fetched_once(
    size: int, requested: list[tuple[int, int]], concurrently: bool
):
    async def journey() -> None:
        harness = BookHarness(size)
        requests = [harness.book.window(*positions(*page)) for page in requested]
        if concurrently:
            windows = list(await asyncio.gather(*requests))
        else:
            windows = [await request for request in requests]
        for page, window in zip(requested, windows, strict=True):
            start, stop = positions(*page)
            assert numbers(window) == harness.list.numbers[start:stop]
            assert window.total == size
            assert not window.inconsistent
        assert len(harness.list.calls) <= math.ceil(size / 50) + 1
        assert len(set(harness.list.calls)) == len(harness.list.calls)

    asyncio.run(journey())


async def test_a_window_of_one_block_needs_no_task_but_that_of_the_fetch() -> None:
    harness = BookHarness(100)
    started: list[str] = []

    def start_task(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        started.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop = asyncio.get_running_loop()
    factory: Any = start_task
    loop.set_task_factory(factory)
    try:
        await harness.book.window(0, 50)
    finally:
        loop.set_task_factory(None)
    assert started == ["GraceCache._run_fetch"]


changes_of = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "none"]), st.integers(0, 400)), max_size=60
)


@pytest.mark.without_coverage
@settings(max_examples=200)
@given(
    size=st.integers(0, 300),
    requested=st.lists(pages, min_size=1, max_size=30),
    changes=changes_of,
)
def test_while_the_list_changes_no_order_is_duplicated_and_a_missing_one_makes_it_inconsistent(
    size: int, requested: list[tuple[int, int]], changes: list[tuple[str, int]]
):
    async def journey() -> None:
        harness = BookHarness(size)
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
        for page in requested:
            window = await harness.book.window(*positions(*page))
            found = numbers(window)
            assert len(set(found)) == len(found)
            totals = {lookup.entry.value.total for lookup in window.lookups}
            if not window.inconsistent:
                assert len(totals) == 1
                assert len(found) == max(0, min(page[1], window.total - (page[0] - 1) * page[1]))
        await settle()
        assert len(harness.list.calls) <= 2 * (math.ceil(largest / 50) + 1)

    asyncio.run(journey())


async def test_on_a_cold_start_block_0_is_fetched_first_and_the_others_wait_for_it():
    harness = BookHarness(500)
    gate = asyncio.Event()
    started: list[int] = []

    async def gated(index: int) -> Block:
        started.append(index)
        await gate.wait()
        return await harness.list.fetch(index)

    harness.fetch = gated
    requests = [asyncio.ensure_future(harness.book.window(at, at + 10)) for at in range(0, 500, 10)]
    await settle()
    assert started == [0]
    gate.set()
    await asyncio.gather(*requests)
    assert sorted(harness.list.calls) == list(range(10))


async def test_a_window_past_the_end_costs_no_call_while_the_total_is_fresh():
    harness = BookHarness(120)
    await harness.book.window(100, 110)
    calls = list(harness.list.calls)
    window = await harness.book.window(49_999_950, 50_000_000)
    assert (numbers(window), window.total) == ([], 120)
    assert harness.list.calls == calls
    assert [lookup.outcome for lookup in window.lookups] == [Outcome.HIT]


async def test_a_window_past_the_end_ages_with_the_block_that_stated_the_total():
    harness = BookHarness(20)
    await harness.book.window(0, 10)
    await harness.clock.advance(TTL)
    window = await harness.book.window(1000, 1010)
    assert window.lookups[0].freshness is Freshness.STALE
    await settle()
    assert harness.list.calls == [0, 0]


async def test_the_total_is_unknown_once_its_block_has_expired():
    harness = BookHarness(20)
    assert harness.book.total is None
    await harness.book.window(0, 10)
    assert harness.book.total == 20
    await harness.clock.advance(1360)
    assert harness.book.total is None


async def test_a_list_that_grew_is_fetched_to_its_new_end():
    harness = BookHarness(50)
    await harness.book.window(0, 10)
    harness.list.numbers.append("one more")
    await harness.clock.advance(360)
    window = await harness.book.window(40, 60)
    assert numbers(window) == harness.list.numbers[40:60]
    assert not window.inconsistent


async def test_adjacent_blocks_with_different_totals_are_fetched_again():
    harness = BookHarness(100)
    await harness.book.window(0, 50)
    harness.list.numbers.insert(0, "newest")
    window = await harness.book.window(40, 60)
    assert numbers(window) == harness.list.numbers[40:60]
    assert window.total == 101
    assert not window.inconsistent
    assert harness.list.calls == [0, 1, 0]


async def test_adjacent_blocks_that_share_an_order_are_fetched_again():
    harness = BookHarness(100)
    await harness.book.window(0, 50)
    harness.list.numbers.insert(0, "newest")
    harness.list.numbers.pop()
    window = await harness.book.window(40, 60)
    assert numbers(window) == harness.list.numbers[40:60]
    assert not window.inconsistent


async def test_a_window_of_outdated_blocks_is_inconsistent_if_they_cannot_be_fetched_again():
    harness = BookHarness(100)
    await harness.book.window(0, 50)
    harness.list.numbers.insert(0, "newest")
    await harness.book.window(60, 70)
    harness.list.down = True
    window = await harness.book.window(40, 60)
    assert window.inconsistent
    assert window.total == 101
    found = numbers(window)
    assert len(set(found)) == len(found) == 19
    assert [lookup.freshness for lookup in window.lookups] == [Freshness.STALE, Freshness.FRESH]


async def test_with_only_if_cached_outdated_blocks_are_not_fetched_again():
    harness = BookHarness(100)
    await harness.book.window(0, 50)
    harness.list.numbers.insert(0, "newest")
    await harness.book.window(60, 70)
    calls = len(harness.list.calls)
    window = await harness.book.window(40, 60, CacheDirective.ONLY_IF_CACHED)
    assert window.inconsistent
    assert len(harness.list.calls) == calls


async def test_a_last_block_that_a_later_total_extends_is_fetched_again():
    harness = BookHarness(120)
    await harness.book.window(100, 110)
    harness.list.numbers += [f"late{at}" for at in range(10)]
    await harness.book.window(60, 70)
    window = await harness.book.window(110, 130)
    assert numbers(window) == harness.list.numbers[110:130]
    assert window.total == 130


async def test_with_only_if_cached_nothing_is_fetched():
    harness = BookHarness(100)
    with pytest.raises(NotInCache):
        await harness.book.window(0, 10, CacheDirective.ONLY_IF_CACHED)
    await harness.book.window(0, 10)
    window = await harness.book.window(0, 10, CacheDirective.ONLY_IF_CACHED)
    assert len(window.rows) == 10
    with pytest.raises(NotInCache):
        await harness.book.window(60, 70, CacheDirective.ONLY_IF_CACHED)
    assert harness.list.calls == [0]


async def test_an_order_is_found_in_a_block_that_has_not_expired():
    harness = BookHarness(100)
    await harness.book.window(0, 100)
    await harness.clock.advance(TTL)
    found = harness.book.find("n70")
    assert found is not None
    assert found[0].order_no == "n70"
    assert harness.book.blocks.freshness(found[1]) is Freshness.STALE
    assert harness.book.find("n170") is None
    await harness.clock.advance(LIFETIME.stale_if_error)
    assert harness.book.find("n70") is None


async def test_only_the_blocks_that_have_an_order_are_looked_at_to_find_it():
    harness = BookHarness(5000)
    await harness.book.window(0, 5000)
    assert [entry.value.index for entry in harness.book.epochs.find("n70")] == [1]
    assert list(harness.book.epochs.find("unknown")) == []


async def test_a_failed_fetch_is_raised_if_nothing_is_cached():
    harness = BookHarness(100)
    harness.list.down = True
    with pytest.raises(UpstreamFailed):
        await harness.book.window(0, 10)


async def test_a_window_of_unchanged_blocks_needs_no_fetch():
    harness = BookHarness(100)
    window = await harness.book.window(40, 60)
    blocks = [(each.entry.value.index, each.entry.sequence) for each in window.lookups]

    def outcomes(blocks: Sequence[tuple[int, int]], total: int = 100) -> list[Outcome] | None:
        found = harness.book.lookups_without_fetch(blocks, total)
        return None if found is None else [each.lookup.outcome for each in found]

    assert outcomes(blocks) == [Outcome.HIT, Outcome.HIT]
    assert outcomes(blocks, total=101) is None
    assert outcomes([(7, 1)]) is None
    await harness.clock.advance(10)
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    assert outcomes(blocks) is None
    assert outcomes(blocks[1:]) == [Outcome.HIT]
    await harness.clock.advance(50)
    assert outcomes(blocks[1:]) is None  # a request starts a fetch
    harness.list.down = True
    await harness.book.window(50, 60)
    await settle()
    assert outcomes(blocks[1:]) == [Outcome.STALE_HIT]


async def test_a_window_of_blocks_that_disagree_is_not_answered_from_them():
    harness = BookHarness(100)
    await harness.book.window(40, 60)
    await harness.clock.advance(10)
    harness.list.numbers.insert(0, "another")
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    harness.list.down = True
    await harness.book.window(50, 60)
    await settle()
    entries = [entry for _, entry in sorted(harness.book.blocks.items())][:2]
    blocks = [(entry.value.index, entry.sequence) for entry in entries]
    assert [index for index, _ in blocks] == [0, 1]
    for each in blocks:
        assert harness.book.lookups_without_fetch([each], 101)
    assert harness.book.lookups_without_fetch(blocks, 101) is None


async def test_the_book_can_be_closed():
    harness = BookHarness(100)
    await harness.book.window(0, 10)
    await harness.book.blocks.close(10)


async def test_the_total_is_that_of_the_block_requested_last_not_of_the_one_received_last():
    harness = BookHarness(200)
    await harness.book.window(0, 10)
    gate = asyncio.Event()

    async def slow_block_1(index: int) -> Block:
        block = await harness.list.fetch(index)
        if index == 1:
            await gate.wait()
        return block

    harness.fetch = slow_block_1
    early = asyncio.ensure_future(harness.book.window(60, 70))
    await settle()
    harness.list.numbers.append("one more")
    await harness.book.window(110, 120)
    gate.set()
    await early
    assert harness.book.total == 201


async def test_a_block_with_a_greater_total_than_the_current_one_is_followed_to_its_end():
    harness = BookHarness(99)
    await harness.book.window(0, 10)
    gate = harness.hold_back(1)
    request = asyncio.ensure_future(harness.book.window(90, 120))
    await settle()
    await harness.clock.advance(5)
    await harness.book.window(0, 10, CacheDirective.NO_CACHE)
    harness.list.numbers += ["late", "later"]
    gate.set()
    window = await request
    assert window.total == 101
    assert numbers(window) == harness.list.numbers[90:]
    assert not window.inconsistent


async def test_a_total_that_expires_during_a_request_still_counts_for_that_request():
    harness = BookHarness(100, Lifetime(2, 0, 0))
    gate = harness.hold_back(1)
    request = asyncio.ensure_future(harness.book.window(60, 70))
    await settle()
    await harness.clock.advance(5)
    gate.set()
    assert numbers(await request) == harness.list.numbers[60:70]


async def test_max_stale_wait_bounds_all_lookups_of_a_request_together():
    harness = BookHarness(100)
    await harness.book.window(40, 60)
    await harness.clock.advance(1000)
    await harness.book.window(0, 10)
    harness.list.numbers.append("late")

    async def slow(index: int) -> Block:
        await harness.clock.sleep(1.5)
        return await harness.list.fetch(index)

    harness.fetch = slow
    request = asyncio.ensure_future(harness.book.window(40, 60))
    await harness.clock.advance(1.75)
    assert not request.done()
    await harness.clock.advance(0.25)
    assert request.done()
    window = await request
    assert window.inconsistent
    assert window.total == 101


async def test_a_list_that_shrinks_during_a_request_has_its_newest_total_although_that_expired():
    harness = BookHarness(100, Lifetime(2, 0, 0))

    async def changing(index: int) -> Block:
        if index == 1 and not harness.list.calls.count(1):
            harness.list.numbers.append("late")
        if index == 2:
            harness.list.numbers.pop()
            await harness.clock.sleep(5)
        return await harness.list.fetch(index)

    harness.fetch = changing
    request = asyncio.ensure_future(harness.book.window(80, 120))
    await harness.clock.advance(5)
    window = await request
    assert window.total == 100
    assert numbers(window) == harness.list.numbers[80:]
    assert not window.inconsistent


async def test_of_two_rows_with_one_order_number_the_first_is_found():
    harness = BookHarness(30)
    harness.list.numbers[20] = "n10"
    window = await harness.book.window(0, 30)
    found = harness.book.find("n10")
    assert found is not None
    assert found[0] is window.rows[10]
    assert numbers(window) == harness.list.numbers


async def test_the_ttl_is_the_time_in_which_the_cached_blocks_can_be_fetched_again():
    harness = BookHarness(500, refresh_rate=0.1)
    assert harness.book.blocks.ttl == TTL
    await harness.book.window(0, 500)
    assert harness.book.blocks.ttl == 100
    await harness.clock.advance(99)
    await harness.book.window(0, 10)
    assert len(harness.list.calls) == 10
    del harness.list.numbers[100:]
    await harness.clock.advance(1)
    await harness.book.window(0, 10)  # stale: refreshed in the background
    await settle()
    assert harness.book.blocks.ttl == TTL


async def test_a_total_that_is_only_stated_does_not_extend_the_ttl():
    harness = BookHarness(50)
    harness.list.stated_total = 50_000_000
    window = await harness.book.window(0, 10)
    assert window.total == 50_000_000
    assert harness.book.blocks.ttl == TTL


async def test_blocks_beyond_max_orders_do_not_extend_the_ttl():
    harness = BookHarness(1500, refresh_rate=0.1, max_orders=1000)
    await harness.book.window(0, 1500)
    assert harness.book.blocks.ttl == 200


async def test_the_blocks_of_a_list_with_the_largest_total_are_not_enumerated():
    harness = BookHarness(50)
    harness.list.stated_total = MAX_TOTAL
    await harness.book.window(0, 10)
    assert harness.book.block_indexes([]) == range(MAX_TOTAL // 50)


async def test_evicted_blocks_are_forgotten_after_a_while():
    harness = BookHarness(5000, max_blocks=10)
    for start in range(0, 5000, 50):
        await harness.book.window(start, start + 50)
        assert len(harness.book.epochs) <= 10 + MAX_EVICTED
    assert harness.book.find("n0") is None
    assert harness.book.find("n4999") is not None


async def test_a_block_that_was_evicted_and_is_fetched_again_unchanged_changes_nothing():
    harness = BookHarness(150, max_blocks=2)
    for start in (0, 50, 100):
        await harness.book.window(start, start + 50)
    generation, calls = harness.book.generation, len(harness.list.calls)
    await harness.book.window(0, 50)
    assert len(harness.list.calls) == calls + 1
    assert harness.book.generation == generation
