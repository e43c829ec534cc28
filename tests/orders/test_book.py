"""Windows on one sequence: against a plain list, standing still and shifting."""

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.freshness import Freshness, Lifetime
from app.cache.grace_cache import NotInCache, Outcome
from app.cache.policy import CacheDirective
from app.orders.blocks import Block
from app.orders.book import Window
from app.upstream.errors import UpstreamFailed
from tests.support.book import TTL, BookHarness, row
from tests.support.clock import settle

pages = st.tuples(st.integers(1, 60), st.integers(1, 50))


def numbers(window: Window) -> list[str]:
    return [row.order_no for row in window.rows]


def positions(page: int, limit: int) -> tuple[int, int]:
    return (page - 1) * limit, page * limit


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(0, 500), asked=st.lists(pages, min_size=1, max_size=40), at_once=st.booleans()
)
def test_on_a_list_that_stands_still_every_window_is_right_and_blocks_are_read_once(
    size: int, asked: list[tuple[int, int]], at_once: bool
):
    async def journey() -> None:
        bench = BookHarness(size)
        questions = [bench.book.window(*positions(*page)) for page in asked]
        if at_once:
            windows = list(await asyncio.gather(*questions))
        else:
            windows = [await question for question in questions]
        for page, window in zip(asked, windows, strict=True):
            start, stop = positions(*page)
            assert numbers(window) == bench.list.numbers[start:stop]
            assert window.total == size
            assert not window.inconsistent
        assert len(bench.list.calls) <= math.ceil(size / 50) + 1
        assert len(set(bench.list.calls)) == len(bench.list.calls)

    asyncio.run(journey())


