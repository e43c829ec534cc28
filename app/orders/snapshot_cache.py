"""The whole list, read once and shared by everybody whose question needs all of it. Knows no HTTP.

It is all or nothing. What is shared stands until its blocks are stale, or until a block says
something else; then it is read again behind, the blocks that are fresh left in peace, and those who
ask meanwhile get what there was. A reading belongs to the group: it goes on when nobody waits.
"""

import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from app.backoff import BackoffPolicy, Failure, exponential_backoff
from app.cache.freshness import Freshness
from app.cache.grace_cache import Lookup, NotInCache, Outcome, WaitTimeout
from app.cache.policy import CacheDirective
from app.clock import Clock
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.snapshot import Snapshot
from app.orders.snapshot_loader import SnapshotLoader
from app.single_flight import Flight, SingleFlight

LIST = "list"
INCONSISTENT_BACKOFF = 1.0
"""Seconds not to read again a list that shifts."""

SnapshotLookup = tuple[Snapshot, Lookup[Block]]
"""The list, and how it came about, told of its oldest block."""


class CollectionLoading(Exception):
    """The caller's time is over and not all blocks are held; the reading goes on.

    Attributes:
        progress: orders that are held, and orders that there are.
        retry_after: seconds that the rest will take.
    """

    def __init__(self, progress: tuple[int, int], retry_after: float) -> None:
        super().__init__(f"{progress[0]} of {progress[1]} orders are read")
        self.progress = progress
        self.retry_after = retry_after

    @classmethod
    def of_shifting(cls, orders: int) -> "CollectionLoading":
        """All is held, but its parts disagree: it will be read again in a moment."""
        return cls((orders, orders), INCONSISTENT_BACKOFF)


async def _noop(_: Snapshot) -> None: ...


