"""A stated total that jumps is confirmed by a second answer."""

import asyncio
from collections.abc import Iterator

import pytest

from app.orders.blocks import Block
from app.orders.totals import UNCONFIRMED, TotalConfirmation
from app.upstream.drift import DriftKind
from app.upstream.errors import UpstreamFailed

MAX_ORDERS = 100_000


class Harness:
    """Answers that state the given totals, one after the other, and the drift that is reported."""

    def __init__(self, *totals: int) -> None:
        self._totals: Iterator[int] = iter(totals)
        self.calls = 0
        self.drift: list[DriftKind] = []
        self._confirmation = TotalConfirmation(
            self._fetch, self.drift.extend, max_orders=MAX_ORDERS
        )

    async def _fetch(self, index: int) -> Block:
        self.calls += 1
        total = next(self._totals)
        await asyncio.sleep(0)
        if total < 0:
            raise UpstreamFailed("down")
        return Block(index, (), total, as_of="", request_id=None, sandbox=False)

    async def total(self) -> int:
        return (await self._confirmation.fetch_block(0)).total


@pytest.mark.parametrize(
    ("known", "stated"),
    [(137, 137), (137, 138), (137, 136), (0, 500), (0, 0), (1, 0), (137, 774), (137, 68)],
)
async def test_a_total_near_the_previous_one_needs_no_confirmation(known: int, stated: int):
    harness = Harness(known, stated)
    assert [await harness.total(), await harness.total()] == [known, stated]
    assert harness.calls == 2


@pytest.mark.parametrize("stated", [1_000_000, 775, 67, 0])
async def test_a_total_that_jumps_once_is_not_believed_and_is_drift(stated: int):
    harness = Harness(137, stated, 138)
    assert [await harness.total(), await harness.total()] == [137, 138]
    assert (harness.calls, harness.drift) == (3, [UNCONFIRMED])


@pytest.mark.parametrize("stated", [(1_000_000, 1_000_001), (0, 0)])
async def test_a_total_that_jumps_is_believed_if_the_second_answer_confirms_it(
    stated: tuple[int, int],
):
    harness = Harness(137, *stated, stated[1])
    assert [await harness.total() for _ in range(3)] == [137, stated[1], stated[1]]
    assert (harness.calls, harness.drift) == (4, [])


async def test_the_first_total_is_confirmed_only_if_it_makes_the_list_too_large():
    harness = Harness(MAX_ORDERS)
    assert await harness.total() == MAX_ORDERS
    assert harness.calls == 1
    harness = Harness(MAX_ORDERS + 1, 137)
    assert await harness.total() == 137
    assert (harness.calls, harness.drift) == (2, [UNCONFIRMED])


async def test_answers_that_state_the_same_total_at_the_same_time_confirm_each_other():
    harness = Harness(137, *[1000] * 9)
    await harness.total()
    assert await asyncio.gather(*(harness.total() for _ in range(8))) == [1000] * 8
    assert (harness.calls, harness.drift) == (10, [])


async def test_pages_that_always_state_different_totals_cost_no_further_calls():
    harness = Harness(137, *[5000] * 2, *[137, 5000] * 10)
    for _ in range(22):
        await harness.total()
    assert (harness.calls, harness.drift) == (23, [])


async def test_a_total_that_was_not_confirmed_has_to_be_confirmed_the_next_time_too():
    harness = Harness(137, 5000, 137, 5000, 137)
    assert [await harness.total() for _ in range(3)] == [137, 137, 137]
    assert harness.calls == 5


async def test_if_the_second_answer_fails_the_fetch_fails():
    harness = Harness(137, 5000, -1, 5000, 137)
    await harness.total()
    with pytest.raises(UpstreamFailed):
        await harness.total()
    assert await harness.total() == 137