shifts = st.lists(
    st.tuples(st.sampled_from(["come", "go", "none"]), st.integers(0, 400)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(0, 300), asked=st.lists(pages, min_size=1, max_size=30), shifts=shifts)
def test_on_a_list_that_shifts_no_order_comes_twice_and_none_is_lost_unsaid(
    size: int, asked: list[tuple[int, int]], shifts: list[tuple[str, int]]
):
    async def journey() -> None:
        bench = BookHarness(size)
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
        for page in asked:
            window = await bench.book.window(*positions(*page))
            found = numbers(window)
            assert len(set(found)) == len(found)
            totals = {served.entry.value.total for served in window.lookups}
            if not window.inconsistent:
                assert len(totals) == 1
                assert len(found) == max(0, min(page[1], window.total - (page[0] - 1) * page[1]))
        await settle()
        assert len(bench.list.calls) <= 2 * (math.ceil(largest / 50) + 1)

    asyncio.run(journey())


async def test_a_cold_start_asks_for_block_0_first_and_the_others_wait_for_it():
    bench = BookHarness(500)
    gate = asyncio.Event()
    fetch = bench.list.fetch

    async def held_back(index: int) -> Block:
        await gate.wait()
        return await fetch(index)

    bench.book._fetch = held_back
    asking = [asyncio.ensure_future(bench.book.window(at, at + 10)) for at in range(0, 500, 10)]
    await settle()
    assert len(bench.book._blocks._flights) == 1
    gate.set()
    await asyncio.gather(*asking)
    assert sorted(bench.list.calls) == list(range(10))


async def test_a_window_past_the_end_costs_nothing_while_the_total_is_fresh():
    bench = BookHarness(120)
    await bench.book.window(100, 110)
    calls = list(bench.list.calls)
    window = await bench.book.window(49_999_950, 50_000_000)
    assert (numbers(window), window.total) == ([], 120)
    assert bench.list.calls == calls
    assert [served.outcome for served in window.lookups] == [Outcome.HIT]


async def test_a_window_past_the_end_ages_with_the_answer_that_told_the_total():
    bench = BookHarness(20)
    await bench.book.window(0, 10)
    await bench.clock.advance(TTL)
    window = await bench.book.window(1000, 1010)
    assert window.lookups[0].freshness is Freshness.STALE
    await settle()
    assert bench.list.calls == [0, 0]


async def test_a_total_that_is_gone_is_no_total():
    bench = BookHarness(20)
    assert bench.book.total is None
    await bench.book.window(0, 10)
    assert bench.book.total == 20
    await bench.clock.advance(1360)
    assert bench.book.total is None


async def test_a_list_that_grew_while_it_was_read_is_read_to_its_new_end():
    bench = BookHarness(50)
    await bench.book.window(0, 10)
    bench.list.numbers.append("one more")
    await bench.clock.advance(360)
    window = await bench.book.window(40, 60)
    assert numbers(window) == bench.list.numbers[40:60]
    assert not window.inconsistent


async def test_neighbours_that_disagree_are_read_again_and_agree():
    bench = BookHarness(100)
    await bench.book.window(0, 50)
    bench.list.numbers.insert(0, "newest")
    window = await bench.book.window(40, 60)
    assert numbers(window) == bench.list.numbers[40:60]
    assert window.total == 101
    assert not window.inconsistent
    assert bench.list.calls == [0, 1, 0]


async def test_neighbours_that_share_a_number_are_read_again_and_agree():
    bench = BookHarness(100)
    await bench.book.window(0, 50)
    bench.list.numbers.insert(0, "newest")
    bench.list.numbers.pop()
    window = await bench.book.window(40, 60)
    assert numbers(window) == bench.list.numbers[40:60]
    assert not window.inconsistent


async def test_neighbours_that_cannot_be_read_again_say_so_and_show_each_order_once():
    bench = BookHarness(100)
    await bench.book.window(0, 50)
    bench.list.numbers.insert(0, "newest")
    await bench.book.window(60, 70)
    bench.list.down = True
    window = await bench.book.window(40, 60)
    assert window.inconsistent
    assert window.total == 101
    found = numbers(window)
    assert len(set(found)) == len(found) == 19
    assert Outcome.STALE_IF_ERROR in [served.outcome for served in window.lookups]


async def test_a_window_of_held_blocks_that_disagree_asks_nobody_if_only_held_ones_are_wanted():
    bench = BookHarness(100)
    await bench.book.window(0, 50)
    bench.list.numbers.insert(0, "newest")
    await bench.book.window(60, 70)
    calls = len(bench.list.calls)
    window = await bench.book.window(40, 60, CacheDirective.ONLY_IF_CACHED)
    assert window.inconsistent
    assert len(bench.list.calls) == calls


async def test_a_block_that_ends_where_a_later_total_goes_on_is_read_again():
    bench = BookHarness(120)
    await bench.book.window(100, 110)
    bench.list.numbers += [f"late{at}" for at in range(10)]
    await bench.book.window(60, 70)
    window = await bench.book.window(110, 130)
    assert numbers(window) == bench.list.numbers[110:130]
    assert window.total == 130


async def test_only_what_is_held_is_served_where_that_is_asked():
    bench = BookHarness(100)
    with pytest.raises(NotInCache):
        await bench.book.window(0, 10, CacheDirective.ONLY_IF_CACHED)
    await bench.book.window(0, 10)
    window = await bench.book.window(0, 10, CacheDirective.ONLY_IF_CACHED)
    assert len(window.rows) == 10
    with pytest.raises(NotInCache):
        await bench.book.window(60, 70, CacheDirective.ONLY_IF_CACHED)
    assert bench.list.calls == [0]


async def test_an_order_is_found_in_the_fresh_block_that_was_asked_for_last():
    bench = BookHarness(100)
    await bench.book.window(0, 100)
    assert bench.book.find_fresh("n70") is not None
    assert bench.book.find_fresh("n170") is None
    await bench.clock.advance(TTL)
    assert bench.book.find_fresh("n70") is None
    held = bench.book.find_cached("n70")
    assert held is not None
    assert bench.book.freshness(held[1]) is Freshness.STALE


async def test_a_failure_with_nothing_held_is_raised():
    bench = BookHarness(100)
    bench.list.down = True
    with pytest.raises(UpstreamFailed):
        await bench.book.window(0, 10)


async def test_blocks_are_current_until_one_is_replaced_lags_or_is_stale():
    bench = BookHarness(100)
    window = await bench.book.window(40, 60)
    entries = [served.entry for served in window.lookups]
    assert bench.book.is_current(entries, 100)
    assert not bench.book.is_current(entries, 101)
    await bench.clock.advance(10)
    await bench.book.window(0, 10, CacheDirective.NO_CACHE)
    assert not bench.book.is_current(entries, 100)
    assert bench.book.is_current(entries[1:], 100)
    await bench.clock.advance(50)
    assert not bench.book.is_current(entries[1:], 100)


async def test_closing_leaves_nothing_under_way():
    bench = BookHarness(100)
    await bench.book.window(0, 10)
    await bench.book.close(10)


async def test_the_total_is_that_of_the_answer_asked_for_last_not_of_the_one_that_came_last():
    bench = BookHarness(200)
    await bench.book.window(0, 10)
    gate = asyncio.Event()
    fetch = bench.list.fetch

    async def slow_block_1(index: int) -> Block:
        block = await fetch(index)
        if index == 1:
            await gate.wait()
        return block

    bench.book._fetch = slow_block_1
    early = asyncio.ensure_future(bench.book.window(60, 70))
    await settle()
    bench.list.numbers.append("one more")
    await bench.book.window(110, 120)
    gate.set()
    await early
    assert bench.book.total == 201


def held_back(bench: BookHarness, index: int) -> asyncio.Event:
    """From now on the answers for block `index` are made and given when the event is set."""
    gate = asyncio.Event()
    fetch = bench.list.fetch

    async def slow(asked: int) -> Block:
        if asked == index:
            await gate.wait()
        return await fetch(asked)

    bench.book._fetch = slow
    return gate


async def test_a_list_that_grew_beyond_the_total_that_counts_is_read_to_its_end():
    bench = BookHarness(99)
    await bench.book.window(0, 10)
    gate = held_back(bench, 1)
    asked = asyncio.ensure_future(bench.book.window(90, 120))
    await settle()
    await bench.clock.advance(5)
    await bench.book.window(0, 10, CacheDirective.NO_CACHE)
    bench.list.numbers += ["late", "later"]
    gate.set()
    window = await asked
    assert window.total == 101
    assert numbers(window) == bench.list.numbers[90:]
    assert not window.inconsistent


async def test_a_total_that_a_caller_was_told_counts_for_that_caller_though_it_is_gone_since():
    bench = BookHarness(100, Lifetime(2, 0, 0))
    gate = held_back(bench, 1)
    asked = asyncio.ensure_future(bench.book.window(60, 70))
    await settle()
    await bench.clock.advance(5)
    gate.set()
    assert numbers(await asked) == bench.list.numbers[60:70]


async def test_who_could_be_served_waits_once_and_not_for_each_look():
    bench = BookHarness(100)
    await bench.book.window(40, 60)
    await bench.clock.advance(1000)
    await bench.book.window(0, 10)
    bench.list.numbers.append("late")
    fetch = bench.list.fetch

    async def slow(index: int) -> Block:
        await bench.clock.sleep(1.5)
        return await fetch(index)

    bench.book._fetch = slow
    asked = asyncio.ensure_future(bench.book.window(40, 60))
    await bench.clock.advance(1.75)
    assert not asked.done()
    await bench.clock.advance(0.25)
    assert asked.done()
    window = await asked
    assert window.inconsistent
    assert window.total == 101


async def test_a_list_that_shrank_meanwhile_is_not_promised_longer_though_its_total_is_gone():
    bench = BookHarness(100, Lifetime(2, 0, 0))
    fetch = bench.list.fetch

    async def changing(index: int) -> Block:
        if index == 1 and not bench.list.calls.count(1):
            bench.list.numbers.append("late")
        if index == 2:
            bench.list.numbers.pop()
            await bench.clock.sleep(5)
        return await fetch(index)

    bench.book._fetch = changing
    asked = asyncio.ensure_future(bench.book.window(80, 120))
    await bench.clock.advance(5)
    window = await asked
    assert window.total == 100
    assert numbers(window) == bench.list.numbers[80:]
    assert not window.inconsistent


def test_of_two_rows_with_one_number_the_first_is_the_order():
    first, second = row("n1"), row("n1")
    block = Block(0, (first, second, row("n2")), 3, "", None, sandbox=False)
    assert block.by_order_no["n1"] is first
    assert set(block.by_order_no) == {"n1", "n2"}


async def test_a_large_list_is_fresh_for_as_long_as_reading_it_takes_at_the_sweep_rate():
    bench = BookHarness(500, refresh_rate=0.1)
    assert bench.book.ttl == TTL
    await bench.book.window(0, 10)
    assert bench.book.ttl == 100
    await bench.clock.advance(99)
    await bench.book.window(0, 10)
    assert len(bench.list.calls) == 1
    del bench.list.numbers[100:]
    await bench.clock.advance(1)
    await bench.book.window(0, 10)  # stale: refreshed behind
    await settle()
    assert bench.book.ttl == TTL


async def test_what_is_not_held_is_not_kept_fresh():
    bench = BookHarness(5000, refresh_rate=0.1, max_orders=1000)
    await bench.book.window(0, 10)
    assert bench.book.ttl == 200
