"""Serve fresh; serve stale and refresh behind; else fetch and wait: one rule, hence one long file.

What is held is judged once, when a caller asks for it. An error never replaces a good answer
and never lengthens its life; a landing answer replaces a held one only if it was asked for later.
Knows no HTTP and no orders.
"""

from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

from app.cache.freshness import Freshness, Lifetime
from app.cache.lru import LruStore
from app.clock import Clock
from app.single_flight import Awaited, Flight, SingleFlight, TooManyWaiters, always_awaited

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_FAILURES = 10_000


class CacheDirective(Enum):
    """What the caller's Cache-Control asks for (RFC 9111 §5.2.1)."""

    DEFAULT = "normal"
    NO_CACHE = "no-cache"
    ONLY_IF_CACHED = "only-if-cached"


class Outcome(IntEnum):
    """How one lookup was answered. Of several lookups, the greatest speaks for all."""

    HIT = 0
    STALE_HIT = 1
    MISS = 2
    COLLAPSED = 3
    STALE_IF_ERROR = 4


class NotInCache(Exception):
    """Only what is held was wanted, and nothing is."""


class WaitTimeout(Exception):
    """The caller's time is over; the flight goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Generic[V]):
    """What one fetch brought. Never edited: whoever holds it can tell by identity that it changed.

    Attributes:
        value: what was fetched.
        asked: when the fetch started, in seconds of the monotonic clock.
        ordinal: its place among all fetches of this cache: a later one was asked for later.
        early: it replaced an answer that was younger than the ttl.
        lagging: it was found to be older than its neighbours; stale from then on.
    """

    value: V
    fetched_at: float
    sequence: int
    refetched_early: bool = False
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class Lookup(Generic[V]):
    """One lookup's answer, and how it came about.

    Attributes:
        entry: what is served.
        freshness: what it was when the caller asked; a waited-for answer is fresh.
        how: held, fetched, joined or failed.
        ttl: the one in force, in seconds.
        reason: why something was asked upstream: `uri-miss`, `stale` or `request` (RFC 9211 §2.2).
        failure: what went wrong, where an older answer is served for that reason.
    """

    entry: Entry[V]
    freshness: Freshness
    outcome: Outcome
    ttl: float
    forward_reason: str = ""
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    error: BaseException
    in_a_row: int
    at: float
    until: float


Fetch = Callable[[Awaited], Coroutine[Any, Any, V]]
"""Brings a value; it can look whether anybody waits for it."""


class GraceCache(Generic[K, V]):
    """Answers by key, bounded in number and bytes, each with its life and its one flight.

    Args:
        lifetime: ttl, grace and keep; may be set anew at any time.
        clock: the only source of time.
        min_age: seconds; an answer younger than that is new enough for `no-cache`.
        wait: seconds a caller waits at most for whom something is held.
        max_entries: how many answers are held.
        max_bytes: how much they may weigh together.
        weigh: an answer's weight in bytes.
        pause: seconds not to ask again, from the error and the failures in a row.
        told_later: the error as a caller is told it: so many seconds later, and so many seconds
            before it is asked again.
        facts: errors that are the truth about a key: what was held for it is forgotten.
        landed: told of each answer that is now held.
    """

    def __init__(
        self,
        lifetime: Lifetime,
        clock: Clock,
        *,
        min_age: float,
        wait: float,
        max_entries: int,
        max_bytes: int,
        size_of: Callable[[V], int],
        pause: Callable[[Exception, int], float],
        aged: Callable[[BaseException, float, float], BaseException] = lambda error, *_: error,
        facts: tuple[type[Exception], ...] = (),
        landed: Callable[[K, Entry[V]], None] = lambda _key, _entry: None,
    ) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._min_age = min_age
        self._wait = wait
        self._entries: LruStore[K, Entry[V]] = LruStore(
            max_entries=max_entries, max_bytes=max_bytes, size_of=lambda entry: size_of(entry.value)
        )
        self._failures: LruStore[K, _Failure] = LruStore(
            max_entries=MAX_FAILURES, max_bytes=MAX_FAILURES, size_of=lambda _: 1
        )
        self._flights: SingleFlight[K, Entry[V]] = SingleFlight(clock)
        self._pause = pause
        self._told_later = aged
        self._facts = facts
        self._landed = landed
        self._ordinals = count(1)

    def get(self, key: K) -> Entry[V] | None:
        """What is held for `key`, however old."""
        return self._entries.get(key)

    def items(self) -> list[tuple[K, Entry[V]]]:
        """Everything held, however old, without touching what is evicted next."""
        return self._entries.items()

    def freshness(self, entry: Entry[V]) -> Freshness:
        """How good `entry` is now."""
        freshness = self.freshness_at(entry.fetched_at)
        if freshness is Freshness.FRESH and entry.outdated:
            return Freshness.STALE
        return freshness

    def freshness_at(self, asked: float) -> Freshness:
        """How good an answer that was asked for at the moment `asked` is now."""
        return self.lifetime.freshness(self._clock.monotonic() - asked)

    async def serve(
        self,
        key: K,
        fetch: Fetch[V],
        *,
        ask: CacheDirective,
        until: float,
        since: float | None = None,
    ) -> Lookup[V]:
        """Answer one caller, who waits until the moment `until` at most.

        Where something is held the caller waits `wait` seconds, counted from `since` if this
        is not the first lookup for that caller.

        Raises:
            NotInCache: only what is held was wanted, and nothing is.
            WaitEnded: nothing is held, and the caller's time is over.
            TooManyWaiters: nothing is held, and too many wait for it already.
            Exception: nothing is held, and the fetch raised this.
        """
        entry = self._entries.get(key)
        freshness = self.freshness(entry) if entry else Freshness.EXPIRED
        if entry and freshness is not Freshness.EXPIRED:
            at_once = self._at_once(key, entry, freshness, fetch, ask)
            if at_once:
                return at_once
            reason = "request" if ask is CacheDirective.NO_CACHE else "stale"
            held = self._served(entry, freshness, Outcome.STALE_IF_ERROR, reason)
            return await self._ask_or_serve(key, held, fetch, until, since)
        if ask is CacheDirective.ONLY_IF_CACHED:
            raise NotInCache
        paused = self._paused(key)
        if paused:
            raise self._told(key, paused.error)
        reason = "stale" if entry else "uri-miss"
        flight, how = self._join_or_launch(key, fetch)
        if not await flight.landed_within(until - self._clock.monotonic()):
            raise WaitTimeout
        failure = flight.failure()
        if failure:
            raise self._told(key, failure)
        return self._served(flight.result(), Freshness.FRESH, how, reason)

    async def renew(
        self,
        key: K,
        entry: Entry[V],
        fetch: Fetch[V],
        *,
        until: float,
        since: float | None = None,
        awaited: Awaited = always_awaited,
    ) -> Lookup[V]:
        """Fetch again what was found lagging, early at most once a ttl, and wait as in `serve`.

        Work behind the callers tells by `awaited` whether any of them waits for it.

        Returns what is served in its place: `entry` itself where it may not be fetched, or
        where that failed or lasted.
        """
        held = self._entries.get(key)
        if held is entry:
            entry = replace(entry, outdated=True)
            self._entries.put(key, entry)
            self._landed(key, entry)
        elif held and held.sequence > entry.sequence:
            return self._served(held, self.freshness(held), Outcome.COLLAPSED, "stale")
        freshness = self.freshness(entry)
        if not self._may_refresh(key, entry):
            return self._served(entry, freshness, Outcome.STALE_HIT)
        held_back = self._served(entry, freshness, Outcome.STALE_IF_ERROR, "stale")
        return await self._ask_or_serve(key, held_back, fetch, until, since, awaited=awaited)

    async def refreshed(self, key: K, fetch: Fetch[V], awaited: Awaited) -> Lookup[V]:
        """What is fresh, or may not be fetched again yet; else what is fetched now.

        For work behind the callers: it waits for as long as the fetch takes, and `awaited` tells
        whether any of them waits for it.

        Raises:
            Exception: the fetch raised this, or did so a moment ago.
        """
        entry = self._entries.get(key)
        freshness = self.freshness(entry) if entry else Freshness.EXPIRED
        if entry and freshness is Freshness.FRESH:
            return self._served(entry, freshness, Outcome.HIT)
        paused = self._paused(key)
        if paused:
            raise self._told(key, paused.error)
        if entry and freshness is not Freshness.EXPIRED and not self._may_refresh(key, entry):
            return self._served(entry, freshness, Outcome.STALE_HIT)
        flight, how = self._join_or_launch(key, fetch)
        await flight.landed(awaited)
        reason = "stale" if entry else "uri-miss"
        failure = flight.failure()
        if failure:
            raise self._told(key, failure)
        return self._served(flight.result(), Freshness.FRESH, how, reason)

    async def close(self, seconds: float) -> None:
        """Let the flights run out, at most `seconds`."""
        await self._flights.close(seconds)

    def _served(
        self, entry: Entry[V], freshness: Freshness, how: Outcome, reason: str = ""
    ) -> Lookup[V]:
        return Lookup(entry, freshness, how, self.lifetime.ttl, reason)

    def _at_once(
        self, key: K, entry: Entry[V], freshness: Freshness, fetch: Fetch[V], ask: CacheDirective
    ) -> Lookup[V] | None:
        """What needs no waiting, if anything."""
        held = self._served(
            entry, freshness, Outcome.HIT if freshness is Freshness.FRESH else Outcome.STALE_HIT
        )
        if ask is CacheDirective.ONLY_IF_CACHED:
            return held
        if (
            ask is CacheDirective.NO_CACHE
            and self._clock.monotonic() - entry.fetched_at >= self._min_age
        ):
            return held if self._paused(key) else None
        if freshness is Freshness.STALE and self._may_refresh(key, entry):
            self._join_or_launch(key, fetch)
        if freshness is Freshness.STALE_IF_ERROR and not self._paused(key):
            return None
        return held

    async def _ask_or_serve(
        self,
        key: K,
        held: Lookup[V],
        fetch: Fetch[V],
        until: float,
        since: float | None,
        *,
        awaited: Awaited = always_awaited,
    ) -> Lookup[V]:
        """Ask and wait, at most `wait`; if that fails or lasts, serve what is held."""
        flight, how = self._join_or_launch(key, fetch)
        now = self._clock.monotonic()
        patience = min((now if since is None else since) + self._wait, until) - now
        try:
            landed = await flight.landed_within(patience, awaited)
        except TooManyWaiters as too_many:
            return replace(held, error=too_many)
        if not landed:
            return replace(held, error=WaitTimeout())
        failure = flight.failure()
        if failure is None:
            return self._served(flight.result(), Freshness.FRESH, how, held.forward_reason)
        if isinstance(failure, self._facts):
            raise failure.with_traceback(None)
        return replace(held, error=failure)

    def _may_refresh(self, key: K, entry: Entry[V]) -> bool:
        """Whether `entry` may be fetched again: not paused, and early only once a ttl."""
        if self._paused(key):
            return False
        return (
            not entry.refetched_early
            or self._clock.monotonic() - entry.fetched_at >= self.lifetime.ttl
        )

    def _paused(self, key: K) -> _Failure | None:
        failure = self._failures.get(key)
        return failure if failure and self._clock.monotonic() < failure.until else None

    def _told(self, key: K, error: BaseException) -> BaseException:
        """`error` of the last fetch for `key`, as a caller is told it now."""
        now = self._clock.monotonic()
        failure = self._failures.get(key) or _Failure(error, 0, now, now)
        left = max(failure.until - now, 0.0)
        return self._told_later(error, now - failure.at, left).with_traceback(None)

    def _join_or_launch(self, key: K, fetch: Fetch[V]) -> tuple[Flight[Entry[V]], Outcome]:
        under_way = self._flights.under_way(key)
        if under_way:
            return under_way, Outcome.COLLAPSED
        asked = self._clock.monotonic()
        sequence = next(self._ordinals)
        return self._flights.launch(
            key, lambda: self._fly(key, fetch, asked, sequence)
        ), Outcome.MISS

    async def _fly(self, key: K, fetch: Fetch[V], asked: float, sequence: int) -> Entry[V]:
        try:
            value = await fetch(partial(self._flights.awaited, key))
        except Exception as error:
            self._remember_failure(key, error)
            raise
        self._failures.remove(key)
        held = self._entries.get(key)
        early = held is not None and held.outdated and asked - held.fetched_at < self.lifetime.ttl
        entry = Entry(value, asked, sequence, refetched_early=early)
        # One flight a key: what is held was asked for before, so it may always be replaced.
        self._entries.put(key, entry)
        self._landed(key, entry)
        return entry

    def _remember_failure(self, key: K, error: Exception) -> None:
        earlier = self._failures.get(key)
        in_a_row = earlier.in_a_row + 1 if earlier else 1
        now = self._clock.monotonic()
        pause = self._pause(error, in_a_row)
        # As it will be told: the error itself holds every frame that it passed, and what is there.
        told = self._told_later(error, 0.0, pause)
        self._failures.put(key, _Failure(told, in_a_row, now, now + pause))
        if isinstance(error, self._facts):
            self._entries.remove(key)
