"""One reading of the whole list: the blocks that are not fresh, a few at a time, until they agree.

Its calls are awaited while anybody waits for the list, and few at a time: whoever asks for a page
is soon next. While nobody waits they go behind all that are awaited.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from app.cache.grace_cache import Entry, Lookup, Outcome
from app.clock import Clock
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.snapshot import Snapshot, build_snapshot, find_outdated

MAX_CONSISTENCY_ATTEMPTS = 3
"""How often what lags is read again before the list is told as one that shifts."""


class CollectionTooLarge(Exception):
    """There are more orders than may be held."""


class SnapshotLoader:
    """A reading, from its start to its end.

    Args:
        book: the blocks.
        clock: the only source of time.
        concurrency: blocks that are asked for at once.
        max_orders: how many there may be.
        max_bytes: how much their blocks may weigh.
    """

    def __init__(
        self,
        book: OrderBook,
        clock: Clock,
        *,
        concurrency: int,
        max_orders: int,
        max_bytes: int,
    ) -> None:
        self._book = book
        self._clock = clock
        self._concurrency = concurrency
        self._max_orders = max_orders
        self._max_bytes = max_bytes
        self._started = clock.monotonic()
        self._gathered: dict[int, Entry[Block]] = {}
        self._weight = 0
        self.fetch_count = 0
        """Blocks that came from the upstream, and not from memory."""
        self.complete = False
        """Whether each block was gathered once; what goes on then is to have them agree."""

    async def load(self, before: Snapshot | None) -> Snapshot:
        """Read to the end; `before` is what was shared until now.

        Raises:
            CollectionTooLarge: there are more orders than may be held.
            UpstreamError: the upstream did not give a block.
        """
        looks = 0
        while True:
            wanted = self._wanted()
            missing = [index for index in wanted if index not in self._gathered]
            if missing:
                await self._with_hands(missing, self._refresh)
                continue
            self.complete = True
            generation = self._book.generation
            entries = [self._newest(index) for index in wanted]
            lagging = await self._lagging(entries, before)
            looks += 1
            if not lagging or looks > MAX_CONSISTENCY_ATTEMPTS or not await self._renew(lagging):
                return await build_snapshot(
                    entries, before, inconsistent=bool(lagging), generation=generation
                )

    async def from_cache(self) -> Snapshot | None:
        """The list as it is held, asking nobody; None where a block is missing."""
        for index in self._wanted():
            entry = self._book.cached_block(index)
            if entry is None:
                return None
            self._gathered[index] = entry
        generation = self._book.generation
        entries = list(self._gathered.values())
        lagging = await self._lagging(entries, None)
        return await build_snapshot(
            entries, None, inconsistent=bool(lagging), generation=generation
        )

    @property
    def progress(self) -> tuple[int, int]:
        """Orders that are gathered, and orders that there are, as far as is known."""
        held = sum(len(entry.value.rows) for entry in self._gathered.values())
        return held, max(held, self._book.total or 0)

    @property
    def seconds_left(self) -> float:
        """How long the rest will take, going by what it took so far."""
        left = len(self._book.block_indexes(self._gathered.values())) - len(self._gathered)
        return left * (self._clock.monotonic() - self._started) / max(self.fetch_count, 1)

    def _wanted(self) -> list[int]:
        self._refuse_too_many()
        return self._book.block_indexes(self._gathered.values())

    def _refuse_too_many(self) -> None:
        if (self._book.total or 0) > self._max_orders or self._weight > self._max_bytes:
            raise CollectionTooLarge

    async def _refresh(self, index: int) -> None:
        served = await self._book.fresh_block(index)
        self._weight += served.entry.value.size
        self._keep(served)
        self._refuse_too_many()

    async def _renew(self, lagging: Sequence[int]) -> bool:
        """Read again what lags; whether that brought anything new."""
        before = {index: self._gathered[index].sequence for index in lagging}

        async def renew(index: int) -> None:
            entry = self._gathered[index]
            self._keep(await self._book.refetch_block(entry))

        await self._with_hands(lagging, renew)
        return any(self._gathered[index].sequence > sequence for index, sequence in before.items())

    def _keep(self, served: Lookup[Block]) -> None:
        self._gathered[served.entry.value.index] = served.entry
        self.fetch_count += served.outcome in (Outcome.MISS, Outcome.COLLAPSED)

    def _newest(self, index: int) -> Entry[Block]:
        """What was gathered, or what came for a page since."""
        gathered, held = self._gathered[index], self._book.cached_block(index)
        if held and held.sequence > gathered.sequence:
            self._gathered[index] = held
        return self._gathered[index]

    async def _lagging(
        self, entries: Sequence[Entry[Block]], before: Snapshot | None
    ) -> Sequence[int]:
        telling = self._book.total_entry_for(self._gathered.values())
        total = telling.value.total if telling else None
        outdated = [entry.value.index for entry in entries if entry.value.total != total]
        return outdated or await find_outdated(entries, before)

    async def _with_hands(
        self, indexes: Iterable[int], work: Callable[[int], Coroutine[Any, Any, None]]
    ) -> None:
        """Do the work, a few at a time. After an error no more is begun; the first is raised."""
        pending = iter(indexes)
        errors: list[Exception] = []

        async def hand() -> None:
            for index in pending:
                try:
                    await work(index)
                except Exception as error:  # noqa: BLE001  raised below, when every hand is still
                    errors.append(error)
                if errors:
                    return

        await asyncio.gather(*(hand() for _ in range(self._concurrency)))
        if errors:
            raise errors[0].with_traceback(None)
