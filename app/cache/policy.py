"""The caching policy: what to do for a request, given its directive and the entry's freshness."""

from enum import Enum, auto

from app.cache.freshness import Freshness


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
