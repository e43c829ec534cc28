"""The caching rule, in one file: stale entries serve during a refresh, or if it fails (RFC 5861).

Concurrent requests for one key share one fetch. A failed fetch never replaces an entry, never
extends its life, and is not repeated until its backoff has passed.
"""

import math
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial
from typing import Any, Generic, TypeVar

from msgspec import Struct, structs

from app.backoff import BackoffPolicy, Failure, exponential_backoff
from app.cache.freshness import Action, CacheDirective, Freshness, Lifetime, decide
from app.cache.lru import LruStore, Usage
from app.clock import Clock
from app.single_flight import Flight, SingleFlight

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

MAX_FAILURES = 10_000
"""Keys whose last failure is remembered."""


class Outcome(IntEnum):
    """How a request was answered. The outcome of several lookups is the greatest of theirs."""

    HIT = 0
    STALE_HIT = 1
    MISS = 2
    COLLAPSED = 3
    STALE_IF_ERROR = 4


class NotInCache(Exception):
    """Nothing usable is cached, and the caller does not want it fetched."""


class WaitTimeout(Exception):
    """The fetch takes longer than the caller waits. The fetch goes on."""


class Entry(Struct, Generic[V_co], frozen=True, eq=False, gc=False):
    """The result of one fetch. It is immutable, so a changed entry is another object.

    The garbage collector does not track it: a value must not refer to its entry.

    Attributes:
        value: what was fetched.
        fetched_at: when the fetch started, in seconds of the monotonic clock.
        sequence: the number of the fetch; later fetches have greater numbers.
        refetched_early: whether it replaced an outdated entry that was younger than the TTL.
        outdated: whether a newer entry contradicts it; it is stale from then on.
        completed_at: the number of the fetch that had started last when this one was complete.
        adopted: whether another process has fetched it.
    """

    value: V_co
    fetched_at: float
    sequence: int
    refetched_early: bool = False
    outdated: bool = False
    completed_at: int = 0
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Lookup(Generic[V]):
    """The answer to one request, and how it came about.

    Attributes:
        entry: the entry to serve.
        freshness: its freshness at the time of the request; a newly fetched entry is fresh.
        outcome: how the request was answered.
        ttl: the TTL of the cache, in seconds.
        forward_reason: why it was fetched: `uri-miss`, `stale` or `request` (RFC 9211
            section 2.2); empty if it was not.
        error: why the last fetch failed, if the entry is not fresh.
    """

    entry: Entry[V]
    freshness: Freshness
    outcome: Outcome
    ttl: float
    forward_reason: str = ""
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class CachedLookup(Generic[V]):
    """A lookup that needed no fetch, and the monotonic time until which it stays as it is.

    That is so as long as the cache has the same revision.
    """

    lookup: Lookup[V]
    until: float


Fetch = Callable[[K], Coroutine[Any, Any, V]]
"""Fetches the value of a key."""

Admit = Callable[[], Exception | None]
"""Returns why a caller may not cause a fetch, or None."""


def admit_always() -> None:
    """Return None: whoever asks may cause a fetch."""


