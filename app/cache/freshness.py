"""How fresh a cached entry is, and what the cache does for a request (RFC 9111, RFC 5861).

requested        TTL          TTL + STALE_WHILE_REVALIDATE        TTL + STALE_IF_ERROR
   |--- fresh ----|---------- stale -------|-------- stale-if-error ---------|--- expired
   serve            serve, and refresh in    fetch and wait, at most           fetch and wait,
                    the background           MAX_STALE_WAIT; if that fails     at most DEADLINE
                                             or takes longer, serve it
"""

from dataclasses import dataclass
from enum import Enum, auto


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

    def freshness(self, age: float) -> Freshness:
        """Return the freshness of an entry that was requested `age` seconds ago."""
        if age < self.ttl:
            return Freshness.FRESH
        if age < self.ttl + self.stale_while_revalidate:
            return Freshness.STALE
        if age < self.ttl + self.stale_if_error:
            return Freshness.STALE_IF_ERROR
        return Freshness.EXPIRED


class CacheDirective(Enum):
    """Which answer a caller wants.

    `NO_CACHE` and `ONLY_IF_CACHED` are request directives (RFC 9111 section 5.2.1); the last two
    are used by the order book.

    Attributes:
        DEFAULT: the cached entry as long as it is usable, else a fetched one.
        NO_CACHE: a newly fetched entry; the cached one if the fetch fails.
        ONLY_IF_CACHED: the cached entry; nothing is fetched.
        MUST_REVALIDATE: a fresh entry; the error if the fetch fails.
        REFETCH: a newer entry than one found to be outdated; that one if the fetch fails.
    """

    DEFAULT = auto()
    NO_CACHE = auto()
    ONLY_IF_CACHED = auto()
    MUST_REVALIDATE = auto()
    REFETCH = auto()


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


D, A = CacheDirective, Action

# fmt: off
_ACTIONS = {
    # directive         fresh             stale             stale-if-error    expired
    D.DEFAULT:         (A.SERVE,          A.REFRESH,        A.FETCH_OR_STALE, A.FETCH),
    D.NO_CACHE:        (A.FETCH_OR_STALE, A.FETCH_OR_STALE, A.FETCH_OR_STALE, A.FETCH),
    D.ONLY_IF_CACHED:  (A.SERVE,          A.SERVE,          A.SERVE,          A.NOT_IN_CACHE),
    D.MUST_REVALIDATE: (A.SERVE,          A.FETCH,          A.FETCH,          A.FETCH),
    D.REFETCH:         (A.FETCH_OR_STALE, A.FETCH_OR_STALE, A.FETCH_OR_STALE, A.FETCH_OR_STALE),
}
_INSTEAD_OF_FETCHING = {
    A.REFRESH: A.SERVE, A.FETCH_OR_STALE: A.SERVE, A.FETCH: A.FAIL,
}
# fmt: on
_COLUMNS = {freshness: column for column, freshness in enumerate(Freshness)}


def decide(
    directive: CacheDirective,
    freshness: Freshness,
    *,
    backing_off: bool = False,
    recently_refetched: bool = False,
) -> Action:
    """Return what to do for a request.

    Args:
        directive: which answer the caller wants.
        freshness: the freshness of the entry; expired if there is none.
        backing_off: whether the last fetch failed, and it is too early for another one.
        recently_refetched: whether the entry replaced an outdated one ahead of time, less than a
            TTL ago. Only `NO_CACHE` fetches it again.
    """
    action = _ACTIONS[directive][_COLUMNS[freshness]]
    if backing_off:
        return _INSTEAD_OF_FETCHING.get(action, action)
    if recently_refetched and directive is not CacheDirective.NO_CACHE:
        return Action.SERVE
    return action
