"""The whole list, read once and shared by everybody whose question needs all of it. Knows no HTTP.

It is all or nothing. What is shared stands until its blocks are stale, or until a block says
something else; then it is read again behind, the blocks that are fresh left in peace, and those who
ask meanwhile get what there was. A reading belongs to the group: it goes on when nobody waits.
"""

import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from app.cache.freshness import Freshness
from app.cache.grace_cache import CacheDirective, Lookup, NotInCache, Outcome, WaitTimeout
from app.clock import Clock
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.snapshot import Snapshot
from app.orders.snapshot_loader import SnapshotLoader
from app.single_flight import Awaited, Flight, SingleFlight

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


@dataclass(frozen=True, slots=True)
class _Pause:
    """No reading until then: it failed, or what lags has to be left in peace."""

    at: float = 0
    until: float = -math.inf
    error: Exception | None = None
    in_a_row: int = 0


async def _nobody_looks(_: Snapshot) -> None: ...


class SnapshotCache:
    """The whole list.

    Args:
        book: the blocks.
        clock: the only source of time.
        new_reading: begins a reading, which can look whether anybody waits for the list.
        deadline: seconds that one caller waits at most.
        wait: seconds that a caller waits at most for whom something is held.
        pause: seconds not to read again, from the error and the failures in a row.
        seen: told of each list that is read to its end.
        told_later: the error as a caller is told it: so many seconds later, and so many seconds
            before the list is read again.
    """

    def __init__(
        self,
        book: OrderBook,
        clock: Clock,
        new_reading: Callable[[Awaited], SnapshotLoader],
        *,
        deadline: float,
        wait: float,
        pause: Callable[[Exception, int], float],
        seen: Callable[[Snapshot], Coroutine[Any, Any, None]] = _nobody_looks,
        aged: Callable[[BaseException, float, float], BaseException] = lambda error, *_: error,
    ) -> None:
        self._book = book
        self._clock = clock
        self._new_reading = new_reading
        self._deadline = deadline
        self._wait = wait
        self._pause_after = pause
        self._seen = seen
        self._told_later = aged
        self._whole: Snapshot | None = None
        self._flights: SingleFlight[str, tuple[Snapshot, bool]] = SingleFlight(clock)
        self._reading = self._begun()
        self._pause = _Pause()

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

    async def close(self, seconds: float) -> None:
        """Let a reading come to its end, at most `seconds`."""
        await self._flights.close(seconds)

    async def _held(self) -> Snapshot | None:
        """What is shared; else what the blocks that are held happen to tell."""
        if self._whole and self._judge(self._whole) is Freshness.EXPIRED:
            self._whole = None
        # While blocks are missing nothing is held; who only waits for them to agree has something.
        loading = self._flights.under_way(LIST) is not None and not self._reading.complete
        if self._whole is None and not loading:
            self._share(await self._begun().from_cache())
        return self._whole

    def _begun(self) -> SnapshotLoader:
        return self._new_reading(partial(self._flights.awaited, LIST))

    def _share(self, found: Snapshot | None) -> None:
        # A reading may have come to its end while we looked.
        if self._whole is None:
            self._whole = found

    async def _read_to_the_end(self) -> SnapshotLookup:
        if self._is_paused() and self._pause.error:
            raise self._told(self._pause.error)
        flight, how = self._join_or_launch()
        if not await flight.landed_within(self._deadline):
            raise CollectionLoading(self._reading.progress, self._reading.seconds_left)
        if self._pause.error:
            raise self._told(self._pause.error)
        whole, _ = flight.result()
        return _told(whole, self._judge(whole), how, self._book.ttl, reason="uri-miss")

    async def _read_or_serve(self, held: Snapshot) -> SnapshotLookup:
        if self._is_paused():
            return self._as_it_is(held)
        flight, how = self._join_or_launch()
        if self._judge(held) is Freshness.STALE:
            return self._as_it_is(held)
        if not await flight.landed_within(min(self._wait, self._deadline)):
            return self._as_it_is(held, WaitTimeout())
        failure = flight.failure()
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

    def _is_paused(self) -> bool:
        return self._clock.monotonic() < self._pause.until

    def _told(self, error: BaseException) -> BaseException:
        now = self._clock.monotonic()
        left = max(self._pause.until - now, 0.0)
        return self._told_later(error, now - self._pause.at, left).with_traceback(None)

    def _join_or_launch(self) -> tuple[Flight[tuple[Snapshot, bool]], Outcome]:
        under_way = self._flights.under_way(LIST)
        if under_way:
            return under_way, Outcome.COLLAPSED
        self._reading = self._begun()
        return self._flights.launch(LIST, partial(self._read, self._reading)), Outcome.MISS

    async def _read(self, reading: SnapshotLoader) -> tuple[Snapshot, bool]:
        """Read, and share the list; whether the upstream was asked for any of it."""
        try:
            whole = await reading.load(self._whole)
        except Exception as error:
            self._pause_for(error)
            raise
        self._whole = whole
        # What lags was fetched again already: it is left in peace for a moment.
        now = self._clock.monotonic()
        self._pause = _Pause(now, now + INCONSISTENT_BACKOFF) if whole.inconsistent else _Pause()
        await self._seen(whole)
        return whole, reading.fetch_count > 0

    def _pause_for(self, error: Exception) -> None:
        in_a_row = self._pause.in_a_row + 1
        now = self._clock.monotonic()
        self._pause = _Pause(now, now + self._pause_after(error, in_a_row), error, in_a_row)


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