class GraceCache(Generic[K, V]):
    """Entries by key, bounded in number and size.

    Args:
        min_age: seconds; an entry younger than that satisfies `no-cache`.
        max_stale_wait: seconds that a caller waits at most if there is an entry to serve.
        size_of: returns the size of a value in bytes.
        backoff: how long a failed fetch is not repeated.
        negative_errors: errors that are a definite answer, such as "does not exist". They remove
            the entry, and are raised even if it could be served.

    Attributes:
        latest_sequence: the number of the fetch that started last; 0 before the first.
        revision: a number that grows whenever an answer may change other than by time: an entry is
            stored or removed, or a fetch starts or fails.
    """

    def __init__(
        self,
        lifetime: Lifetime,
        clock: Clock,
        *,
        min_age: float,
        max_stale_wait: float,
        max_entries: int,
        max_bytes: int,
        size_of: Callable[[V], int],
        backoff: BackoffPolicy = exponential_backoff,
        negative_errors: tuple[type[Exception], ...] = (),
    ) -> None:
        self._configured_lifetime = self._lifetime = lifetime
        self._clock = clock
        self._min_age = min_age
        self.max_stale_wait = max_stale_wait
        self._backoff = backoff
        self._negative_errors = negative_errors
        self._entries: LruStore[K, Entry[V]] = LruStore(
            max_entries=max_entries, max_bytes=max_bytes, size_of=lambda entry: size_of(entry.value)
        )
        self._failures: LruStore[K, Failure] = LruStore(max_entries=MAX_FAILURES)
        self._flights: SingleFlight[K, Entry[V]] = SingleFlight(clock)
        self._listeners: list[Callable[[K, Entry[V]], None]] = []
        self._check_outdated: Callable[[Entry[V]], bool] = lambda _: False
        self._outdated_until: Callable[[K], int] = lambda _: 0
        self._purged_at = self._dropped_at = self._last_fetch_at = -math.inf
        self.latest_sequence = 0
        self.revision = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def ttl(self) -> float:
        """Seconds that an entry is fresh."""
        return self._lifetime.ttl

    @property
    def usage(self) -> Usage:
        """How much is cached, and how much can be."""
        return self._entries.usage

    def set_min_ttl(self, seconds: float) -> None:
        """Set the TTL to the configured one, or to `seconds` if that is longer."""
        ttl = max(self._configured_lifetime.ttl, seconds)
        self._lifetime = replace(self._configured_lifetime, ttl=ttl)

    def add_listener(self, on_stored: Callable[[K, Entry[V]], None]) -> None:
        """Call `on_stored` with each entry that is fetched or marked as outdated.

        This includes entries that are too large to be stored, and those that were requested before
        a purge and are not stored either; a newer one of the same key may precede them.
        """
        self._listeners.append(on_stored)

    def set_outdated_check(
        self, check: Callable[[Entry[V]], bool], outdated_until: Callable[[K], int]
    ) -> None:
        """Treat an entry as outdated if `check` says so, as if it was marked as outdated.

        `outdated_until` returns the number of the fetch up to which one of a key is outdated.
        """
        self._check_outdated = check
        self._outdated_until = outdated_until

    def get(self, key: K) -> Entry[V] | None:
        """Return the cached entry, even if it has expired."""
        return self._entries.get(key)

    def items(self) -> list[tuple[K, Entry[V]]]:
        """Return all keys and entries, even expired ones; does not affect what is evicted next."""
        return self._entries.items()

    def last_error(self, key: K) -> Exception | None:
        """Return why the last fetch failed, None if it did not."""
        failure = self._failures.get(key)
        return failure.error if failure else None

    def freshness(self, entry: Entry[V]) -> Freshness:
        """Return the freshness that `entry` has now."""
        freshness = self.freshness_at(entry.fetched_at)
        is_stale = freshness is Freshness.FRESH and self._is_outdated(entry)
        return Freshness.STALE if is_stale else freshness

    def freshness_at(self, fetched_at: float) -> Freshness:
        """Return the freshness that an entry with that `fetched_at` has now."""
        freshness = self._lifetime.freshness(self._clock.monotonic() - fetched_at)
        if fetched_at <= self._dropped_at:
            return Freshness.EXPIRED
        if fetched_at <= self._purged_at and freshness is not Freshness.EXPIRED:
            return Freshness.STALE_IF_ERROR
        return freshness

    def next_change(self, fetched_at: float) -> float:
        """Return when the freshness of an entry with that `fetched_at` changes next."""
        now = self._clock.monotonic()
        changes = (fetched_at + age for age in self._lifetime.limits)
        return min((change for change in changes if change > now), default=math.inf)

    async def get_or_fetch(
        self,
        key: K,
        fetch: Fetch[K, V],
        directive: CacheDirective = CacheDirective.DEFAULT,
        *,
        deadline: float | None = None,
        wait_started: float | None = None,
        outdated: Entry[V] | None = None,
        admit: Admit = admit_always,
    ) -> Lookup[V]:
        """Answer one request with a cached or a fetched entry, as `decide` says.

        Args:
            key: what is requested.
            fetch: fetches it.
            directive: which answer the caller wants.
            deadline: when the caller stops waiting, on the monotonic clock; never if None.
            wait_started: when the caller began to wait, if this is not its first lookup;
                `max_stale_wait` counts from then.
            outdated: with `REFETCH`, the entry that the caller found to be outdated.
            admit: called before a fetch is started for this caller. If it returns an error, none is
                started: that is the error of the fetch.

        Raises:
            NotInCache: the directive has `only_if_cached`, and there is no entry to serve.
            WaitTimeout: the deadline passed, and there is no entry to serve.
            TooManyWaiters: too many callers wait, and there is no entry to serve.
            Exception: the fetch raised this, now or a moment ago, and there is no entry to serve.
        """
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        if outdated:
            entry = self._mark_outdated(key, outdated)
            if entry.sequence > outdated.sequence:
                return Lookup(entry, self.freshness(entry), Outcome.COLLAPSED, self.ttl, "stale")
        freshness = self.freshness(entry) if entry else Freshness.EXPIRED
        failure = self._failures.get(key)
        backing_off = failure is not None and failure.is_backing_off(now)
        action = self._decide(directive, entry, freshness, failure, backing_off=backing_off)
        reason = self._forward_reason(directive, entry, freshness)

        if action is Action.NOT_IN_CACHE:
            raise NotInCache
        if failure and action is Action.FAIL:
            raise failure.error_at(now)
        if entry is None or action is Action.FETCH:
            return await self._fetch(key, fetch, directive, deadline, reason, admit=admit)
        if action is Action.FETCH_OR_STALE:
            stale = Lookup(entry, freshness, Outcome.STALE_IF_ERROR, self.ttl, reason)
            wait_until = (now if wait_started is None else wait_started) + self.max_stale_wait
            if deadline is not None:
                wait_until = min(wait_until, deadline)
            return await self._fetch_or_stale(key, fetch, directive, wait_until, stale, admit=admit)
        if action is Action.REFRESH and not self._flights.get(key) and not admit():
            self._join_or_launch(key, fetch, directive)
        return self._cached_lookup(key, entry, freshness)

    def get_without_fetch(self, key: K) -> CachedLookup[V] | None:
        """Return what `get_or_fetch` would return, or None if it would start a fetch or wait."""
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        freshness = self.freshness(entry) if entry else Freshness.EXPIRED
        failure = self._failures.get(key)
        backing_off = failure is not None and failure.is_backing_off(now)
        action = self._decide(
            CacheDirective.DEFAULT, entry, freshness, failure, backing_off=backing_off
        )
        is_refreshing = action is Action.REFRESH and self._flights.get(key) is not None
        if entry is None or not (action is Action.SERVE or is_refreshing):
            return None
        until = self.next_change(entry.fetched_at)
        if backing_off and failure is not None:
            until = min(until, failure.retry_at)
        return CachedLookup(self._cached_lookup(key, entry, freshness), until)

    def purge(self, *, drop: bool = False) -> int:
        """Expire all entries; return how many there were.

        The next lookup of each fetches it again, and serves what is cached only if that fails or
        takes too long. With `drop` the entries are removed. A fetch in progress answers those who
        wait for it, but is neither stored nor joined any more.
        """
        count = len(self._entries)
        self._purged_at = max(self._clock.monotonic(), self._last_fetch_at)
        if drop:
            self._dropped_at = self._purged_at
            self._entries.clear()
        self._flights.detach_all()
        self.revision += 1
        return count

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the fetches to end, then cancel them."""
        await self._flights.close(timeout)

    def _cached_lookup(self, key: K, entry: Entry[V], freshness: Freshness) -> Lookup[V]:
        """Return the lookup of an entry that is served without waiting."""
        if freshness is Freshness.FRESH:
            return Lookup(entry, freshness, Outcome.HIT, self.ttl)
        error = self.last_error(key)
        return Lookup(entry, freshness, Outcome.STALE_HIT, self.ttl, error=error)

    def _decide(
        self,
        directive: CacheDirective,
        entry: Entry[V] | None,
        freshness: Freshness,
        failure: Failure | None,
        *,
        backing_off: bool,
    ) -> Action:
        age = self._clock.monotonic() - entry.fetched_at if entry else math.inf
        return decide(
            directive,
            freshness,
            age=age,
            ttl=self.ttl,
            min_age=self._min_age,
            failed=failure is not None,
            backing_off=backing_off,
            recently_refetched=entry is not None
            and entry.refetched_early
            and age < self.ttl
            and entry.fetched_at > self._purged_at,
        )

    def _forward_reason(
        self, directive: CacheDirective, entry: Entry[V] | None, freshness: Freshness
    ) -> str:
        """Return why a fetch is necessary, if it is."""
        if entry is None:
            return "uri-miss"
        if freshness is Freshness.EXPIRED or directive.must_revalidate or directive.refetch:
            return "stale"
        age = self._clock.monotonic() - entry.fetched_at
        accepted = directive.accepts(freshness, age=age, ttl=self.ttl, min_age=self._min_age)
        return "stale" if accepted else "request"

    async def _fetch(
        self,
        key: K,
        fetch: Fetch[K, V],
        directive: CacheDirective,
        deadline: float | None,
        reason: str,
        *,
        admit: Admit,
    ) -> Lookup[V]:
        if not self._flights.get(key) and (rejection := admit()):
            raise rejection
        flight, outcome = self._join_or_launch(key, fetch, directive)
        timeout = None if deadline is None else deadline - self._clock.monotonic()
        if not await flight.wait(timeout):
            raise WaitTimeout
        failure = self._failures.get(key)
        if failure and flight.task.exception():
            raise failure.error_at(self._clock.monotonic())
        return Lookup(flight.task.result(), Freshness.FRESH, outcome, self.ttl, reason)

    async def _fetch_or_stale(
        self,
        key: K,
        fetch: Fetch[K, V],
        directive: CacheDirective,
        deadline: float,
        stale: Lookup[V],
        *,
        admit: Admit,
    ) -> Lookup[V]:
        try:
            return await self._fetch(
                key, fetch, directive, deadline, stale.forward_reason, admit=admit
            )
        except self._negative_errors:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, there is an entry to serve
            return replace(stale, error=error.with_traceback(None))

    def _join_or_launch(
        self, key: K, fetch: Fetch[K, V], directive: CacheDirective
    ) -> tuple[Flight[Entry[V]], Outcome]:
        flight = self._flights.get(key)
        if flight:
            return flight, Outcome.COLLAPSED
        self.revision += 1
        return self._flights.launch(key, self._fetch_of(key, fetch, directive)), Outcome.MISS

    def _fetch_of(
        self, key: K, fetch: Fetch[K, V], _: CacheDirective
    ) -> Callable[[], Coroutine[Any, Any, Entry[V]]]:
        """Return what fetches an entry that is as the directive wants it, and stores it."""
        self.latest_sequence += 1
        # After any purge, also if the clock has not gone on since.
        fetched_at = max(self._clock.monotonic(), math.nextafter(self._purged_at, math.inf))
        self._last_fetch_at = fetched_at
        return partial(self._run_fetch, key, fetch, fetched_at, self.latest_sequence)

    async def _run_fetch(
        self, key: K, fetch: Fetch[K, V], fetched_at: float, sequence: int
    ) -> Entry[V]:
        try:
            value = await fetch(key)
        except Exception as error:
            if fetched_at > self._purged_at:
                self._record_failure(key, error)
            raise
        if fetched_at <= self._purged_at:
            entry = Entry(value, fetched_at, sequence, completed_at=self.latest_sequence)
            return self._notify(key, entry)
        self._failures.remove(key)
        previous = self._entries.get(key)
        early = (
            previous is not None
            and self._is_outdated(previous)
            and fetched_at - previous.fetched_at < self.ttl
        )
        # One fetch at a time per key is stored, so the previous entry was fetched earlier.
        entry = Entry(
            value,
            fetched_at,
            sequence,
            refetched_early=early,
            completed_at=self.latest_sequence,
        )
        return self._store(key, entry)

    def _record_failure(self, key: K, error: Exception) -> None:
        previous = self._failures.get(key)
        failure = Failure.after(previous, error, self._clock.monotonic(), self._backoff)
        self._failures.put(key, failure)
        self.revision += 1
        if isinstance(error, self._negative_errors):
            self._entries.remove(key)

    def _mark_outdated(self, key: K, entry: Entry[V]) -> Entry[V]:
        """Return `entry` marked as outdated, or the newer entry that has replaced it."""
        cached = self._entries.get(key)
        if cached and (cached.outdated or cached.sequence > entry.sequence):
            return cached
        outdated = structs.replace(entry, outdated=True)
        return self._store(key, outdated) if cached else outdated

    def _is_outdated(self, entry: Entry[V]) -> bool:
        return entry.outdated or self._check_outdated(entry)

    def _store(self, key: K, entry: Entry[V]) -> Entry[V]:
        self._entries.put(key, entry)
        return self._notify(key, entry)

    def _notify(self, key: K, entry: Entry[V]) -> Entry[V]:
        self.revision += 1
        for on_stored in self._listeners:
            on_stored(key, entry)
        return entry
