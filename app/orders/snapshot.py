"""The whole order list at one moment: its blocks and its orders."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.compute import ResultCache, cooperative_chunks
from app.orders.mapping import Row

BLOCKS_PER_CHUNK = 40


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The orders of a list. Snapshots with the same orders share one, and so what was computed.

    Attributes:
        rows: the orders, in the upstream's order.
        starts: for each block the position of its first row in `rows`.
        keeps_duplicates: whether an order that two blocks have is there twice.
        results: what has been computed from the rows.
    """

    rows: tuple[Row, ...]
    starts: tuple[int, ...]
    keeps_duplicates: bool = False
    results: ResultCache = field(default_factory=ResultCache)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The list as its blocks describe it.

    Attributes:
        content: the orders.
        blocks: the blocks, in order.
        oldest_block: the block that was requested first.
        contradictory: whether the blocks are of different states of the list; then an order may be
            missing.
        generation: the generation of the order book when the blocks were collected.
        completed_at: the number of the fetch that had started last when the blocks were collected.
        lacks_orders: whether orders are missing that were in the list before, and it is not
            confirmed that they were removed.
    """

    content: Content
    blocks: tuple[Entry[Block], ...]
    oldest_block: Entry[Block]
    contradictory: bool
    generation: int
    completed_at: int = 0
    lacks_orders: bool = False

    @property
    def inconsistent(self) -> bool:
        """Whether an order may be missing."""
        return self.contradictory or self.lacks_orders

    def block_at(self, position: int) -> Block:
        """Return the block that the row at `position` was fetched with."""
        return self.blocks[bisect_right(self.content.starts, position) - 1].value


async def build_snapshot(
    entries: Sequence[Entry[Block]],
    previous: Snapshot | None,
    *,
    contradictory: bool,
    keep_duplicates: bool,
    generation: int,
    completed_at: int,
) -> Snapshot:
    """Return the snapshot of `entries`, in block order, with the content of `previous` if equal.

    An order that two blocks have is left out of the second one, unless `keep_duplicates`.
    """
    content = previous.content if previous and _same_rows(entries, previous) else None
    if content is None or content.keeps_duplicates != keep_duplicates:
        content = await _build_content(entries, keep_duplicates=keep_duplicates)
    return Snapshot(
        content,
        tuple(entries),
        min(entries, key=lambda entry: entry.fetched_at),
        contradictory,
        generation,
        completed_at,
    )


def renew(
    snapshot: Snapshot, entries: Sequence[Entry[Block]], *, contradictory: bool, completed_at: int
) -> Snapshot:
    """Return a snapshot with the same content, of blocks that were fetched again unchanged."""
    return replace(
        snapshot,
        blocks=tuple(entries),
        oldest_block=min(entries, key=lambda entry: entry.fetched_at),
        contradictory=contradictory,
        completed_at=completed_at,
    )


def _same_rows(entries: Sequence[Entry[Block]], previous: Snapshot) -> bool:
    # The book reuses the rows of a block that is fetched again unchanged, so identity suffices.
    return len(entries) == len(previous.blocks) and all(
        new.value.rows is old.value.rows and new.value.total == old.value.total
        for new, old in zip(entries, previous.blocks, strict=True)
    )


async def _build_content(entries: Sequence[Entry[Block]], *, keep_duplicates: bool) -> Content:
    rows: list[Row] = []
    starts: list[int] = []
    seen: set[str] = set()
    async for chunk in cooperative_chunks(entries, BLOCKS_PER_CHUNK):
        for entry in chunk:
            starts.append(len(rows))
            block = entry.value
            rows += [row for row in block.rows if row.order_no not in seen]
            if not keep_duplicates:
                seen.update(row.order_no for row in block.rows)
                seen.discard("")
    return Content(tuple(rows), tuple(starts), keep_duplicates)
