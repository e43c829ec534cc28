"""The order book, one long class: the list as cached blocks, and windows cut from them.

The upstream's list is one sequence. The book reads it in blocks of `BLOCK_SIZE`, and every window
is cut from cached blocks:

1. Bounded. While the list does not change, N orders cost at most ⌈N/50⌉ + 1 list calls per TTL,
   whatever windows are requested, also when all requests arrive at once on a cold start: while no
   total is known, block 0 is the probe and the other blocks wait for it. However fast the list
   changes, it is at most twice that.
2. A window past the end costs no call. The known total has the freshness of the response that
   stated it, the one requested last, and such a window depends on that response.
3. Inconsistencies are detected and reported. `app/orders/epochs.py` tells which blocks describe one
   state of the list. Those that do not are outdated: stale from then on, and fetched again ahead of
   time at most once per TTL each. A window of two blocks waits for that. If they still do not
   belong together, the window has each order once and the latest total, and is inconsistent.

A page is cut from two blocks at most. If a change moves an order from one to the other between
their fetches, and no other block shows the change, the page lacks the order until the next refresh.
The whole list is never loaded like that: its first and last block are fetched before the others.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from sys import maxsize
from typing import Any

from app.cache.freshness import CacheDirective, Freshness
from app.cache.grace_cache import CachedLookup, Entry, GraceCache, Lookup
from app.clock import Clock
from app.orders.blocks import (
    Block,
    Window,
    blocks_for_range,
    is_last,
    latest,
    slice_rows,
)
from app.orders.epochs import Epochs
from app.orders.mapping import Row
from app.upstream.wire import BLOCK_SIZE

PROBE_BLOCK = 0
"""The block that is fetched first while no total is known."""

MAX_EVICTED = 64
"""Blocks that the cache has evicted and whose order numbers are still known."""

BlockVersion = tuple[int, int]
"""The index of a block and the sequence number of its entry."""


class OrderBook:
    """The blocks of one pool's order list.

    Args:
        deadline: seconds that one caller waits at most.
        refresh_rate: calls per second that keeping the list fresh may cost. The TTL of a large
            list is the time in which its cached blocks can be fetched at this rate.
        max_orders: the number of orders that are kept fresh.

    Attributes:
        blocks: the cached blocks. Their TTL depends on the present length of the list.
        epochs: which blocks describe one state of the list.
        generation: changes whenever the orders, the total, or the set of outdated blocks change.
        fetch_count: the number of blocks that were fetched.
        blocks_elsewhere: the most blocks that another process has cached which shares them.
    """

    def __init__(
        self,
        block_cache: GraceCache[int, Block],
        fetch_block: Callable[[int], Coroutine[Any, Any, Block]],
        clock: Clock,
        *,
        deadline: float,
        refresh_rate: float = math.inf,
        max_orders: int = maxsize,
    ) -> None:
        self.blocks = block_cache
        self._fetch_from_upstream = fetch_block
        self._clock = clock
        self._deadline = deadline
        self._refresh_rate = refresh_rate
        self._max_orders = max_orders
        self._total_entry: Entry[Block] | None = None
        self.epochs = Epochs()
        self.generation = 0
        self.fetch_count = 0
        self.blocks_elsewhere = 0
        block_cache.add_listener(self._on_block_stored)
        block_cache.set_outdated_check(self.epochs.is_outdated, self.epochs.outdated_until)

    @property
    def total(self) -> int | None:
        """The total that the block requested last states, unless that block has expired."""
        entry = self._total_entry
        return entry.value.total if entry and not self._has_expired(entry) else None

    async def window(
        self, start: int, stop: int, directive: CacheDirective = CacheDirective.DEFAULT
    ) -> Window:
        """Return the orders at positions `start` to `stop`.

        Raises:
            NotInCache: `directive` has `only_if_cached`, and a block is not cached.
            WaitTimeout: a block is not cached, and the deadline has passed.
            UpstreamError: a block is not cached, and fetching it failed.
        """
        wait_started = self._clock.monotonic()
        deadline = wait_started + self._deadline
        lookups: dict[int, Lookup[Block]] = {}
        # This ends: each iteration brings a new block or total or is the last one, and nothing new
        # comes after the deadline.
        while True:
            total_entry = self._total_entry_of(lookups)
            needed = self._needed_blocks(start, stop, total_entry)
            missing = [index for index in needed if index not in lookups]
            if missing:
                cold = not all(map(self.cached_block, missing))
                if cold and not directive.only_if_cached:
                    await self._fetch_last_block(
                        total_entry, min(wait_started + self.blocks.max_stale_wait, deadline)
                    )
                lookups |= await self._lookup_blocks(missing, directive, deadline, wait_started)
                if cold:
                    # `max_stale_wait` counts from when there is something to serve.
                    wait_started = self._clock.monotonic()
                continue
            used = [lookups[index] for index in needed]
            outdated = self._outdated(used, start, stop, total_entry)
            if not outdated:
                return self._make_window(start, stop, used)
            if directive.only_if_cached or self.epochs.contradicts_for_good:
                break
            if not await self._refetch_outdated(outdated, lookups, deadline, wait_started):
                break
        needed = self._needed_blocks(start, stop, self._total_entry_of(lookups))
        used = [lookups[index] for index in needed if index in lookups]
        return self._make_window(start, stop, used or list(lookups.values()), inconsistent=True)

    def block_indexes(self, collected: Iterable[Entry[Block]]) -> range:
        """Return the blocks of the whole list, given the blocks that the caller has collected."""
        return self._needed_blocks(0, maxsize, self.total_entry_for(collected))

    def total_entry_for(self, collected: Iterable[Entry[Block]]) -> Entry[Block] | None:
        """Return the block that states the total for a caller who has collected these blocks.

        If that block has expired meanwhile, the collected ones still count for this caller.
        """
        if self.total is not None:
            return self._total_entry
        return max(collected, key=lambda entry: entry.sequence, default=None)

    def cached_block(self, index: int) -> Entry[Block] | None:
        """Return the cached block unless it has expired."""
        entry = self.blocks.get(index)
        return None if entry is None or self._has_expired(entry) else entry

    async def probe(self, *, timeout: float) -> Lookup[Block]:
        """Return the first block, and wait at most `timeout` seconds for it.

        Raises:
            WaitTimeout: it is not cached, and fetching it takes longer. The fetch goes on.
            UpstreamError: the fetch failed, or failed a moment ago.
        """
        deadline = self._clock.monotonic() + timeout
        return await self.blocks.get_or_fetch(PROBE_BLOCK, self._fetch_block, deadline=deadline)

    @property
    def last_probe_error(self) -> Exception | None:
        """Why the last fetch of the first block failed, None if it did not."""
        return self.blocks.last_error(PROBE_BLOCK)

    async def fresh_block(self, index: int) -> Lookup[Block]:
        """Return a fresh block, however long the fetch takes.

        A stale one is returned if it was fetched ahead of time less than a TTL ago.

        Raises:
            UpstreamError: the fetch failed, or failed a moment ago.
        """
        directive = CacheDirective.MUST_REVALIDATE
        return await self.blocks.get_or_fetch(index, self._fetch_block, directive)

    async def refetch_block(
        self,
        entry: Entry[Block],
        *,
        deadline: float | None = None,
        wait_started: float | None = None,
    ) -> Lookup[Block]:
        """Return a newer block in place of one that is outdated or unverified, or else that one.

        An outdated one is fetched again ahead of time at most once per TTL.
        """
        return await self.blocks.get_or_fetch(
            entry.value.index,
            self._fetch_block,
            CacheDirective.REFETCH,
            deadline=deadline,
            wait_started=wait_started,
            outdated=entry if self.epochs.is_outdated(entry) else None,
        )

    def find(self, order_no: str) -> tuple[Row, Entry[Block]] | None:
        """Return the order and its block, the latest block that has it and has not expired.

        Of two rows with the number the first one is returned.
        """
        found = [entry for entry in self.epochs.find(order_no) if not self._has_expired(entry)]
        if not found:
            return None
        entry = found[0] if self.epochs.contradicts_for_good else latest(found)
        return next(row for row in entry.value.rows if row.order_no == order_no), entry

    def lookups_without_fetch(
        self, blocks: Sequence[BlockVersion], total: int
    ) -> tuple[CachedLookup[Block], ...] | None:
        """Return the lookups of a window that was cut from these blocks and stated `total`.

        None if the window would start a fetch or wait now, or would be cut from others.
        """
        found = []
        for index, sequence in blocks:
            cached = self.blocks.get_without_fetch(index)
            if cached is None or cached.lookup.entry.sequence != sequence:
                return None
            found.append(cached)
        if self._total_entry is None or self._total_entry.value.total != total:
            return None
        entries = [cached.lookup.entry for cached in found]
        if len(entries) > 1 and not self.epochs.are_of_one_state(entries):
            return None
        return tuple(found)

    def _has_expired(self, entry: Entry[Block]) -> bool:
        return self.blocks.freshness(entry) is Freshness.EXPIRED

    async def _fetch_block(self, index: int) -> Block:
        """Fetch a block. If its rows have not changed they stay the same objects."""
        return self.reuse_rows(await self._fetch_from_upstream(index))

    def reuse_rows(self, block: Block) -> Block:
        """Return the block, with the rows of its last fetch if they have not changed."""
        # Not that of the cache: it may have evicted the block.
        former = self.epochs.last_fetched(block.index)
        if former is None or former.rows is block.rows or former.rows != block.rows:
            return block
        return replace(block, rows=former.rows)

    def _on_block_stored(self, _index: int, entry: Entry[Block]) -> None:
        if self._total_entry is None or self._total_entry.sequence < entry.sequence:
            self._total_entry = entry
        # Not by the stated total alone: a wrong one would make the cache keep it for long.
        total = min(self._total_entry.value.total, self._max_orders)
        known = max(len(self.blocks), self.blocks_elsewhere)
        blocks = min(-(-total // BLOCK_SIZE), known)
        self.blocks.set_min_ttl(blocks / self._refresh_rate)
        self.fetch_count += not entry.outdated
        self.generation += self.epochs.add(
            entry,
            total=self._total_entry.value.total,
            latest_sequence=entry.completed_at,
        )
        if len(self.epochs) > len(self.blocks) + MAX_EVICTED:
            self.epochs.retain([index for index, _ in self.blocks.items()])

    async def _fetch_last_block(self, total_entry: Entry[Block] | None, deadline: float) -> None:
        """Fetch the last block if it is not cached, before the others but the first are fetched.

        A change that happens while the others are fetched then shows in the first or last block, or
        where they meet (`app/orders/epochs.py`).
        """
        total = total_entry.value.total if total_entry else 0
        if total_entry is None or is_last(total_entry.value) or total > self._max_orders:
            return
        (last,) = blocks_for_range(total - 1, total, total)
        if self.cached_block(last):
            return
        with suppress(Exception):  # whoever needs this block gets the error
            await self.blocks.get_or_fetch(last, self._fetch_block, deadline=deadline)

    def _total_entry_of(self, lookups: dict[int, Lookup[Block]]) -> Entry[Block] | None:
        return self.total_entry_for(lookup.entry for lookup in lookups.values())

    @staticmethod
    def _needed_blocks(start: int, stop: int, total_entry: Entry[Block] | None) -> range:
        """Return the blocks of the window, or the one that states the total if it is empty."""
        index = total_entry.value.index if total_entry else PROBE_BLOCK
        needed = blocks_for_range(start, stop, total_entry.value.total) if total_entry else None
        return needed or range(index, index + 1)

    def _outdated(
        self,
        lookups: Sequence[Lookup[Block]],
        start: int,
        stop: int,
        total_entry: Entry[Block] | None,
    ) -> list[int]:
        """Return the blocks of the window that have to be fetched again.

        A block by itself is a state of the list, if an old one. But the window may go on after the
        last block, or that promises orders in blocks that the window lacks.
        """
        entries = [lookup.entry for lookup in lookups]
        if len(entries) > 1 and not self.epochs.are_of_one_state(entries):
            return [entry.value.index for entry in entries if not self.epochs.is_current(entry)]
        last = entries[-1].value
        total = (total_entry or entries[-1]).value.total
        beyond = any(index > last.index for index in blocks_for_range(start, stop, last.total))
        return [last.index] if beyond or last.total < min(stop, total) else []

    async def _lookup_blocks(
        self,
        indexes: Iterable[int],
        directive: CacheDirective,
        deadline: float,
        wait_started: float,
    ) -> dict[int, Lookup[Block]]:
        """Look up the blocks concurrently; when all have ended, raise the first error if any."""
        lookups = [
            self.blocks.get_or_fetch(
                index, self._fetch_block, directive, deadline=deadline, wait_started=wait_started
            )
            for index in indexes
        ]
        if len(lookups) == 1:
            # Most pages. As a task it would cost three more turns of the event loop.
            lookup = await lookups[0]
            return {lookup.entry.value.index: lookup}
        found: dict[int, Lookup[Block]] = {}
        for result in await asyncio.gather(*lookups, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
            found[result.entry.value.index] = result
        return found

    async def _refetch_outdated(
        self,
        outdated: Sequence[int],
        lookups: dict[int, Lookup[Block]],
        deadline: float,
        wait_started: float,
    ) -> bool:
        """Fetch the outdated blocks again and update `lookups`; return whether any is newer."""
        entries = [lookups[index].entry for index in outdated]
        refetches = [
            self.refetch_block(entry, deadline=deadline, wait_started=wait_started)
            for entry in entries
        ]
        lookups.update(zip(outdated, await asyncio.gather(*refetches), strict=True))
        return any(lookups[entry.value.index].entry.sequence > entry.sequence for entry in entries)

    def _make_window(
        self,
        start: int,
        stop: int,
        lookups: Sequence[Lookup[Block]],
        *,
        inconsistent: bool = False,
    ) -> Window:
        entries = [lookup.entry for lookup in lookups]
        blocks = [entry.value for entry in entries]
        keep_duplicates = self.epochs.contradicts_for_good
        rows = slice_rows(start, stop, blocks, keep_duplicates=keep_duplicates)
        return Window(rows, latest(entries).value.total, inconsistent, tuple(lookups))
