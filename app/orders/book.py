"""The order book, one idea in one file: the list held as blocks, windows cut from them. No HTTP.

The list is one sequence. Whatever page, size or filter is asked, the same blocks answer it:

1. Bounded. While the list stands still, N orders cost at most ⌈N/50⌉ + 1 list calls per ttl, also
   when all come at once on a cold start: block 0 is the probe, and the others wait for it.
2. Past the end is free: such a window rests on the answer that told the total.
3. Coherent, or it says so. If the blocks of a window disagree, the sequence has shifted: those
   asked for earlier are fetched again, early at most once a ttl each.

A shift that shows in neither total nor number (one gone, one come) cannot be seen here, and
heals within the ttl.
"""

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from sys import maxsize
from typing import Any

from app.cache.freshness import Freshness
from app.cache.grace_cache import Entry, GraceCache, Lookup
from app.cache.policy import CacheDirective
from app.clock import Clock
from app.orders.blocks import Block, blocks_for_range, latest, outdated_blocks, slice_rows
from app.orders.mapping import Row
from app.upstream.wire import BLOCK_SIZE

PROBE = 0


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the sequence, and the lookups that it rests on, in block order."""

    rows: tuple[Row, ...]
    total: int
    inconsistent: bool
    lookups: tuple[Lookup[Block], ...]


class OrderBook:
    """The blocks of one pool's order list.

    Args:
        block_cache: the cached blocks.
        fetch_block: fetches one block from the upstream.
        clock: the only source of time.
        deadline: seconds that one caller waits at most.
        sweep_rate: calls a second that keeping the list fresh may cost: the ttl of a large list
            is as long as reading it at that rate takes.
        max_orders: how many are held; what is not held is not kept fresh.
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
        self._blocks = block_cache
        self._fetch = fetch_block
        self._clock = clock
        self._deadline = deadline
        self._sweep_rate = refresh_rate
        self._max_orders = max_orders
        self._telling: Entry[Block] | None = None
        self.generation = 0
        """Another number whenever a block that is held, or what is known of it, is another."""
        block_cache.add_listener(self._on_block_stored)

    @property
    def total(self) -> int | None:
        """The total last told, unless the answer that told it is gone."""
        if self._telling and self._blocks.freshness(self._telling) is not Freshness.EXPIRED:
            return self._telling.value.total
        return None

    @property
    def ttl(self) -> float:
        """Seconds that a block is fresh, as the list is now."""
        return self._blocks.ttl

    async def window(
        self, start: int, stop: int, ask: CacheDirective = CacheDirective.DEFAULT
    ) -> Window:
        """The orders at positions `start` to `stop`.

        Raises:
            NotInCache: only what is held was wanted, and something is missing.
            WaitEnded: something is not held, and the deadline is over.
            UpstreamError: something is not held, and the upstream did not give it.
        """
        since = self._clock.monotonic()
        until = since + self._deadline
        gathered: dict[int, Lookup[Block]] = {}
        # Ends: each turn has learnt something new (a total, a block), or is the last; and past the
        # deadline nothing new is learnt.
        while True:
            telling = self.total_entry_for([served.entry for served in gathered.values()])
            wanted = self._wanted(start, stop, telling)
            missing = [index for index in wanted if index not in gathered]
            if missing:
                cold = not all(map(self.cached_block, missing))
                for served in await self._gather(missing, ask, until, since):
                    gathered[served.entry.value.index] = served
                if cold:
                    # Only now is something held with which not to wait any longer.
                    since = self._clock.monotonic()
                continue
            basis = [gathered[index] for index in wanted]
            lagging = self._lagging(basis, start, stop, telling)
            if not lagging:
                return self._cut(start, stop, basis)
            if ask is CacheDirective.ONLY_IF_CACHED:
                break
            if not await self._look_again(lagging, gathered, until, since):
                break
        telling = self.total_entry_for([served.entry for served in gathered.values()])
        wanted = self._wanted(start, stop, telling)
        basis = [gathered[index] for index in wanted if index in gathered]
        return self._cut(start, stop, basis or list(gathered.values()), inconsistent=True)

    def block_indexes(self, gathered: Collection[Entry[Block]] = ()) -> list[int]:
        """The blocks that the whole list needs, as far as is known to who gathered these."""
        return self._wanted(0, maxsize, self.total_entry_for(gathered))

    def total_entry_for(self, gathered: Collection[Entry[Block]]) -> Entry[Block] | None:
        """The answer that tells the total to one who gathered these.

        What was gathered stays good for who gathered it: the total that it told, too.
        """
        if self.total is not None:
            return self._telling
        return latest(tuple(gathered)) if gathered else None

    def cached_block(self, index: int) -> Entry[Block] | None:
        """The block that is held, unless it is gone."""
        entry = self._blocks.get(index)
        return entry if entry and self.freshness(entry) is not Freshness.EXPIRED else None

    async def fresh_block(self, index: int) -> Lookup[Block]:
        """Return the block, fresh if it can be, however long that takes.

        Raises:
            UpstreamError: the upstream did not give it, now or a moment ago.
        """
        return await self._blocks.get_or_fetch(
            index, self._fetch_block, CacheDirective.MUST_REVALIDATE
        )

    async def refetch_block(
        self,
        entry: Entry[Block],
        *,
        deadline: float | None = None,
        wait_started: float | None = None,
    ) -> Lookup[Block]:
        """Return what is served in place of a block that was found to be outdated."""
        return await self._blocks.get_or_fetch(
            entry.value.index,
            self._fetch_block,
            CacheDirective.REFETCH,
            deadline=deadline,
            wait_started=wait_started,
            outdated=entry,
        )

    def find_fresh(self, order_no: str) -> tuple[Row, Entry[Block]] | None:
        """The order in a fresh block, the one asked for last if there are several."""
        return self._find(order_no, lambda freshness: freshness is Freshness.FRESH)

    def find_cached(self, order_no: str) -> tuple[Row, Entry[Block]] | None:
        """The order in any block that is not gone."""
        return self._find(order_no, lambda freshness: freshness is not Freshness.EXPIRED)

    def freshness(self, entry: Entry[Block]) -> Freshness:
        """How good a block is now."""
        return self._blocks.freshness(entry)

    def freshness_at(self, asked: float) -> Freshness:
        """How good a block that was asked for at the moment `asked` is now."""
        return self._blocks.freshness_at(asked)

    def is_current(self, entries: Sequence[Entry[Block]], total: int) -> bool:
        """Whether just these blocks are held, fresh, and `total` is the total last told."""
        for entry in entries:
            if self._blocks.get(entry.value.index) is not entry:
                return False
            if self._blocks.freshness(entry) is not Freshness.FRESH:
                return False
        return self._telling is not None and self._telling.value.total == total

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the fetches to end, then cancel them."""
        await self._blocks.close(timeout)

    async def _fetch_block(self, index: int) -> Block:
        """Ask for one block; where it says again what it said, the rows stay those that were."""
        block = await self._fetch(index)
        held = self._blocks.get(index)
        if held and held.value.rows == block.rows:
            return replace(block, rows=held.value.rows)
        return block

    def _on_block_stored(self, _index: int, entry: Entry[Block]) -> None:
        self.generation += 1
        if self._telling is None or self._telling.sequence < entry.sequence:
            self._telling = entry
            blocks = -(-min(entry.value.total, self._max_orders) // BLOCK_SIZE)
            self._blocks.set_min_ttl(blocks / self._sweep_rate)

    @staticmethod
    def _wanted(start: int, stop: int, telling: Entry[Block] | None) -> list[int]:
        """The blocks that the window needs, as far as is known."""
        if telling is None:
            return [PROBE]
        needed = blocks_for_range(start, stop, telling.value.total)
        return list(needed) or [telling.value.index]

    @staticmethod
    def _lagging(
        basis: Sequence[Lookup[Block]], start: int, stop: int, telling: Entry[Block] | None
    ) -> list[int]:
        """The blocks that disagree with a later one, or end where the list goes on.

        The total that counts may be of no block here: it can be longer than these know, and also
        shorter, and then these know of orders in blocks that nobody has asked for.
        """
        entries = [served.entry for served in basis]
        found = outdated_blocks(entries)
        last = entries[-1].value
        total = telling.value.total if telling else last.total
        beyond = any(index > last.index for index in blocks_for_range(start, stop, last.total))
        if not found and (beyond or last.total < min(stop, total)):
            return [last.index]
        return found

    async def _gather(
        self, indexes: Sequence[int], ask: CacheDirective, until: float, since: float
    ) -> list[Lookup[Block]]:
        """All of them at once; the first error is raised when all have ended."""
        lookups = [
            self._blocks.get_or_fetch(
                index, self._fetch_block, ask, deadline=until, wait_started=since
            )
            for index in indexes
        ]
        outcomes = await asyncio.gather(*lookups, return_exceptions=True)
        served: list[Lookup[Block]] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            served.append(outcome)
        return served

    async def _look_again(
        self, lagging: Sequence[int], gathered: dict[int, Lookup[Block]], until: float, since: float
    ) -> bool:
        """Fetch the laggards again; False if that brought nothing new."""
        before = [gathered[index].entry for index in lagging]
        renewals = [
            self.refetch_block(entry, deadline=until, wait_started=since) for entry in before
        ]
        gathered.update(zip(lagging, await asyncio.gather(*renewals), strict=True))
        return any(
            gathered[index].entry.sequence > entry.sequence
            for index, entry in zip(lagging, before, strict=True)
        )

    def _cut(
        self, start: int, stop: int, basis: Sequence[Lookup[Block]], *, inconsistent: bool = False
    ) -> Window:
        total = latest([served.entry for served in basis]).value.total
        rows = tuple(slice_rows(start, stop, [served.entry.value for served in basis]))
        return Window(rows, total, inconsistent, tuple(basis))

    def _find(
        self, order_no: str, good: Callable[[Freshness], bool]
    ) -> tuple[Row, Entry[Block]] | None:
        holding = [
            (row, entry)
            for _, entry in self._blocks.items()
            if (row := entry.value.by_order_no.get(order_no))
            and good(self._blocks.freshness(entry))
        ]
        return max(holding, key=lambda held: held[1].sequence, default=None)
