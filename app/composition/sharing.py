"""Connects the caches of this process with the store that it shares with others, if it has one.

The store's client is imported only if a store is configured.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from app.cache.fleet import Fleet
from app.cache.grace_cache import GraceCache
from app.cache.pool_space import PoolSpace
from app.cache.shared_cache import SharedCache
from app.cache.shared_values import SharedValues
from app.cache.store import Store
from app.cache.store_access import StoreAccess
from app.cache.unreadable import UnreadableValues
from app.clock import Clock
from app.daemon_thread import RunInThread
from app.edge.caller_limits import CallerLimits
from app.edge.shared_limits import Consumption, SharedLimits
from app.operations.schema import StoreState
from app.orders.block_codec import decode_block, encode_block
from app.orders.blocks import Block, number_of_blocks
from app.orders.book import PROBE_BLOCK, OrderBook
from app.orders.changes import History
from app.orders.shared_history import SharedHistory
from app.orders.totals import TotalConfirmation
from app.settings import Settings
from app.upstream.client import UpstreamClient


def open_store(url: str, clock: Clock, run_in_thread: RunInThread) -> Store:
    """Return the store at a URL; it connects when it is first used."""
    if url.startswith("sqlite:"):
        from app.cache.sqlite_store import SqliteStore  # noqa: PLC0415  only if configured

        return SqliteStore(Path(unquote(urlsplit(url).path)), clock, run_in_thread)
    from app.cache.redis_store import RedisStore  # noqa: PLC0415  takes a while to import

    return RedisStore(url)


class _Report(msgspec.Struct, frozen=True):
    """What a process reports to those that share the store.

    Attributes:
        blocks: how many blocks it has cached.
        consumption: what its callers have consumed of their limits.
    """

    blocks: int = 0
    consumption: Consumption = Consumption()


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(_Report).decode


class NoSharing:
    """A process by itself: nothing is shared.

    Attributes:
        new_cache: creates the cache of blocks, with the arguments of `GraceCache`.
        history: the states of the list.
        restore: caches the stored blocks; None if there is no store.
        unreadable: how many stored values could not be read, by kind.
        on_purge: called with whether to remove what is cached, when another process has purged it.
    """

    new_cache: Callable[..., GraceCache[Any, Block]] = GraceCache
    history: History
    restore: Callable[[], Coroutine[Any, Any, None]] | None = None
    on_purge: Callable[[bool], object] = staticmethod(lambda _: None)

    def __init__(self) -> None:
        self.history = History()
        self.unreadable = Counter[str]()

    def share_limits(self, limits: CallerLimits) -> CallerLimits:
        """Return the limits of callers, which count for all processes from now on."""
        return limits

    def connect(self, book: OrderBook, totals: TotalConfirmation) -> None:
        """Let the order book adopt the blocks that other processes have fetched."""

    def purge(self, drop: bool) -> None:
        """Purge what is stored, and let the other processes purge what they have cached."""

    def state(self) -> StoreState:
        """Return the state of the store."""
        return StoreState(kind="memory")

    def start(self) -> None:
        """Exchange reports with the other processes from now on."""

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for operations of the store, and close it."""


