"""Purges everything that is cached of the order list.

The states that `/v1/orders/changes` compares are kept, so that cursors stay valid and no order is
reported as created or removed because of a purge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.cache.grace_cache import GraceCache
from app.clock import Clock
from app.orders.response_cache import ResponseCache
from app.orders.snapshot_cache import SnapshotCache


class PurgedRecently(Exception):
    """The last purge is too recent; the next one is possible in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the next purge is possible in {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class PurgeCounts:
    """How many entries of each kind were expired or removed."""

    blocks: int
    orders: int
    snapshots: int
    responses: int


class CachePurge:
    """Purges the caches, at most once in `min_interval` seconds.

    Args:
        blocks: the blocks of the order book.
        orders: single orders.
        snapshots: the whole list.
        responses: rendered responses.
        on_purge: called after a purge with whether what was cached is removed. It purges what
            processes share.

    Attributes:
        purged_at: when the last purge was, None if there was none.
        on_drop: called when what is cached is removed, for what is kept of responses elsewhere.
    """

    def __init__(
        self,
        blocks: GraceCache[Any, Any],
        orders: GraceCache[Any, Any],
        snapshots: SnapshotCache,
        responses: ResponseCache,
        clock: Clock,
        *,
        min_interval: float,
        on_purge: Callable[[bool], object] = lambda _: None,
    ) -> None:
        self._blocks = blocks
        self._orders = orders
        self._snapshots = snapshots
        self._responses = responses
        self._clock = clock
        self._min_interval = min_interval
        self._on_purge = on_purge
        self._next_at = clock.monotonic()
        self.purged_at: datetime | None = None
        self.on_drop: Callable[[], object] = lambda: None

    def purge(self, *, drop: bool) -> PurgeCounts:
        """Expire everything that is cached; with `drop`, remove it.

        Raises:
            PurgedRecently: the last purge is less than `min_interval` ago.
        """
        seconds = self._next_at - self._clock.monotonic()
        if seconds > 0:
            raise PurgedRecently(seconds)
        counts = self.apply(drop=drop)
        self._on_purge(drop)
        return counts

    def apply(self, *, drop: bool) -> PurgeCounts:
        """Expire or remove what this process has cached, whenever the last purge was.

        It counts as a purge: another process may have made it.
        """
        self.purged_at = self._clock.now()
        self._next_at = self._clock.monotonic() + self._min_interval
        if drop:
            self.on_drop()
        # Blocks first: the snapshot and the responses are as fresh as the blocks.
        return PurgeCounts(
            blocks=self._blocks.purge(drop=drop),
            orders=self._orders.purge(drop=drop),
            snapshots=self._snapshots.purge(drop=drop),
            responses=self._responses.clear() if drop else len(self._responses),
        )
