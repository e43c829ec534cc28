"""Loads the whole order list: fetches the blocks that are not fresh until all describe one state.

The first and the last block are fetched before the others, because they show what was added
(`app/orders/epochs.py`). The others are fetched a few at a time, so that a request for a page waits
behind few of them. The calls have priority over background refreshes only while somebody waits for
the list.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

from app.cache.freshness import Freshness
from app.cache.grace_cache import Entry, Lookup, Outcome
from app.clock import Clock
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.compute import cooperative_chunks
from app.orders.snapshot import BLOCKS_PER_CHUNK, Snapshot, build_snapshot

MAX_ROUNDS = 6
"""How often outdated blocks are fetched again before the list counts as inconsistent."""


class ListTooLarge(Exception):
    """The list has more orders, or its blocks more bytes, than may be loaded."""


class Progress(NamedTuple):
    """How many orders have been loaded, of how many."""

    loaded: int
    total: int


class SnapshotLoader:
    """One load of the list.

    Args:
        concurrency: blocks that are fetched at once.
        max_orders: orders in the list.
        max_bytes: the size of the blocks together.

    Attributes:
        all_blocks_loaded: whether each block has been loaded once. From then on only blocks that
            disagree are fetched again.
        fetch_count: the blocks that were fetched and not found in the cache.
    """

    def __init__(
        self, book: OrderBook, clock: Clock, *, concurrency: int, max_orders: int, max_bytes: int
    ) -> None:
        self._book = book
        self._clock = clock
        self._concurrency = concurrency
        self._max_orders = max_orders
        self._max_bytes = max_bytes
        self._started_at = clock.monotonic()
        self._loaded: dict[int, Entry[Block]] = {}
        self._size = 0
        self.all_blocks_loaded = False
        self.fetch_count = 0

    async def load(self, previous: Snapshot | None) -> Snapshot:
        """Load the list; a snapshot with the same orders shares the content of `previous`.

        Raises:
            ListTooLarge: the list exceeds the limits.
            UpstreamError: fetching a block failed.
        """
        rounds = 0
        while True:
            needed = self._needed_blocks()
            missing = await self._load_from_cache(needed)
            if missing:
                await self._for_each(self._ends_first(missing, needed)[0], self._load_block)
                continue
            self.all_blocks_loaded = True
            generation = self._book.generation
            entries = await self._latest_entries(needed)
            outdated = self._outdated(entries)
            self._book.epochs.record_reading(entries, contradictory=bool(outdated))
            rounds += 1
            if (
                not outdated
                or rounds > MAX_ROUNDS
                or self._book.epochs.contradicts_for_good
                or not await self._refetch(outdated, needed)
            ):
                return await self._build(entries, previous, generation)

    async def from_cache(self) -> Snapshot | None:
        """Return the list as it is cached, without fetching; None if a block is missing.

        Raises:
            ListTooLarge: the list exceeds the limits.
        """
        needed = self._needed_blocks()
        async for chunk in cooperative_chunks(needed, BLOCKS_PER_CHUNK):
            for index in chunk:
                entry = self._book.cached_block(index)
                if entry is None:
                    return None
                self._loaded[index] = entry
        generation = self._book.generation
        return await self._build(await self._latest_entries(needed), None, generation)

    async def _build(
        self, entries: Sequence[Entry[Block]], previous: Snapshot | None, generation: int
    ) -> Snapshot:
        """Return the snapshot of blocks that were collected at that generation or later."""
        return await build_snapshot(
            entries,
            previous,
            contradictory=bool(self._outdated(entries)),
            keep_duplicates=self._book.epochs.contradicts_for_good,
            generation=generation,
            completed_at=self._book.blocks.latest_sequence,
        )

    @property
    def progress(self) -> Progress:
        """The orders loaded so far, and all orders as far as is known."""
        loaded = sum(len(entry.value.rows) for entry in self._loaded.values())
        return Progress(loaded, max(loaded, self._book.total or 0))

    @property
    def seconds_left(self) -> float:
        """The estimated time for the remaining blocks, at the present speed."""
        needed = self._book.block_indexes(self._loaded.values())
        elapsed = self._clock.monotonic() - self._started_at
        return (len(needed) - len(self._loaded)) * elapsed / max(self.fetch_count, 1)

    def _needed_blocks(self) -> range:
        self._check_limits()
        return self._book.block_indexes(self._loaded.values())

    def _check_limits(self) -> None:
        total = self._book.total or 0
        if total > self._max_orders or self._size > self._max_bytes:
            raise ListTooLarge

    async def _load_block(self, index: int) -> None:
        if index not in self._needed_blocks():
            return  # the list has become shorter
        self._add(await self._book.fresh_block(index))
        self._check_limits()

    async def _load_from_cache(self, needed: range) -> list[int]:
        """Load the blocks that are cached and fresh; return those that are still missing."""
        missing: list[int] = []
        async for chunk in cooperative_chunks(needed, BLOCKS_PER_CHUNK):
            for index in chunk:
                if index in self._loaded:
                    continue
                entry = self._book.cached_block(index)
                if entry and self._book.blocks.freshness(entry) is Freshness.FRESH:
                    self._add_entry(entry)
                else:
                    missing.append(index)
        self._check_limits()
        return missing

    async def _refetch(self, outdated: Sequence[int], needed: range) -> bool:
        """Fetch outdated blocks again, the ends first; return whether any is newer."""
        for indexes in self._ends_first(outdated, needed):
            previous = {index: self._loaded[index].sequence for index in indexes}
            await self._for_each(indexes, self._refetch_block)
            if any(self._loaded[index].sequence > previous[index] for index in indexes):
                return True
        return False

    async def _refetch_block(self, index: int) -> None:
        self._add(await self._book.refetch_block(self._loaded[index]))

    def _add(self, lookup: Lookup[Block]) -> None:
        self._add_entry(lookup.entry)
        self.fetch_count += lookup.outcome in (Outcome.MISS, Outcome.COLLAPSED)

    def _add_entry(self, entry: Entry[Block]) -> None:
        replaced = self._loaded.get(entry.value.index)
        self._size += entry.value.size - (replaced.value.size if replaced else 0)
        self._loaded[entry.value.index] = entry

    async def _latest_entries(self, needed: range) -> list[Entry[Block]]:
        """Return the loaded blocks, or the cached ones that were fetched since for a page."""
        async for chunk in cooperative_chunks(needed, BLOCKS_PER_CHUNK):
            for index in chunk:
                cached = self._book.cached_block(index)
                if cached and cached.sequence > self._loaded[index].sequence:
                    self._add_entry(cached)
        return [self._loaded[index] for index in needed]

    def _outdated(self, entries: Sequence[Entry[Block]]) -> list[int]:
        """Return the blocks that are of another state of the list than the latest one."""
        must_be_fetched = self._book.epochs.must_be_fetched
        return [entry.value.index for entry in entries if must_be_fetched(entry)]

    def _ends_first(self, indexes: Sequence[int], needed: range) -> list[list[int]]:
        """Return `indexes` in groups, the end of the list first at which it grows, if known.

        What that one shows can make the others outdated.
        """
        ends = list(dict.fromkeys((needed[0], needed[-1])))
        if self._book.epochs.grows_at_end:
            ends.reverse()
        groups = [[index] for index in ends if index in indexes]
        others = [index for index in indexes if index not in ends]
        return [*groups, others] if others else groups

    async def _for_each(
        self, indexes: Iterable[int], process: Callable[[int], Coroutine[Any, Any, None]]
    ) -> None:
        """Process the blocks, `concurrency` at a time.

        After an error no further block is begun; the first error is raised when all have ended.
        """
        pending = iter(indexes)
        errors: list[Exception] = []

        async def worker() -> None:
            for index in pending:
                try:
                    await process(index)
                except Exception as error:  # noqa: BLE001  raised when all workers have ended
                    errors.append(error)
                if errors:
                    return

        await asyncio.gather(*(worker() for _ in range(self._concurrency)))
        if errors:
            raise errors[0].with_traceback(None)
