"""Filters and sorts rows, without blocking the event loop for long."""

import heapq
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.orders.compute import cooperative_chunks
from app.orders.mapping import STATUS, Row
from app.orders.search_text import normalized

Positions = Sequence[int]
"""Positions of rows in the list."""

CHARS_PER_COST = 32
"""Characters that are searched, at worst, in the time in which the rest of a row is matched."""

_STATUS_RANKS = {status: rank for rank, status in enumerate(STATUS.values())}

_SORT_KEYS: dict[str, Callable[[Row], Any]] = {
    "created_at": lambda row: row.created_ns,
    "actual_amount": lambda row: row.amount,
    "order_no": lambda row: row.order_no or None,
    "status": lambda row: _STATUS_RANKS.get(row.status),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows match: those that satisfy every condition that is set.

    Attributes:
        statuses: any of these.
        types: any of these.
        sources: any of these.
        order_nos: any of these.
        search_text: normalized; a substring of the order number or a package name.
        created_from: nanoseconds since 1970, inclusive.
        created_to: nanoseconds since 1970, exclusive.
        amount_from: inclusive.
        amount_to: inclusive.
    """

    statuses: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    order_nos: frozenset[str] = frozenset()
    search_text: str = ""
    created_from: int | None = None
    created_to: int | None = None
    amount_from: Decimal | None = None
    amount_to: Decimal | None = None

    def cost(self, row: Row) -> int:
        """Return the work of matching the row, about 1 unless a long text is searched."""
        chars = sum(map(len, row.search_names)) if self.search_text else 0
        return 1 + chars // CHARS_PER_COST

    def matches(self, row: Row) -> bool:
        """Return whether the row satisfies every condition."""
        if self.statuses and row.status not in self.statuses:
            return False
        if self.types and row.type not in self.types:
            return False
        if self.sources and row.source not in self.sources:
            return False
        if self.order_nos and row.order_no not in self.order_nos:
            return False
        return (
            self._matches_time(row.created_ns)
            and self._matches_amount(row.amount)
            and self._matches_text(row)
        )

    def _matches_time(self, created_ns: int | None) -> bool:
        if self.created_from is None and self.created_to is None:
            return True
        if created_ns is None:
            return False
        if self.created_from is not None and created_ns < self.created_from:
            return False
        return self.created_to is None or created_ns < self.created_to

    def _matches_amount(self, amount: Decimal | None) -> bool:
        if self.amount_from is None and self.amount_to is None:
            return True
        if amount is None:
            return False
        if self.amount_from is not None and amount < self.amount_from:
            return False
        return self.amount_to is None or amount <= self.amount_to

    def _matches_text(self, row: Row) -> bool:
        if not self.search_text or self.search_text in normalized(row.order_no):
            return True
        return any(self.search_text in name for name in row.search_names)


NO_FILTER = Filter()


async def select(rows: Sequence[Row], row_filter: Filter, sort: str | None) -> Positions:
    """Return the positions of the rows that match, in list order or sorted.

    Args:
        rows: the whole list.
        row_filter: which rows.
        sort: a key of the parameter `sort`, with `-` for descending; None for list order. Ties keep
            list order, and rows without a value come last.
    """
    positions = await _matching(rows, row_filter)
    return await _sorted(rows, positions, sort) if sort else positions


async def _matching(rows: Sequence[Row], row_filter: Filter) -> Positions:
    if row_filter == NO_FILTER:
        return range(len(rows))
    matching = array("I")
    positions = range(len(rows))
    async for chunk in cooperative_chunks(positions, cost=lambda at: row_filter.cost(rows[at])):
        matching.extend(position for position in chunk if row_filter.matches(rows[position]))
    return matching


async def _sorted(rows: Sequence[Row], positions: Positions, sort: str) -> Positions:
    """Sort in chunks and merge them, so that no single step takes long."""
    row_key = _SORT_KEYS[sort.removeprefix("-")]
    descending = sort.startswith("-")

    def key(position: int) -> Any:
        return row_key(rows[position])

    runs: list[list[int]] = []
    unknown = array("I")
    async for chunk in cooperative_chunks(positions):
        unknown.extend(position for position in chunk if key(position) is None)
        known = (position for position in chunk if key(position) is not None)
        runs.append(sorted(known, key=key, reverse=descending))
    merged = array("I")
    async for batch in cooperative_chunks(heapq.merge(*runs, key=key, reverse=descending)):
        merged.extend(batch)
    merged.extend(unknown)
    return merged
