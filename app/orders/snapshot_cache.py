"""Caches one snapshot of the whole order list: when to serve, load and replace it, in one file.

All requests that need every order share it. A snapshot is complete or there is none. It is served
until its blocks are stale, or until one of them changes; then it is loaded again in the background.
Fresh blocks are not fetched for that. A load goes on when no caller waits for it any more.

One reading never removes an order: a snapshot that lacks an order of an earlier one is inconsistent
until a second reading, all of which was requested after that was noticed, lacks it too.
"""

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from msgspec import structs

from app.backoff import BackoffPolicy, Failure, exponential_backoff
from app.cache.freshness import CacheDirective, Freshness
from app.cache.grace_cache import CachedLookup, Entry, Lookup, NotInCache, Outcome, WaitTimeout
from app.clock import Clock
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.compute import free_gradually
from app.orders.mapping import Row
from app.orders.snapshot import Snapshot, renew
from app.orders.snapshot_loader import Progress, SnapshotLoader
from app.single_flight import Flight, SingleFlight

_logger = logging.getLogger("orders_bff.orders")

INCONSISTENT_BACKOFF = 1.0
"""Seconds for which a contradictory list is not loaded again."""

MAX_RETRY_AFTER = 2.0
"""Most seconds after which a caller should ask again for a list that is loading."""

_KEY = "list"


class SnapshotLookup(NamedTuple):
    """A snapshot, and how it was looked up, as a lookup of its oldest block."""

    snapshot: Snapshot
    lookup: Lookup[Block]


class _Loaded(NamedTuple):
    snapshot: Snapshot
    fetched: bool
    """Whether any block was fetched."""


class ListLoading(Exception):
    """The deadline has passed before all blocks are loaded. The load goes on.

    `retry_after` is the estimated number of seconds until all are loaded, at most
    `MAX_RETRY_AFTER`: a caller that asks again sees the progress.
    """

    def __init__(self, progress: Progress, retry_after: float) -> None:
        super().__init__(f"{progress.loaded} of {progress.total} orders are loaded")
        self.progress = progress
        self.retry_after = retry_after


async def _confirm(_: Snapshot) -> bool:
    return True


