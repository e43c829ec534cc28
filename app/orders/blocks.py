"""Blocks of the order list, which ones a range of positions needs, and the rows cut from them.

positions   0        50       100      150
blocks      |   0    |   1    |   2    |
window            [30 ... 70)             needs blocks 0 and 1
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.cache.grace_cache import Entry, Lookup
from app.orders.mapping import Row
from app.upstream.wire import BLOCK_SIZE

BLOCK_OVERHEAD = 1000
"""Memory in bytes of a block, its cache entry and its texts."""

INDEX_ROW_BYTES = 50
"""Memory in bytes of one row in `Block.rows` and `Block.by_order_no`."""


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


@dataclass(frozen=True, slots=True)
class Block(FetchedValue):
    """One upstream page of the order list: the rows from position `index * BLOCK_SIZE` on.

    Attributes:
        index: the number of the block, from 0.
        rows: its orders, in the upstream's order.
        total: the number of orders in the list, as this response states it.
        by_order_no: the rows by order number, to find an order without a scan.
    """

    index: int
    rows: tuple[Row, ...]
    total: int
    by_order_no: Mapping[str, Row] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Of two rows with the same number the first counts, as in `slice_rows`.
        by_order_no = {row.order_no: row for row in reversed(self.rows)}
        object.__setattr__(self, "by_order_no", MappingProxyType(by_order_no))

    @property
    def size(self) -> int:
        """The memory in bytes."""
        return BLOCK_OVERHEAD + sum(row.size + INDEX_ROW_BYTES for row in self.rows)


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


def iter_outdated(entries: Sequence[Entry[Block]]) -> Iterator[int | None]:
    """Yield for each block, the latest first, its index if it is outdated, else None.

    It is outdated if it disagrees with one that was requested later. Blocks agree if they state
    the same total and share no order number. The caller may pause between two blocks: the work for
    one is bounded, for all it is not.
    """
    total = latest(entries).value.total
    later: set[str] = set()
    for entry in sorted(entries, key=lambda entry: -entry.sequence):
        numbers = {row.order_no for row in entry.value.rows} - {""}
        agrees = entry.value.total == total and numbers.isdisjoint(later)
        later |= numbers
        yield None if agrees else entry.value.index


def outdated_in_range(
    start: int, stop: int, entries: Sequence[Entry[Block]], total: int
) -> list[int]:
    """Return the blocks of a range that disagree with a later one, or with the current total.

    The current total may come from a block outside the range. If it is greater than that of the
    last block, the range may go on after that; if it is smaller, the last block promises orders in
    blocks that are not among `entries`.
    """
    outdated = [index for index in iter_outdated(entries) if index is not None]
    last = entries[-1].value
    beyond = any(index > last.index for index in blocks_for_range(start, stop, last.total))
    if not outdated and (beyond or last.total < min(stop, total)):
        return [last.index]
    return outdated


def slice_rows(start: int, stop: int, blocks: Sequence[Block]) -> Iterator[Row]:
    """Yield the rows at positions `start` to `stop`, each order number once."""
    seen: set[str] = set()
    for block in blocks:
        first = block.index * BLOCK_SIZE
        for row in block.rows[max(start - first, 0) : max(stop - first, 0)]:
            if row.order_no not in seen:
                yield row
            seen.add(row.order_no)
            seen.discard("")