class Sharing(NoSharing):
    """The order list of one pool in a shared store.

    Attributes:
        access: the store.
        fleet: the processes that share it.
    """

    def __init__(
        self, settings: Settings, store: Store, kind: str, client: UpstreamClient, clock: Clock
    ) -> None:
        upstream = settings.upstream
        key_id = upstream.access_key_id.get_secret_value()

        async def request_pool() -> None:
            await client.authorize(deadline=clock.monotonic() + upstream.deadline)

        self._settings = settings
        self._kind = kind
        self._clock = clock
        unreadable = UnreadableValues(clock)
        self.unreadable = unreadable.counts
        self.access = StoreAccess(store, clock)
        store.on_unreadable = unreadable.report
        self._space = PoolSpace(
            self.access,
            self._clock,
            base_url=upstream.base_url,
            access_key_id=key_id,
            # A signature names no pool, but its access key is for one.
            pool_id=f"key {key_id}" if upstream.auth == "signature" else upstream.pool_id,
            part=upstream.timezone,
            current_pool=lambda: client.credential.pool_id,
            request_pool=request_pool,
            on_change=lambda: self.on_purge(True),
        )
        self.fleet = Fleet(
            self.access,
            self._space,
            clock,
            on_members=client.admission.set_processes,
            on_purge=lambda purge: self.on_purge(purge.drop),
        )
        self._values = SharedValues(
            self.access,
            _JoiningSpace(self._space, self.fleet),
            clock,
            kind="block",
            encode=encode_block,
            decode=decode_block,
            max_wait=upstream.deadline,
        )
        cache = settings.cache
        self.history = SharedHistory(
            self.access, self._space, clock, lifetime=cache.ttl + cache.stale_if_error
        )
        self.new_cache = self._new_cache
        self.restore = self._restore

    def connect(self, book: OrderBook, totals: TotalConfirmation) -> None:
        def adopt(block: Block) -> Block:
            totals.accept(block.total)
            return book.reuse_rows(block)

        self._blocks.on_adopt = adopt
        self._book = book
        self.fleet.report = self._report
        self.fleet.on_reports = self._on_reports
        self.fleet.latest_sequence = lambda: self._blocks.latest_sequence

    def share_limits(self, limits: CallerLimits) -> CallerLimits:
        self._limits = SharedLimits(limits.limiters)
        return limits

    def _report(self) -> bytes:
        now = self._clock.monotonic()
        return _encode(_Report(len(self._book.blocks), self._limits.report(now)))

    def _on_reports(self, reports: Mapping[str, bytes]) -> None:
        decoded: dict[str, _Report] = {}
        for process, report in reports.items():
            try:
                decoded[process] = _decode(report)
            except msgspec.MsgspecError:
                self.access.store.on_unreadable("reports")
        # A list of which another process has more blocks is as fresh as that one keeps it.
        blocks = max((report.blocks for report in decoded.values()), default=0)
        self._book.blocks_elsewhere = blocks
        consumptions = {process: report.consumption for process, report in decoded.items()}
        self._limits.apply(consumptions, self._clock.monotonic())

    def _new_cache(self, *args: Any, **kwargs: Any) -> SharedCache[Block]:
        self._blocks = SharedCache(*args, **kwargs, values=self._values)
        return self._blocks

    async def _restore(self) -> None:
        if await self._blocks.load([PROBE_BLOCK]):
            total = min(self._book.total or 0, self._settings.cache.max_orders)
            await self._blocks.load(range(number_of_blocks(total)))

    def purge(self, drop: bool) -> None:
        self.fleet.purge(drop=drop)

    def state(self) -> StoreState:
        return StoreState(kind=self._kind, up=not self.access.is_down, processes=self.fleet.members)

    def start(self) -> None:
        self._exchanges = asyncio.create_task(self.fleet.run())

    async def close(self, timeout: float) -> None:
        self._exchanges.cancel()
        await asyncio.wait([self._exchanges])
        await self.access.close(timeout)


class _JoiningSpace:
    """The space of a pool. Whoever needs it first lets the process join the fleet."""

    def __init__(self, space: PoolSpace, fleet: Fleet) -> None:
        self._space = space
        self._fleet = fleet

    async def find(self) -> str:
        space = await self._space.find()
        await self._fleet.join()
        return space

    async def require(self) -> str:
        space = await self._space.require()
        await self._fleet.join()
        return space


def create_sharing(
    settings: Settings, client: UpstreamClient, clock: Clock, run_in_thread: RunInThread
) -> NoSharing:
    """Return what connects the caches with the configured store, if there is one."""
    if settings.cache.url is None:
        return NoSharing()
    url = settings.cache.url.get_secret_value()
    kind = "sqlite" if url.startswith("sqlite:") else "redis"
    return Sharing(settings, open_store(url, clock, run_in_thread), kind, client, clock)