class SnapshotCache:
    """The whole list.

    Args:
        book: the blocks.
        clock: the only source of time.
        new_loader: makes a loader for one load.
        deadline: seconds that one caller waits at most.
        max_stale_wait: seconds that a caller waits at most if there is a snapshot to serve.
        backoff: for how long a failed load is not repeated.
        on_loaded: called with each snapshot that was loaded.
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
        on_loaded: Callable[[Snapshot], Coroutine[Any, Any, None]] = _noop,
    ) -> None:
        self._book = book
        self._clock = clock
        self._new_loader = new_loader
        self._deadline = deadline
        self._max_stale_wait = max_stale_wait
        self._backoff = backoff
        self._on_loaded = on_loaded
        self._whole: Snapshot | None = None
        self._flights: SingleFlight[str, tuple[Snapshot, bool]] = SingleFlight(clock)
        self._loader = new_loader()
        self._failure: Failure | None = None
        self._reload_at = -math.inf

    async def get(self, ask: CacheDirective = CacheDirective.DEFAULT) -> SnapshotLookup:
        """The list. `no-cache` asks for nothing more here: it would cost a call a block.

        Raises:
            CollectionTooLarge: there are more orders than may be held.
            CollectionLoading: not all is held, and the deadline is over.
            NotInCache: only what is held was wanted, and not all is.
            UpstreamError: not all is held, and the upstream did not give it.
        """
        held = await self._held()
        if ask is CacheDirective.ONLY_IF_CACHED:
            if held is None:
                raise NotInCache
            return self._as_it_is(held)
        if held is None:
            return await self._read_to_the_end()
        if held.inconsistent or not self.is_current(held.generation, held.oldest_block.fetched_at):
            return await self._read_or_serve(held)
        return self._as_it_is(held)

    def is_current(self, generation: int, asked: float) -> bool:
        """Whether a list of that generation, whose oldest block was asked for then, is fresh."""
        return (
            generation == self._book.generation
            and self._book.freshness_at(asked) is Freshness.FRESH
        )

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for a load to end, then cancel it."""
        await self._flights.close(timeout)

    async def _held(self) -> Snapshot | None:
        """What is shared; else what the blocks that are held happen to tell."""
        if self._whole and self._judge(self._whole) is Freshness.EXPIRED:
            self._whole = None
        # While blocks are missing nothing is held; who only waits for them to agree has something.
        loading = self._flights.get(LIST) is not None and not self._loader.complete
        if self._whole is None and not loading:
            self._share(await self._new_loader().from_cache())
        return self._whole

    def _share(self, found: Snapshot | None) -> None:
        # A reading may have come to its end while we looked.
        if self._whole is None:
            self._whole = found

    async def _read_to_the_end(self) -> SnapshotLookup:
        now = self._clock.monotonic()
        if self._failure and self._failure.is_backing_off(now):
            raise self._failure.error_at(now)
        flight, how = self._join_or_launch()
        if not await flight.wait(self._deadline):
            raise CollectionLoading(self._loader.progress, self._loader.seconds_left)
        if self._failure:
            raise self._failure.error_at(self._clock.monotonic())
        whole, _ = flight.result()
        return _told(whole, self._judge(whole), how, self._book.ttl, reason="uri-miss")

    async def _read_or_serve(self, held: Snapshot) -> SnapshotLookup:
        if self._is_backing_off():
            return self._as_it_is(held)
        flight, how = self._join_or_launch()
        if self._judge(held) is Freshness.STALE:
            return self._as_it_is(held)
        if not await flight.wait(min(self._max_stale_wait, self._deadline)):
            return self._as_it_is(held, WaitTimeout())
        failure = flight.exception()
        if failure:
            return self._as_it_is(held, failure)
        whole, asked = flight.result()
        return _told(
            whole, self._judge(whole), how if asked else Outcome.HIT, self._book.ttl, reason="stale"
        )

    def _as_it_is(self, held: Snapshot, failure: BaseException | None = None) -> SnapshotLookup:
        freshness = self._judge(held)
        if freshness is Freshness.FRESH and held.generation != self._book.generation:
            # A newer block says something else, and there was no time to see what.
            freshness = Freshness.STALE
        if failure:
            how = Outcome.STALE_IF_ERROR
        else:
            how = Outcome.HIT if freshness is Freshness.FRESH else Outcome.STALE_HIT
        return _told(held, freshness, how, self._book.ttl, reason="stale", failure=failure)

    def _judge(self, whole: Snapshot) -> Freshness:
        """Of its oldest block; but a list whose blocks disagree is never fresh."""
        freshness = self._book.freshness_at(whole.oldest_block.fetched_at)
        if freshness is Freshness.FRESH and whole.inconsistent:
            return Freshness.STALE
        return freshness

    def _is_backing_off(self) -> bool:
        now = self._clock.monotonic()
        return now < self._reload_at or (
            self._failure is not None and self._failure.is_backing_off(now)
        )

    def _join_or_launch(self) -> tuple[Flight[tuple[Snapshot, bool]], Outcome]:
        flight = self._flights.get(LIST)
        if flight:
            return flight, Outcome.COLLAPSED
        self._loader = self._new_loader()
        return self._flights.launch(LIST, partial(self._load, self._loader)), Outcome.MISS

    async def _load(self, loader: SnapshotLoader) -> tuple[Snapshot, bool]:
        """Read, and share the list; whether the upstream was asked for any of it."""
        try:
            whole = await loader.load(self._whole)
        except Exception as error:
            now = self._clock.monotonic()
            self._failure = Failure.after(self._failure, error, now, self._backoff)
            raise
        self._whole = whole
        self._failure = None
        # The outdated blocks of an inconsistent list were fetched again already.
        backoff = INCONSISTENT_BACKOFF if whole.inconsistent else 0.0
        self._reload_at = self._clock.monotonic() + backoff
        await self._on_loaded(whole)
        return whole, loader.fetch_count > 0


def _told(
    whole: Snapshot,
    freshness: Freshness,
    how: Outcome,
    ttl: float,
    *,
    reason: str,
    failure: BaseException | None = None,
) -> SnapshotLookup:
    """The lookup as one of its oldest block, which cannot be fresher than the whole."""
    if freshness is Freshness.EXPIRED:
        freshness = Freshness.STALE_IF_ERROR  # it was good when it was gathered
    oldest = replace(whole.oldest_block, outdated=freshness is not Freshness.FRESH)
    return whole, Lookup(oldest, freshness, how, ttl, reason, failure)
