"""The whole list at one moment: its blocks, and its orders, each once. Asks nobody."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.cache.grace_cache import Entry
from app.orders.blocks import Block, iter_outdated
from app.orders.compute import ResultCache
from app.orders.mapping import Row
from app.orders.rendering import Provenance
from app.orders.slices import cooperative_chunks

BLOCKS_PER_CHUNK = 40


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a list says, whoever said it when: a refresh that changes nothing leaves it as it is.

    Attributes:
        rows: the orders, each once, in the upstream's order.
        starts: the position of each block's first row.
        worked: what was worked out from the rows.
    """

    rows: tuple[Row, ...]
    starts: tuple[int, ...]
    results: ResultCache = field(default_factory=ResultCache)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The list as its blocks tell it.

    Attributes:
        content: its orders.
        entries: its blocks, in order.
        sources: the upstream answers that it rests on, in block order.
        oldest: the block that was asked for first.
        shifting: the blocks disagree; an order may be missing.
        generation: the book's when they were gathered.
    """

    content: Content
    blocks: tuple[Entry[Block], ...]
    sources: tuple[Provenance, ...]
    oldest_block: Entry[Block]
    inconsistent: bool
    generation: int

    def block_of(self, position: int) -> Block:
        """The block that the row at `position` came in."""
        return self.blocks[bisect_right(self.content.starts, position) - 1].value


async def find_outdated(entries: Sequence[Entry[Block]], before: Snapshot | None) -> list[int]:
    """The blocks that do not agree with one asked for later, by index.

    `before` is a list whose blocks agreed: if these say the same, they agree as well.
    """
    if before and not before.inconsistent and _says_the_same(entries, before):
        return []
    found: list[int] = []
    looking = iter_outdated(entries)
    async for some in cooperative_chunks(range(len(entries)), BLOCKS_PER_CHUNK):
        found += [index for _ in some if (index := next(looking)) is not None]
    return found


async def build_snapshot(
    entries: Sequence[Entry[Block]], before: Snapshot | None, *, inconsistent: bool, generation: int
) -> Snapshot:
    """The list that `entries` tell, in block order; with the content of `before` if it is that."""
    if before and _says_the_same(entries, before):
        content = before.content
    else:
        content = await _content(entries)
    return Snapshot(
        content,
        tuple(entries),
        tuple(source_of(entry) for entry in entries),
        min(entries, key=lambda entry: entry.fetched_at),
        inconsistent,
        generation,
    )


def source_of(entry: Entry[Any]) -> Provenance:
    """The upstream answer that a block, or a single order, came in."""
    held = entry.value
    return Provenance(entry.fetched_at, held.as_of, held.request_id, held.sandbox)


def _says_the_same(entries: Sequence[Entry[Block]], before: Snapshot) -> bool:
    # The book keeps the rows of a block that says again what it said: identity is enough.
    return len(entries) == len(before.blocks) and all(
        new.value.rows is old.value.rows and new.value.total == old.value.total
        for new, old in zip(entries, before.blocks, strict=True)
    )


async def _content(entries: Sequence[Entry[Block]]) -> Content:
    rows: list[Row] = []
    starts: list[int] = []
    seen: set[str] = set()
    async for some in cooperative_chunks(entries, BLOCKS_PER_CHUNK):
        for entry in some:
            starts.append(len(rows))
            for row in entry.value.rows:
                if row.order_no not in seen:
                    rows.append(row)
                    if row.order_no:
                        seen.add(row.order_no)
    return Content(tuple(rows), tuple(starts))
