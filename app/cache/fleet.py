"""The processes that share a store: how many are running, and what reaches all of them.

Each process exchanges reports with the others four times a second. The same operation finds out
whether a store that was down works again.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from app.cache.pool_space import PoolSpace
from app.cache.store import Purge
from app.cache.store_access import BACKGROUND_BUDGET, MISS_BUDGET, StoreAccess, StoreUnavailable
from app.clock import Clock

EXCHANGE_SECONDS = 0.25
"""Seconds between two exchanges."""

DOWN_EXCHANGE_SECONDS = 1.0
"""Seconds between two exchanges while the store is down."""

_logger = logging.getLogger("orders_bff.store")


class Fleet:
    """This process as a member of those that share the store.

    Args:
        access: the store.
        space: the list that they share.
        clock: the only source of time.
        on_members: called with the number of running processes whenever it has changed. While the
            store is down it stays the last known one.
        on_purge: called when another process has purged the cache.

    Attributes:
        report: returns what to report to the other processes.
        on_reports: called with the reports of the others after each exchange.
        latest_sequence: returns the greatest number of a fetch that this process knows.
    """

    def __init__(
        self,
        access: StoreAccess,
        space: PoolSpace,
        clock: Clock,
        *,
        on_members: Callable[[int], None],
        on_purge: Callable[[Purge], object],
    ) -> None:
        self._access = access
        self._space = space
        self._clock = clock
        self._on_members = on_members
        self._on_purge = on_purge
        self._name = secrets.token_hex(8)
        self._members = 1
        self._purge: Purge | None = None
        self._is_new = self._is_first = True
        self._due_purge: bool | None = None
        self._is_purging = False
        self.report: Callable[[], bytes] = lambda: b""
        self.on_reports: Callable[[Mapping[str, bytes]], None] = lambda _: None
        self.latest_sequence: Callable[[], int] = lambda: 0

    @property
    def members(self) -> int:
        """How many processes are running, as far as is known."""
        return self._members

    async def run(self) -> None:
        """Exchange reports until cancelled."""
        while True:
            self._access.check()
            await self.exchange(budget=BACKGROUND_BUDGET)
            is_down = self._access.is_down
            await self._clock.sleep(DOWN_EXCHANGE_SECONDS if is_down else EXCHANGE_SECONDS)

    async def join(self) -> None:
        """Exchange reports now, if there was no exchange yet: the share of the rate depends on it.

        Waits for it like a caller for whom nothing is cached, and only the first time.
        """
        if self._is_new:
            self._is_new = False
            await self.exchange(budget=MISS_BUDGET)

    async def exchange(self, *, budget: float) -> None:
        """Exchange reports once, if the pool is known and the store works."""
        if self._space.known is None and self._access.is_down:
            with suppress(StoreUnavailable):
                await self._space.find(is_probe=True)
        if self._space.known is None:
            return
        store = self._access.store
        operation = partial(store.exchange, self._space.known, self._name, self.report())
        try:
            found = await self._access.run(operation, caller_budget=budget, is_probe=True)
        except StoreUnavailable:
            return
        if found.members != self._members:
            self._members = found.members
            self._on_members(found.members)
        self._start_purge()
        if not self._is_purging:
            if found.purge and found.purge != self._purge and not self._is_first:
                _logger.info("cache_purged", extra={"fields": {"drop": found.purge.drop}})
                self._on_purge(found.purge)
            self._purge, self._is_first = found.purge, False
        self.on_reports(found.reports)

    def purge(self, *, drop: bool) -> None:
        """Purge the stored values, and what every other process has cached.

        Does not wait for it. If the store is down it is done when it works again.
        """
        self._due_purge = drop or self._due_purge or False
        self._start_purge()

    def _start_purge(self) -> None:
        if self._space.known and self._due_purge is not None and not self._is_purging:
            self._access.start(partial(self._purge_store, self._space.known, self._due_purge))

    async def _purge_store(self, space: str, drop: bool) -> None:
        self._is_purging = True
        try:
            number = await self._access.store.purge(
                space, drop=drop, latest_sequence=self.latest_sequence()
            )
        finally:
            self._is_purging = False
        self._purge, self._due_purge = Purge(number, drop), None
