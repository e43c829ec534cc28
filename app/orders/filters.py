"""Which orders of a list, in which order: their positions. Reads nothing but rows, in slices."""

import heapq
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from app.orders.compute import cooperative_batches, cooperative_chunks
from app.orders.mapping import Row
from app.orders.queries import NO_FILTER, Filter

Positions = Sequence[int]

_KEYS: dict[str, Callable[[Row], Any]] = {
    "created_at": lambda row: row.created_ns,
    "actual_amount": lambda row: row.amount,
    "order_no": lambda row: row.order_no or None,
}


async def select(rows: Sequence[Row], asked: Filter, sort: str | None) -> Positions:
    """The positions of the rows that `asked` lets through, sorted if `sort` says how."""
    found = await _found(rows, asked)
    return await _sorted(rows, found, sort) if sort else found


async def _found(rows: Sequence[Row], asked: Filter) -> Positions:
    if asked == NO_FILTER:
        return range(len(rows))
    found = array("I")
    async for some in cooperative_chunks(range(len(rows))):
        found.extend(at for at in some if asked.matches(rows[at]))
    return found


async def _sorted(rows: Sequence[Row], positions: Positions, sort: str) -> Positions:
    """Stable, the unknown last: short runs are sorted, and merged as they are drawn."""
    key_of_row = _KEYS[sort.removeprefix("-")]
    descending = sort.startswith("-")

    def key(at: int) -> Any:
        return key_of_row(rows[at])

    runs: list[list[int]] = []
    unknown = array("I")
    async for some in cooperative_chunks(positions):
        unknown.extend(at for at in some if key(at) is None)
        known = (at for at in some if key(at) is not None)
        runs.append(sorted(known, key=key, reverse=descending))
    merged = array("I")
    async for some in cooperative_batches(heapq.merge(*runs, key=key, reverse=descending)):
        merged.extend(some)
    merged.extend(unknown)
    return merged
