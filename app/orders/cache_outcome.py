"""How an answer came about, told in Cache-Status, X-Freshness and the access line. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.cache.freshness import Freshness
from app.cache.grace_cache import How, Served

_BY_GOODNESS = list(Freshness)


@dataclass(frozen=True, slots=True)
class Manner:
    """How the lookups behind one answer went, taken together.

    Attributes:
        cache_status: the member of Cache-Status that is ours (RFC 9211 §2).
        freshness: of the least fresh part.
        outcome: one word for the access line: hit, stale, miss, collapsed, kept.
    """

    cache_status: str
    freshness: Freshness
    outcome: str


def held_fresh(seconds_left: float) -> Manner:
    """All of it was held, and fresh for so long yet."""
    status = f"orders-bff; hit; ttl={math.floor(seconds_left)}"
    return Manner(status, Freshness.FRESH, "hit")


def manner_of(
    served: Sequence[Served[Any]],
    *,
    now: float,
    code_of: Callable[[BaseException], str],
    stored: bool = True,
) -> Manner:
    """What several lookups amount to: of their ways, the last of `How` speaks."""
    speaker = max(served, key=lambda lookup: lookup.how)
    freshness = max((lookup.freshness for lookup in served), key=_BY_GOODNESS.index)
    left = min(_seconds_left(lookup, now) for lookup in served)
    status = f"orders-bff; fwd={speaker.reason}"
    match speaker.how:
        case How.HELD:
            return held_fresh(left)
        case How.HELD_STALE:
            outcome = "kept" if freshness is Freshness.KEPT else "stale"
            return Manner(f"orders-bff; hit; ttl={math.floor(left)}", freshness, outcome)
        case How.FETCHED:
            return Manner(f"{status}; stored" if stored else status, freshness, "miss")
        case How.JOINED:
            return Manner(f"{status}; collapsed", freshness, "collapsed")
        case _:  # FAILED
            code = code_of(speaker.failure) if speaker.failure else "internal_error"
            return Manner(f"{status}; ttl={math.floor(left)}; detail={code}", freshness, "kept")


def _seconds_left(lookup: Served[Any], now: float) -> float:
    left = lookup.ttl - (now - lookup.entry.asked)
    return min(left, 0) if lookup.entry.lagging else left
