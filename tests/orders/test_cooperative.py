"""Long work leaves others their turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from app.orders.slices import cooperative_batches, cooperative_chunks


@pytest.mark.parametrize("slices", [cooperative_chunks, cooperative_batches])
async def test_between_two_slices_everybody_else_has_a_turn(
    slices: Callable[[Sequence[int], int], AsyncIterator[Sequence[int]]],
):
    turns: list[object] = []

    async def somebody_else() -> None:
        while True:
            turns.append("else")
            await asyncio.sleep(0)

    other = asyncio.ensure_future(somebody_else())
    async for some in slices(range(5), 2):
        turns.append(tuple(some))  # noqa: PERF401  each in its moment, not all at the end
    other.cancel()
    assert turns[:5] == [(0, 1), "else", (2, 3), "else", (4,)]
