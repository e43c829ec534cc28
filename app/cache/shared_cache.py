"""A grace cache whose entries are shared with other processes through a store.

What is cached is served without the store. The store is read when nothing is cached, and it decides
which process fetches an entry that has to be fetched.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from msgspec import structs

from app.cache.freshness import CacheDirective, Freshness
from app.cache.grace_cache import (
    Admit,
    Entry,
    Fetch,
    GraceCache,
    Lookup,
    Outcome,
    admit_always,
)
from app.cache.shared_values import SharedValues
from app.cache.store import Wanted
from app.cache.store_access import CALLER_BUDGET, MISS_BUDGET, StoreUnavailable
from app.single_flight import SingleFlight

V = TypeVar("V")

READ_AT_ONCE = 20
"""Entries that are read and decoded between two turns of the event loop."""


class SharedCache(GraceCache[int, V]):
    """A `GraceCache` over `values`; its other arguments are those of that.

    If the store cannot be used it is a `GraceCache` of this process. Fetches are then numbered
    here, from the greatest number on that is known.

    Attributes:
        on_adopt: called with each value that another process has fetched; returns what to store.
    """

    def __init__(self, *args: Any, values: SharedValues[V], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._values = values
        self._loads: SingleFlight[int, None] = SingleFlight(self._clock)
        self.on_adopt: Callable[[V], V] = lambda value: value

    async def get_or_fetch(
        self,
        key: int,
        fetch: Fetch[int, V],
        directive: CacheDirective = CacheDirective.DEFAULT,
        *,
        deadline: float | None = None,
        wait_started: float | None = None,
        outdated: Entry[V] | None = None,
        admit: Admit = admit_always,
    ) -> Lookup[V]:
        """Answer as a `GraceCache` that has the entry of the store, if none is cached here."""
        if self._is_missing(key):
            flight = self._loads.get(key) or self._loads.launch(key, partial(self._load, key))
            await flight.wait()
        return await super().get_or_fetch(
            key,
            fetch,
            directive,
            deadline=deadline,
            wait_started=wait_started,
            outdated=outdated,
            admit=admit,
        )

    async def load(self, keys: Sequence[int]) -> bool:
        """Cache the stored entries of `keys`, whatever their age; return whether that worked."""
        for start in range(0, len(keys), READ_AT_ONCE):
            chunk = [key for key in keys[start : start + READ_AT_ONCE] if self._is_missing(key)]
            try:
                entries = await self._values.read(chunk)
            except StoreUnavailable:
                return False
            for key, (entry, purged) in entries.items():
                if purged:
                    # Whatever is no later than this one was fetched before the purge, too.
                    self._purged_at = max(self._purged_at, entry.fetched_at)
                if entry.fetched_at > self._dropped_at:
                    self._adopt(key, entry)
        return True

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the fetches to end, then cancel them."""
        await super().close(timeout)
        await self._loads.close(0)

    async def _load(self, key: int) -> None:
        await self.load([key])

    async def _fetch(
        self,
        key: int,
        fetch: Fetch[int, V],
        directive: CacheDirective,
        deadline: float | None,
        reason: str,
        *,
        admit: Admit,
    ) -> Lookup[V]:
        requested_at = self._clock.monotonic()
        oldest = requested_at - self._max_age(directive)
        lookup = await super()._fetch(key, fetch, directive, deadline, reason, admit=admit)
        if lookup.entry.fetched_at < oldest:
            # It joined a fetch that was satisfied with an older one.
            lookup = await super()._fetch(key, fetch, directive, deadline, reason, admit=admit)
        if not lookup.entry.adopted:
            return lookup
        was_fetched = lookup.entry.fetched_at < requested_at
        return replace(lookup, outcome=Outcome.HIT if was_fetched else Outcome.COLLAPSED)

    def _fetch_of(
        self, key: int, fetch: Fetch[int, V], directive: CacheDirective
    ) -> Callable[[], Coroutine[Any, Any, Entry[V]]]:
        return partial(self._obtain, key, fetch, directive)

    async def _obtain(self, key: int, fetch: Fetch[int, V], directive: CacheDirective) -> Entry[V]:
        purged_at = self._purged_at
        previous = self._entries.get(key)
        try:
            entry = await self._values.obtain(
                key,
                partial(fetch, key),
                partial(self._wanted, key, directive),
                ttl=self.ttl,
                lifetime=self.ttl + self._lifetime.stale_if_error,
                caller_budget=MISS_BUDGET if self._is_missing(key) else CALLER_BUDGET,
                may_be_early=previous is None or self._is_outdated(previous),
            )
        except StoreUnavailable:
            run = super()._fetch_of(key, fetch, directive)
            return await run()
        except Exception as error:
            if purged_at == self._purged_at:
                self._record_failure(key, error)
            raise
        if purged_at != self._purged_at:
            return self._notify(key, entry)  # the cache was purged meanwhile
        self._failures.remove(key)
        if not entry.adopted:
            latest = max(entry.completed_at, self.latest_sequence)
            entry = structs.replace(entry, completed_at=latest)
        return self._adopt(key, entry)

    def _wanted(self, key: int, directive: CacheDirective) -> Wanted:
        entry = self._entries.get(key)
        known = entry.sequence if entry else 0
        is_outdated = entry is not None and (directive.refetch or entry.outdated)
        # The same entry is wanted as well: by the store's clock it may be a little younger.
        after = max(known if is_outdated else known - 1, self._outdated_until(key))
        max_age = self._max_age(directive)
        since_purge = self._clock.monotonic() - self._purged_at
        return Wanted(
            min(max_age, since_purge),
            after=after,
            # As in a single process, an entry is fetched ahead of time at most once per TTL.
            after_early=known if max_age == self.ttl else after,
            latest_sequence=self.latest_sequence,
        )

    def _max_age(self, directive: CacheDirective) -> float:
        return directive.max_fetched_age(ttl=self.ttl, min_age=self._min_age)

    def _is_missing(self, key: int) -> bool:
        entry = self._entries.get(key)
        return entry is None or self.freshness(entry) is Freshness.EXPIRED

    def _adopt(self, key: int, entry: Entry[V]) -> Entry[V]:
        """Store an entry unless a later one is cached; return the one that is cached."""
        cached = self._entries.get(key)
        if cached and cached.sequence > entry.sequence:
            return cached
        if cached and cached.sequence == entry.sequence:
            entry = structs.replace(entry, value=cached.value, outdated=cached.outdated)
        elif entry.adopted:
            entry = structs.replace(entry, value=self.on_adopt(entry.value))
        return self._store(key, entry)

    def _store(self, key: int, entry: Entry[V]) -> Entry[V]:
        self.latest_sequence = max(self.latest_sequence, entry.sequence, entry.completed_at)
        return super()._store(key, entry)