class SnapshotCache:
    """The latest snapshot of the list, and the load in progress.

    Args:
        deadline: seconds that a caller waits at most if there is no snapshot to serve.
        max_stale_wait: seconds that a caller waits at most if there is one.
        backoff: for how long a failed load is not repeated.
        on_loaded: called with each snapshot before it is served; returns whether all orders that
            it lacks are known to have been removed.
        restore: caches the blocks that other processes have stored, if there is a store.
    """

    def __init__(
        self,
        book: OrderBook,
        clock: Clock,
        new_loader: Callable[[], SnapshotLoader],
        *,
        deadline: float,
        max_stale_wait: float,
        backoff: BackoffPolicy = exponential_backoff,
        on_loaded: Callable[[Snapshot], Coroutine[Any, Any, bool]] = _confirm,
        restore: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._book = book
        self._clock = clock
        self._new_loader = new_loader
        self._deadline = deadline
        self._max_stale_wait = max_stale_wait
        self._backoff = backoff
        self._on_loaded = on_loaded
        self._restore = restore
        self._snapshot: Snapshot | None = None
        self._flights: SingleFlight[str, _Loaded] = SingleFlight(clock)
        self._assembly: SingleFlight[str, Snapshot | None] = SingleFlight(clock)
        self._loader = self._new_loader()
        self._failure: Failure | None = None
        self._reload_at = clock.monotonic()
        self._renewed_at = 0
        self._contradiction_logged = False
        self._own_revision = 0

    @property
    def revision(self) -> int:
        """A number that grows whenever an answer may change other than by time."""
        return self._own_revision + self._book.blocks.revision

    async def get(self, directive: CacheDirective = CacheDirective.DEFAULT) -> SnapshotLookup:
        """Return the snapshot.

        Of `directive` only `only_if_cached` and `stale_if_error` have an effect: the others would
        cost a call per block.

        Raises:
            ListTooLarge: the list exceeds the limits.
            ListLoading: nothing can be served, and the deadline has passed.
            NotInCache: `directive` has `only_if_cached`, and not all blocks are cached.
            UpstreamError: nothing can be served, and fetching a block failed.
        """
        snapshot = await self._cached_once()
        if directive.only_if_cached:
            if snapshot is None:
                raise NotInCache
            return self._serve(snapshot)
        if snapshot is None:
            return await self._load_and_wait()
        if self._is_settled(snapshot) and self.is_current(
            snapshot.generation, snapshot.oldest_block.fetched_at
        ):
            return self._serve(snapshot)
        if not self._has_fallback(snapshot, directive):
            return await self._load_and_wait("stale")
        return await self._reload_or_serve(snapshot)

    def is_current(self, generation: int, fetched_at: float) -> bool:
        """Return whether a snapshot of that generation and oldest block is the latest and fresh."""
        return (
            generation == self._book.generation
            and self._book.blocks.freshness_at(fetched_at) is Freshness.FRESH
        )

    def lookups_without_load(
        self, generation: int, fetched_at: float
    ) -> tuple[CachedLookup[Any]] | None:
        """Return how `get` answers from a snapshot of that generation and oldest block.

        None if it would load the list or wait now, or would answer from another snapshot. A
        response over the list is used for as long as it is fresh, also after a newer snapshot with
        the same orders.
        """
        blocks, snapshot, now = self._book.blocks, self._snapshot, self._clock.monotonic()
        until = blocks.next_change(fetched_at)
        if self.is_current(generation, fetched_at):
            entry = Entry(None, fetched_at, sequence=0)
            return (CachedLookup(Lookup(entry, Freshness.FRESH, Outcome.HIT, blocks.ttl), until),)
        if snapshot is None or self._will_renew(snapshot):
            return None
        freshness = self._freshness(snapshot)
        is_other = (snapshot.generation, snapshot.oldest_block.fetched_at) != (
            generation,
            fetched_at,
        )
        if is_other or freshness is Freshness.EXPIRED:
            return None
        if now < self._reload_at:
            until = min(until, self._reload_at)
        else:
            is_loading = self._flights.get(_KEY) is not None
            if not (is_loading and freshness is Freshness.STALE and self._is_settled(snapshot)):
                return None
        return (CachedLookup(self._serve(snapshot).lookup, until),)

    @property
    def latest(self) -> Snapshot | None:
        """The snapshot that is cached, which may have expired."""
        return self._snapshot

    def purge(self, *, drop: bool = False) -> int:
        """Return how many snapshots are cached; with `drop`, remove it.

        The blocks must have been purged before: the snapshot is as fresh as they are. A load in
        progress answers those who wait for it, but is neither stored nor joined any more.
        """
        count = int(self._snapshot is not None)
        if drop:
            self._snapshot = None
        self._loader = self._new_loader()
        self._flights.detach_all()
        self._assembly.detach_all()
        if self._failure is None:
            self._reload_at = self._clock.monotonic()
        self._own_revision += 1
        return count

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for a load to end, then cancel it."""
        await self._flights.close(timeout)
        await self._assembly.close(0)

    async def _cached_once(self) -> Snapshot | None:
        """Return `_cached()`. Concurrent callers share the work if there is no snapshot yet."""
        if self._snapshot and self._freshness(self._snapshot) is not Freshness.EXPIRED:
            return await self._cached()
        flight = self._assembly.get(_KEY) or self._assembly.launch(_KEY, self._cached)
        await flight.wait()
        error = flight.task.exception()
        if error:
            raise error.with_traceback(None)
        return flight.task.result()

    async def _cached(self) -> Snapshot | None:
        """Return the snapshot, or one of the cached blocks if those are complete."""
        if self._snapshot and self._freshness(self._snapshot) is Freshness.EXPIRED:
            self._snapshot = None
        # While a load fetches missing blocks, the cached ones cannot be complete.
        loading = self._flights.get(_KEY) is not None and not self._loader.all_blocks_loaded
        if self._snapshot is None and not loading:
            self._adopt(await self._cached_blocks())
        elif self._snapshot:
            await self._renew(self._snapshot)
        return self._snapshot

    async def _cached_blocks(self) -> Snapshot | None:
        if self._restore:
            await self._restore()
        snapshot = await self._new_loader().from_cache()
        return await self._confirmed(snapshot) if snapshot else None

    def _adopt(self, snapshot: Snapshot | None) -> None:
        # A load may have ended while the cached blocks were compared: its snapshot is newer.
        self._snapshot = self._snapshot or snapshot

    async def _renew(self, snapshot: Snapshot) -> None:
        """Replace the blocks of the snapshot by those fetched since, if nothing has changed."""
        if not self._will_renew(snapshot):
            return
        self._renewed_at = self._book.fetch_count
        entries = self._book.epochs.first_entries(len(snapshot.blocks))
        if entries is None or tuple(entries) == snapshot.blocks:
            return
        renewed = renew(
            snapshot,
            entries,
            contradictory=any(map(self._book.epochs.must_be_fetched, entries)),
            completed_at=self._book.blocks.latest_sequence,
        )
        if snapshot.lacks_orders:
            renewed = await self._confirmed(renewed)
        # A load may have ended meanwhile: its snapshot is newer.
        self._snapshot = renewed if self._snapshot is snapshot else self._snapshot

    def _will_renew(self, snapshot: Snapshot) -> bool:
        """Return whether blocks were fetched since the snapshot was renewed, and are unchanged."""
        is_unchanged = snapshot.generation == self._book.generation
        return is_unchanged and self._renewed_at != self._book.fetch_count

    async def _confirmed(self, snapshot: Snapshot) -> Snapshot:
        is_confirmed = await self._on_loaded(snapshot)
        return replace(snapshot, lacks_orders=not is_confirmed)

    def _has_fallback(self, snapshot: Snapshot, directive: CacheDirective) -> bool:
        """Return whether the caller accepts the snapshot if loading it again fails, or has failed.

        One that is only stale is not a fallback, unless the last load failed.
        """
        if self._failure is None and self._freshness(snapshot) is not Freshness.STALE_IF_ERROR:
            return True
        age = self._clock.monotonic() - snapshot.oldest_block.fetched_at
        return directive.accepts_after_failure(age - self._book.blocks.ttl)

    async def _load_and_wait(self, reason: str = "uri-miss") -> SnapshotLookup:
        now = self._clock.monotonic()
        if self._failure and self._failure.is_backing_off(now):
            raise self._failure.error_at(now)
        flight, outcome = self._join_or_launch()
        if not await flight.wait(self._deadline):
            retry_after = min(self._loader.seconds_left, MAX_RETRY_AFTER)
            raise ListLoading(self._loader.progress, retry_after)
        error = flight.task.exception()
        if error:
            now = self._clock.monotonic()
            raise self._failure.error_at(now) if self._failure else error.with_traceback(None)
        return self._lookup(flight.task.result().snapshot, outcome, reason)

    async def _reload_or_serve(self, snapshot: Snapshot) -> SnapshotLookup:
        """Load the list again; serve the snapshot if it is only stale, or if there is no better."""
        if self._clock.monotonic() < self._reload_at:
            return self._serve(snapshot)
        flight, outcome = self._join_or_launch()
        if self._freshness(snapshot) is Freshness.STALE and self._is_settled(snapshot):
            return self._serve(snapshot)
        if not await flight.wait(self._max_stale_wait):
            return self._serve(snapshot, WaitTimeout())
        if flight.task.exception():
            return self._serve(snapshot, self._failure.error if self._failure else WaitTimeout())
        loaded = flight.task.result()
        if not loaded.fetched:
            return self._serve(loaded.snapshot)
        return self._lookup(loaded.snapshot, outcome, "stale")

    def _serve(self, snapshot: Snapshot, error: Exception | None = None) -> SnapshotLookup:
        """Return the snapshot without a fetch, or in place of a load that failed with `error`."""
        freshness = self._freshness(snapshot)
        if freshness is Freshness.FRESH and snapshot.generation != self._book.generation:
            # A block has changed since, and nothing was loaded that includes the change.
            freshness = Freshness.STALE
        if error:
            outcome = Outcome.STALE_IF_ERROR
        else:
            outcome = Outcome.HIT if freshness is Freshness.FRESH else Outcome.STALE_HIT
        return self._lookup(snapshot, outcome, "stale", freshness=freshness, error=error)

    def _lookup(
        self,
        snapshot: Snapshot,
        outcome: Outcome,
        reason: str,
        *,
        freshness: Freshness | None = None,
        error: Exception | None = None,
    ) -> SnapshotLookup:
        freshness = freshness or self._freshness(snapshot)
        if freshness is Freshness.EXPIRED:
            freshness = Freshness.STALE_IF_ERROR  # it expired during the load
        if error is None and self._failure and freshness is not Freshness.FRESH:
            error = self._failure.error
        # The oldest block is marked so that it is not fresher than the snapshot.
        oldest = structs.replace(snapshot.oldest_block, outdated=freshness is not Freshness.FRESH)
        lookup = Lookup(oldest, freshness, outcome, self._book.blocks.ttl, reason, error)
        return SnapshotLookup(snapshot, lookup)

    def _freshness(self, snapshot: Snapshot) -> Freshness:
        """Return the freshness of the oldest block; while loading again may help it is stale."""
        freshness = self._book.blocks.freshness_at(snapshot.oldest_block.fetched_at)
        if freshness is Freshness.FRESH and not self._is_settled(snapshot):
            return Freshness.STALE
        return freshness

    def _is_settled(self, snapshot: Snapshot) -> bool:
        return not snapshot.contradictory or self._book.epochs.contradicts_for_good

    def _join_or_launch(self) -> tuple[Flight[_Loaded], Outcome]:
        flight = self._flights.get(_KEY)
        if flight:
            return flight, Outcome.COLLAPSED
        self._loader = self._new_loader()
        self._own_revision += 1
        return self._flights.launch(_KEY, partial(self._load, self._loader)), Outcome.MISS

    async def _load(self, loader: SnapshotLoader) -> _Loaded:
        """Load the list, and cache the snapshot unless the cache was purged meanwhile."""
        try:
            snapshot = await loader.load(self._snapshot)
        except Exception as error:
            if loader is not self._loader:
                raise
            now = self._clock.monotonic()
            self._failure = Failure.after(self._failure, error, now, self._backoff)
            self._reload_at = self._failure.retry_at
            self._own_revision += 1
            raise
        snapshot = await self._confirmed(snapshot)
        if loader is not self._loader:
            return _Loaded(snapshot, loader.fetch_count > 0)
        former_rows = self._former_rows(snapshot)
        self._snapshot = snapshot
        self._own_revision += 1
        self._failure = None
        # The loader has fetched the outdated blocks again already.
        backoff = INCONSISTENT_BACKOFF if snapshot.contradictory else 0.0
        self._reload_at = self._clock.monotonic() + backoff
        self._report_contradiction(snapshot)
        await free_gradually(former_rows)
        return _Loaded(snapshot, loader.fetch_count > 0)

    def _former_rows(self, snapshot: Snapshot) -> list[Row]:
        """Return the rows of the present snapshot, none if it has the content of `snapshot`."""
        former = self._snapshot
        if former is None or former.content is snapshot.content:
            return []
        return list(former.content.rows)

    def _report_contradiction(self, snapshot: Snapshot) -> None:
        """Log once that the list contradicts itself for good, and once that it no longer does."""
        epochs = self._book.epochs
        epochs.contradicts_for_good &= snapshot.contradictory
        fields = {"orders": len(snapshot.content.rows), "blocks": len(snapshot.blocks)}
        if epochs.contradicts_for_good and not self._contradiction_logged:
            self._contradiction_logged = True
            _logger.warning("list_contradicts_itself", extra={"fields": fields})
        elif self._contradiction_logged and not snapshot.contradictory:
            self._contradiction_logged = False
            _logger.info("list_consistent", extra={"fields": fields})
