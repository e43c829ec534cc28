"""How fresh a cached entry is, and what the cache does for a request (RFC 9111, RFC 5861).

requested        TTL          TTL + STALE_WHILE_REVALIDATE        TTL + STALE_IF_ERROR
   |--- fresh ----|---------- stale -------|-------- stale-if-error ---------|--- expired
   serve            serve, and refresh in    fetch and wait, at most           fetch and wait,
                    the background           MAX_STALE_WAIT; if that fails     at most DEADLINE
                                             or takes longer, serve it
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar


class Freshness(Enum):
    """What a cached entry may be used for."""

    FRESH = "fresh"
    STALE = "stale"
    STALE_IF_ERROR = "stale-if-error"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long an entry is fresh and usable, in seconds.

    Attributes:
        ttl: fresh for this long.
        stale_while_revalidate: served stale for this long after the TTL.
        stale_if_error: served if a fetch fails for this long after the TTL.
    """

    ttl: float
    stale_while_revalidate: float
    stale_if_error: float

    @property
    def limits(self) -> tuple[float, float, float]:
        """The ages at which the freshness changes."""
        return (self.ttl, self.ttl + self.stale_while_revalidate, self.ttl + self.stale_if_error)

    def freshness(self, age: float) -> Freshness:
        """Return the freshness of an entry that was requested `age` seconds ago."""
        if age < self.ttl:
            return Freshness.FRESH
        if age < self.ttl + self.stale_while_revalidate:
            return Freshness.STALE
        if age < self.ttl + self.stale_if_error:
            return Freshness.STALE_IF_ERROR
        return Freshness.EXPIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDirective:
    """Which entries a caller accepts; numbers in seconds.

    The first six are request directives (RFC 9111 section 5.2.1, RFC 5861 section 4); the other two
    are used by the order book.

    Attributes:
        no_cache: none that is cached, unless it is very young.
        max_age: none that is older. Without `max_stale`, none that is stale either.
        min_fresh: none that is not fresh for this much longer.
        max_stale: stale ones at most this long after the TTL, and those without waiting.
        stale_if_error: if a fetch fails, none that is older than the TTL and this much.
        only_if_cached: nothing is fetched.
        must_revalidate: only fresh ones, and none if a fetch fails.
        refetch: a newer one than that which was found to be outdated; that one if the fetch fails.
    """

    no_cache: bool = False
    max_age: float | None = None
    min_fresh: float | None = None
    max_stale: float | None = None
    stale_if_error: float | None = None
    only_if_cached: bool = False
    must_revalidate: bool = False
    refetch: bool = False

    DEFAULT: ClassVar["CacheDirective"]
    NO_CACHE: ClassVar["CacheDirective"]
    ONLY_IF_CACHED: ClassVar["CacheDirective"]
    MUST_REVALIDATE: ClassVar["CacheDirective"]
    REFETCH: ClassVar["CacheDirective"]

    def accepts(self, freshness: Freshness, *, age: float, ttl: float, min_age: float) -> bool:
        """Return whether the caller accepts an entry that has not expired.

        An entry younger than `min_age` satisfies every request directive.
        """
        if self.must_revalidate or self.refetch:
            return self.must_revalidate and freshness is Freshness.FRESH
        if age < min_age:
            return True
        if self.no_cache or (self.max_age is not None and age > self.max_age):
            return False
        if self.min_fresh is not None and ttl - age < self.min_fresh:
            return False
        return freshness is Freshness.FRESH or self._accepts_stale(age - ttl)

    def max_fetched_age(self, *, ttl: float, min_age: float) -> float:
        """Return how old an entry may be that is not cached yet, but has been fetched already."""
        bounds = [ttl]
        if self.no_cache:
            bounds.append(0.0)
        if self.max_age is not None:
            bounds.append(self.max_age)
        if self.min_fresh is not None:
            bounds.append(ttl - self.min_fresh)
        return max(min(bounds), min(min_age, ttl))

    def _accepts_stale(self, staleness: float) -> bool:
        if self.max_stale is None:
            return self.max_age is None and self.min_fresh is None
        return self.max_stale > 0 and staleness <= self.max_stale

    def accepts_after_failure(self, staleness: float) -> bool:
        """Return whether the caller accepts an entry that long after the TTL if a fetch fails."""
        if self.must_revalidate:
            return False
        return self.stale_if_error is None or staleness <= self.stale_if_error


CacheDirective.DEFAULT = CacheDirective()
CacheDirective.NO_CACHE = CacheDirective(no_cache=True)
CacheDirective.ONLY_IF_CACHED = CacheDirective(only_if_cached=True)
CacheDirective.MUST_REVALIDATE = CacheDirective(must_revalidate=True)
CacheDirective.REFETCH = CacheDirective(refetch=True)


class Action(Enum):
    """What the cache does for a request.

    Attributes:
        SERVE: serve the entry.
        REFRESH: serve the entry, and fetch in the background.
        FETCH_OR_STALE: fetch and wait, at most `max_stale_wait`; if that fails or takes longer,
            serve the entry.
        FETCH: fetch and wait, until the caller's deadline.
        FAIL: raise the error of the last fetch again.
        NOT_IN_CACHE: raise `NotInCache`.
    """

    SERVE = auto()
    REFRESH = auto()
    FETCH_OR_STALE = auto()
    FETCH = auto()
    FAIL = auto()
    NOT_IN_CACHE = auto()


_ACTIONS = {
    Freshness.FRESH: Action.SERVE,
    Freshness.STALE: Action.REFRESH,
    Freshness.STALE_IF_ERROR: Action.FETCH_OR_STALE,
    Freshness.EXPIRED: Action.FETCH,
}
_INSTEAD_OF_FETCHING = {
    Action.REFRESH: Action.SERVE,
    Action.FETCH_OR_STALE: Action.SERVE,
    Action.FETCH: Action.FAIL,
}


def decide(
    directive: CacheDirective,
    freshness: Freshness,
    *,
    age: float,
    ttl: float,
    min_age: float = 0.0,
    failed: bool = False,
    backing_off: bool = False,
    recently_refetched: bool = False,
) -> Action:
    """Return what to do for a request.

    Args:
        directive: which entries the caller accepts.
        freshness: the freshness of the entry; expired if there is none.
        age: the age of the entry in seconds.
        ttl: the TTL of the cache in seconds.
        min_age: seconds; a younger entry satisfies every request directive.
        failed: whether the last fetch failed.
        backing_off: whether it is too early for another fetch after that.
        recently_refetched: whether the entry replaced an outdated one ahead of time, less than a
            TTL ago. Only a request directive that does not accept it fetches it again.
    """
    is_usable = freshness is not Freshness.EXPIRED
    accepted = is_usable and directive.accepts(freshness, age=age, ttl=ttl, min_age=min_age)
    if directive.only_if_cached:
        return Action.SERVE if accepted else Action.NOT_IN_CACHE
    is_internal = directive.must_revalidate or directive.refetch
    if recently_refetched and not backing_off and (accepted or is_internal):
        return Action.SERVE
    action = _ACTIONS[freshness]
    if directive.refetch or (is_usable and not accepted):
        action = Action.FETCH_OR_STALE
    elif action is Action.FETCH_OR_STALE and directive.max_stale is not None:
        action = Action.REFRESH  # the caller has said that it accepts an entry as old as this
    is_fallback = action is Action.FETCH_OR_STALE or (failed and action is Action.REFRESH)
    if is_fallback and not directive.accepts_after_failure(age - ttl):
        action = Action.FETCH
    return _INSTEAD_OF_FETCHING.get(action, action) if backing_off else action
