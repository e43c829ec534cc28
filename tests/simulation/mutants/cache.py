"""Mutants of the grace cache, its lifetimes and its flights."""

import asyncio
from typing import Any

from msgspec.structs import replace

from app.cache.freshness import Action, CacheDirective, Freshness, Lifetime
from app.cache.grace_cache import Entry, GraceCache, Lookup
from app.orders.blocks import Block
from app.single_flight import Flight, SingleFlight

Cache = GraceCache[int, Block]


class FreshAtTtl(Lifetime):
    def freshness(self, age: float) -> Freshness:
        return Freshness.FRESH if age == self.ttl else super().freshness(age)


class NeverExpires(Lifetime):
    def freshness(self, age: float) -> Freshness:
        freshness = super().freshness(age)
        return Freshness.STALE_IF_ERROR if freshness is Freshness.EXPIRED else freshness


class AgeCountsFromEnd(Cache):
    async def _run_fetch(
        self, key: int, fetch: Any, fetched_at: float, sequence: int
    ) -> Entry[Block]:
        entry = await super()._run_fetch(key, fetch, fetched_at, sequence)
        younger = replace(entry, fetched_at=self._clock.monotonic())
        self._entries.put(key, younger)
        return younger


class ErrorsRemoveEntries(Cache):
    def _record_failure(self, key: int, error: Exception) -> None:
        super()._record_failure(key, error)
        self._entries.remove(key)


class ErrorsExtendLife(Cache):
    def _record_failure(self, key: int, error: Exception) -> None:
        super()._record_failure(key, error)
        entry = self._entries.get(key)
        if entry:
            self._entries.put(key, replace(entry, fetched_at=self._clock.monotonic()))


class RefetchesRepeatedly(Cache):
    def _decide(self, directive: Any, entry: Any, *state: Any, backing_off: bool) -> Action:
        entry = replace(entry, refetched_early=False) if entry else None
        return super()._decide(directive, entry, *state, backing_off=backing_off)


class RefetchesDuringBackoff(Cache):
    def _decide(self, directive: Any, *state: Any, backing_off: bool) -> Action:
        if directive == CacheDirective.REFETCH:
            backing_off = False
        return super()._decide(directive, *state, backing_off=backing_off)


class RefetchRestartsWait(Cache):
    async def get_or_fetch(
        self, *args: Any, wait_started: float | None = None, **kwargs: Any
    ) -> Lookup[Block]:
        if kwargs.get("outdated"):
            wait_started = None
        return await super().get_or_fetch(*args, wait_started=wait_started, **kwargs)


class IgnoresMaxStaleWait(Cache):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"max_stale_wait": 3600.0})


class IgnoresNoCache(Cache):
    def _decide(self, directive: CacheDirective, *state: Any, backing_off: bool) -> Action:
        if directive == CacheDirective.NO_CACHE:
            directive = CacheDirective.DEFAULT
        return super()._decide(directive, *state, backing_off=backing_off)


class IgnoresOnlyIfCached(Cache):
    def _decide(self, directive: CacheDirective, *state: Any, backing_off: bool) -> Action:
        if directive == CacheDirective.ONLY_IF_CACHED:
            directive = CacheDirective.DEFAULT
        return super()._decide(directive, *state, backing_off=backing_off)


class NeverRefreshes(Cache):
    def _decide(self, *state: Any, backing_off: bool) -> Action:
        action = super()._decide(*state, backing_off=backing_off)
        return Action.SERVE if action is Action.REFRESH else action


class _CancelledByWaiter(Flight[Entry[Block]]):
    async def wait(self, timeout: float | None = None) -> bool:
        try:
            return await super().wait(timeout)
        except asyncio.CancelledError:
            self.task.cancel()
            raise


class _CancellableFlights(SingleFlight[int, Entry[Block]]):
    def launch(self, key: int, work: Any) -> Flight[Entry[Block]]:
        flight = super().launch(key, work)
        flight.__class__ = _CancelledByWaiter
        return flight


class CallersCancelFlights(Cache):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flights = _CancellableFlights(self._clock)


class _SeparateFlights(SingleFlight[int, Entry[Block]]):
    def get(self, key: int) -> None:
        del key


class NoSingleFlight(Cache):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flights = _SeparateFlights(self._clock)


class _RemainingFlights(SingleFlight[int, Entry[Block]]):
    def _remove(self, key: int, task: "asyncio.Task[Entry[Block]]") -> None:
        if not task.cancelled() and not task.exception():
            super()._remove(key, task)


class FailedFlightsRemain(Cache):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flights = _RemainingFlights(self._clock)
