"""The components of the proxy that read the list, used in the same way as its routes use them."""

import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from app.cache.freshness import Freshness
from app.cache.grace_cache import Entry
from app.clock import Clock
from app.orders.blocks import Block
from app.orders.changes import Change
from app.orders.mapping import Row
from tests.simulation.components import Components
from tests.simulation.plan import Settings

REFRESH_RATE = 5.0
MAX_ORDERS = 100_000
POLL_WHILE_REFRESHING = 2.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A page or an export.

    Attributes:
        blocks: the cached blocks that it is based on.
    """

    rows: tuple[Row, ...]
    total: int
    inconsistent: bool
    blocks: tuple[Entry[Block], ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class ChangesReading:
    """The changes since a cursor.

    Attributes:
        poll_after: seconds until the next poll.
    """

    changes: Sequence[Change]
    cursor: str
    poll_after: float


class Proxy:
    """The order book, the snapshot cache and the history of changes of one world."""

    def __init__(
        self,
        settings: Settings,
        components: Components,
        clock: Clock,
        fetch_block: Callable[[int], Coroutine[Any, Any, Block]],
    ) -> None:
        self._clock = clock
        self.blocks = components.make_block_cache(settings, clock)
        confirmation = components.confirmation(fetch_block, lambda _: None, max_orders=MAX_ORDERS)
        self.book = components.book(
            self.blocks,
            confirmation.fetch_block,
            clock,
            deadline=settings.deadline,
            refresh_rate=REFRESH_RATE,
            max_orders=MAX_ORDERS,
        )
        self._changes = components.change_history()
        self._snapshots = components.make_snapshot_cache(
            settings, clock, self.book, on_loaded=self._changes.record
        )

    async def page(self, start: int, stop: int) -> Reading:
        """Return the orders at positions `start` to `stop`."""
        window = await self.book.window(start, stop)
        blocks = tuple(lookup.entry for lookup in window.lookups)
        return Reading(window.rows, window.total, window.inconsistent, blocks)

    async def export(self) -> Reading:
        """Return all orders."""
        snapshot, _ = await self._snapshots.get()
        await self._changes.record(snapshot)
        rows = snapshot.content.rows
        cursor = "" if snapshot.inconsistent else self._changes.cursor_of(snapshot)
        return Reading(rows, len(rows), snapshot.inconsistent, snapshot.blocks, cursor)

    async def changes(self, since: str) -> ChangesReading:
        """Return what changed since a cursor; with an empty one, only the current cursor."""
        snapshot, lookup = await self._snapshots.get()
        await self._changes.record(snapshot)
        cursor = self._changes.cursor
        if lookup.freshness is Freshness.FRESH:
            age = self._clock.monotonic() - lookup.entry.fetched_at
            poll_after = max(math.ceil(lookup.ttl - age), 1.0)
        else:
            poll_after = POLL_WHILE_REFRESHING
        return ChangesReading(self._changes.since(since or cursor), cursor, poll_after)

    def purge(self, *, drop: bool) -> None:
        """Purge the cache, in the same order as the route."""
        self.blocks.purge(drop=drop)
        self._snapshots.purge(drop=drop)

    async def close(self) -> None:
        """End what is in progress."""
        await self._snapshots.close(5.0)
        await self.blocks.close(5.0)
