"""The whole order list at one moment: its blocks, and its orders, each once."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.cache.grace_cache import Entry
from app.orders.blocks import Block, iter_outdated
from app.orders.compute import ResultCache, cooperative_chunks
from app.orders.mapping import Row

BLOCKS_PER_CHUNK = 40


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The orders of a list. Snapshots with the same orders share one, and so what was computed.

    Attributes:
        rows: the orders, each once, in the upstream's order.
        starts: for each block the position of its first row in `rows`.
        results: what has been computed from the rows.
    """

    rows: tuple[Row, ...]
    starts: tuple[int, ...]
    results: ResultCache = field(default_factory=ResultCache)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The list as its blocks describe it.

    Attributes:
        content: the orders.
        blocks: the blocks, in order.
        oldest_block: the block that was requested first.
        inconsistent: whether the blocks disagree; then an order may be missing.
        generation: the generation of the order book when the blocks were collected.
    """

    content: Content
    blocks: tuple[Entry[Block], ...]
    oldest_block: Entry[Block]
    inconsistent: bool
    generation: int

    def block_at(self, position: int) -> Block:
        """Return the block that the row at `position` was fetched with."""
        return self.blocks[bisect_right(self.content.starts, position) - 1].value


async def find_outdated(entries: Sequence[Entry[Block]], previous: Snapshot | None) -> list[int]:
    """Return the indexes of the blocks that disagree with one that was requested later.

    If the rows are those of `previous`, whose blocks agreed, nothing has to be compared.
    """
    if previous and not previous.inconsistent and _same_rows(entries, previous):
        return []
    outdated: list[int] = []
    async for chunk in cooperative_chunks(iter_outdated(entries), BLOCKS_PER_CHUNK):
        outdated += [index for index in chunk if index is not None]
    return outdated


async def build_snapshot(
    entries: Sequence[Entry[Block]],
    previous: Snapshot | None,
    *,
    inconsistent: bool,
    generation: int,
) -> Snapshot:
    """Return the snapshot of `entries`, in block order, with the content of `previous` if equal."""
    if previous and _same_rows(entries, previous):
        content = previous.content
    else:
        content = await _build_content(entries)
    return Snapshot(
        content,
        tuple(entries),
        min(entries, key=lambda entry: entry.fetched_at),
        inconsistent,
        generation,
    )


def _same_rows(entries: Sequence[Entry[Block]], previous: Snapshot) -> bool:
    # The book reuses the rows of a block that is fetched again unchanged, so identity suffices.
    return len(entries) == len(previous.blocks) and all(
        new.value.rows is old.value.rows and new.value.total == old.value.total
        for new, old in zip(entries, previous.blocks, strict=True)
    )


async def _build_content(entries: Sequence[Entry[Block]]) -> Content:
    rows: list[Row] = []
    starts: list[int] = []
    seen: set[str] = set()
    async for chunk in cooperative_chunks(entries, BLOCKS_PER_CHUNK):
        for entry in chunk:
            starts.append(len(rows))
            for row in entry.value.rows:
                if row.order_no not in seen:
                    rows.append(row)
                    if row.order_no:
                        seen.add(row.order_no)
    return Content(tuple(rows), tuple(starts))
