"""Long work in short slices: between two of them everybody else has a turn. Knows no order."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

SLICE = 2000
"""Things handled without a pause: a few milliseconds of work."""


async def cooperative_chunks(things: Sequence[T], size: int = SLICE) -> AsyncIterator[Sequence[T]]:
    """`things`, `size` at a time."""
    for start in range(0, len(things), size):
        yield things[start : start + size]
        await asyncio.sleep(0)


async def cooperative_batches(things: Iterable[T], size: int = SLICE) -> AsyncIterator[Sequence[T]]:
    """The same for things that are made as they are drawn."""
    source = iter(things)
    while drawn := tuple(islice(source, size)):
        yield drawn
        await asyncio.sleep(0)
