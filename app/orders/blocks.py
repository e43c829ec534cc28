"""The arithmetic of the one sequence: which blocks a window needs, and what is cut from them.

    positions   0        50       100      150
    blocks      |   0    |   1    |   2    |
    window            [30 ... 70)             needs blocks 0 and 1

Pure: no clock, no waiting, no upstream.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.cache.grace_cache import Entry
from app.orders.mapping import Row
from app.upstream.wire import BLOCK_SIZE

ROW_OVERHEAD = 400
"""Bytes that a row weighs beside its text."""


@dataclass(frozen=True, slots=True)
class Block:
    """One upstream answer to get-orders: the rows from position `index * 50` on.

    `by_number` are the rows again, so that an order is found without a look at every row.
    """

    index: int
    rows: tuple[Row, ...]
    total: int
    as_of: str
    request_id: str | None
    sandbox: bool
    by_order_no: Mapping[str, Row] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Of two rows with one number the first is the order: in a page too the second is left out.
        by_order_no = {row.order_no: row for row in reversed(self.rows)}
        object.__setattr__(self, "by_order_no", MappingProxyType(by_order_no))

    @property
    def size(self) -> int:
        """Roughly its bytes in memory."""
        return ROW_OVERHEAD + sum(row.size + ROW_OVERHEAD for row in self.rows)


def blocks_for_range(start: int, stop: int, total: int) -> range:
    """The blocks that hold positions `start` to `stop` of a list of `total`; none past its end."""
    if start >= min(stop, total):
        return range(0)
    return range(start // BLOCK_SIZE, (min(stop, total) - 1) // BLOCK_SIZE + 1)


def latest(entries: Sequence[Entry[Block]]) -> Entry[Block]:
    """The one that was asked for last."""
    return max(entries, key=lambda entry: entry.sequence)


def outdated_blocks(entries: Sequence[Entry[Block]]) -> list[int]:
    """The blocks that do not agree with one asked for later, by index.

    Blocks agree when they tell the same total and share no order number.
    """
    return [index for index in iter_outdated(entries) if index is not None]


def iter_outdated(entries: Sequence[Entry[Block]]) -> Iterator[int | None]:
    """The same, one look at a time: for each block, the latest first, its index or None."""
    total = latest(entries).value.total
    later: set[str] = set()
    for entry in sorted(entries, key=lambda entry: -entry.sequence):
        numbers = {row.order_no for row in entry.value.rows} - {""}
        agrees = entry.value.total == total and numbers.isdisjoint(later)
        later |= numbers
        yield None if agrees else entry.value.index


def slice_rows(start: int, stop: int, blocks: Sequence[Block]) -> Iterator[Row]:
    """The rows at positions `start` to `stop`, each order once."""
    seen: set[str] = set()
    for block in blocks:
        first = block.index * BLOCK_SIZE
        for row in block.rows[max(start - first, 0) : max(stop - first, 0)]:
            if row.order_no not in seen:
                yield row
            seen.add(row.order_no)
            seen.discard("")
