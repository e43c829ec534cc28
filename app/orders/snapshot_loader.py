"""Loads the whole order list: fetches the blocks that are not fresh until all blocks agree.

It fetches a few blocks at a time, so that a request for a page waits behind few of them. Its calls
have priority over background refreshes only while somebody waits for the list.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

from app.cache.grace_cache import Entry, Lookup, Outcome
from app.clock import Clock
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.snapshot import Snapshot, build_snapshot, find_outdated

MAX_CONSISTENCY_ATTEMPTS = 3
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
        attempts = 0
        while True:
            needed = self._needed_blocks()
            missing = [index for index in needed if index not in self._loaded]
            if missing:
                await self._for_each(missing, self._load_block)
                continue
            self.all_blocks_loaded = True
            generation = self._book.generation
            entries = [self._latest(index) for index in needed]
            outdated = await self._outdated(entries, previous)
            attempts += 1
            if outdated and attempts <= MAX_CONSISTENCY_ATTEMPTS and await self._refetch(outdated):
                continue
            return await build_snapshot(
                entries, previous, inconsistent=bool(outdated), generation=generation
            )

    async def from_cache(self) -> Snapshot | None:
        """Return the list as it is cached, without fetching; None if a block is missing.

        Raises:
            ListTooLarge: the list exceeds the limits.
        """
        for index in self._needed_blocks():
            entry = self._book.cached_block(index)
            if entry is None:
                return None
            self._loaded[index] = entry
        generation = self._book.generation
        entries = list(self._loaded.values())
        outdated = await self._outdated(entries, None)
        return await build_snapshot(
            entries, None, inconsistent=bool(outdated), generation=generation
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
        lookup = await self._book.fresh_block(index)
        self._size += lookup.entry.value.size
        self._add(lookup)
        self._check_limits()

    async def _refetch(self, outdated: Sequence[int]) -> bool:
        """Fetch the outdated blocks again; return whether any is newer."""
        previous = {index: self._loaded[index].sequence for index in outdated}
        await self._for_each(outdated, self._refetch_block)
        return any(self._loaded[index].sequence > previous[index] for index in outdated)

    async def _refetch_block(self, index: int) -> None:
        self._add(await self._book.refetch_block(self._loaded[index]))

    def _add(self, lookup: Lookup[Block]) -> None:
        self._loaded[lookup.entry.value.index] = lookup.entry
        self.fetch_count += lookup.outcome in (Outcome.MISS, Outcome.COLLAPSED)

    def _latest(self, index: int) -> Entry[Block]:
        """Return the loaded block, or the cached one if that was fetched since for a page."""
        loaded, cached = self._loaded[index], self._book.cached_block(index)
        if cached and cached.sequence > loaded.sequence:
            self._loaded[index] = cached
        return self._loaded[index]

    async def _outdated(
        self, entries: Sequence[Entry[Block]], previous: Snapshot | None
    ) -> Sequence[int]:
        """Return the blocks that disagree with the current total, or else with each other."""
        total_entry = self._book.total_entry_for(self._loaded.values())
        total = total_entry.value.total if total_entry else None
        outdated = [entry.value.index for entry in entries if entry.value.total != total]
        return outdated or await find_outdated(entries, previous)

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
