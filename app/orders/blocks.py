"""Blocks of the order list, which ones a range of positions needs, and the rows cut from them.

positions   0        50       100      150
blocks      |   0    |   1    |   2    |
window            [30 ... 70)             needs blocks 0 and 1
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.cache.grace_cache import Entry, Lookup
from app.orders.mapping import Row, size_of_rows
from app.upstream.wire import BLOCK_SIZE

BLOCK_OVERHEAD = 1000
"""Memory in bytes of a block, its cache entry and its texts."""

INDEX_ROW_BYTES = 100
"""Memory in bytes of one row in `Block.rows` and in the index of order numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedValue:
    """What was read from one upstream response.

    Attributes:
        as_of: when the response was requested, as RFC 3339 text.
        request_id: the upstream's id of it, if it gave one.
        sandbox: whether it came from a sandbox.
    """

    as_of: str
    request_id: str | None
    sandbox: bool


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Block(FetchedValue):
    """One upstream page of the order list: the rows from position `index * BLOCK_SIZE` on.

    Attributes:
        index: the number of the block, from 0.
        rows: its orders, in the upstream's order.
        total: the number of orders in the list, as this response states it.
        digest: that of the response, None if the response has to be parsed in any case.
    """

    index: int
    rows: tuple[Row, ...]
    total: int
    digest: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def size(self) -> int:
        """The memory in bytes."""
        return BLOCK_OVERHEAD + INDEX_ROW_BYTES * len(self.rows) + size_of_rows(self.rows)


@dataclass(frozen=True, slots=True)
class Window:
    """A range of the list, and the lookups that it is based on, in block order."""

    rows: tuple[Row, ...]
    total: int
    inconsistent: bool
    lookups: tuple[Lookup[Block], ...]


def blocks_for_range(start: int, stop: int, total: int) -> range:
    """Return the blocks with positions `start` to `stop` of a list of `total` orders."""
    if start >= min(stop, total):
        return range(0)
    return range(start // BLOCK_SIZE, (min(stop, total) - 1) // BLOCK_SIZE + 1)


def latest(entries: Sequence[Entry[Block]]) -> Entry[Block]:
    """Return the entry that was requested last."""
    return max(entries, key=lambda entry: entry.sequence)


def number_of_blocks(total: int) -> int:
    """Return how many blocks a list of `total` orders has; an empty one has one, too."""
    return max(-(-total // BLOCK_SIZE), 1)


def is_last(block: Block) -> bool:
    """Return whether a block is the last one of the list, by the total that it states."""
    return block.index == number_of_blocks(block.total) - 1


def slice_rows(
    start: int, stop: int, blocks: Sequence[Block], *, keep_duplicates: bool = False
) -> tuple[Row, ...]:
    """Return the rows at positions `start` to `stop`.

    An order that two blocks have is left out of the second one, unless `keep_duplicates`.
    """
    parts = []
    for block in blocks:
        first = block.index * BLOCK_SIZE
        parts.append(block.rows[max(start - first, 0) : max(stop - first, 0)])
    if len(parts) == 1:
        return parts[0]
    rows: list[Row] = []
    seen: set[str] = set()
    for part in parts:
        rows += (row for row in part if row.order_no not in seen)
        if not keep_duplicates:
            seen.update(row.order_no for row in part)
            seen.discard("")
    return tuple(rows)
