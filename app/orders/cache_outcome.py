"""How an answer came about, told in Cache-Status, X-Freshness and the access line. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.cache.freshness import Freshness
from app.cache.grace_cache import Lookup, Outcome

_BY_GOODNESS = list(Freshness)


@dataclass(frozen=True, slots=True)
class CacheOutcome:
    """How the lookups behind one answer went, taken together.

    Attributes:
        cache_status: the member of Cache-Status that is ours (RFC 9211 §2).
        freshness: of the least fresh part.
        outcome: one word for the access line: hit, stale, miss, collapsed, kept.
    """

    cache_status: str
    freshness: Freshness
    name: str


def fresh_hit(seconds_left: float) -> CacheOutcome:
    """All of it was held, and fresh for so long yet."""
    status = f"orders-bff; hit; ttl={math.floor(seconds_left)}"
    return CacheOutcome(status, Freshness.FRESH, "hit")


def combine_lookups(
    served: Sequence[Lookup[Any]],
    *,
    now: float,
    code_of: Callable[[BaseException], str],
    stored: bool = True,
) -> CacheOutcome:
    """What several lookups amount to: of their ways, the last of `How` speaks."""
    speaker = max(served, key=lambda lookup: lookup.outcome)
    freshness = max((lookup.freshness for lookup in served), key=_BY_GOODNESS.index)
    left = min(_seconds_left(lookup, now) for lookup in served)
    status = f"orders-bff; fwd={speaker.forward_reason}"
    match speaker.outcome:
        case Outcome.HIT:
            return fresh_hit(left)
        case Outcome.STALE_HIT:
            outcome = "stale_if_error" if freshness is Freshness.STALE_IF_ERROR else "stale_hit"
            return CacheOutcome(f"orders-bff; hit; ttl={math.floor(left)}", freshness, outcome)
        case Outcome.MISS:
            return CacheOutcome(f"{status}; stored" if stored else status, freshness, "miss")
        case Outcome.COLLAPSED:
            return CacheOutcome(f"{status}; collapsed", freshness, "collapsed")
        case _:  # FAILED
            code = code_of(speaker.error) if speaker.error else "internal_error"
            return CacheOutcome(
                f"{status}; ttl={math.floor(left)}; detail={code}", freshness, "stale_if_error"
            )


def _seconds_left(lookup: Lookup[Any], now: float) -> float:
    left = lookup.ttl - (now - lookup.entry.fetched_at)
    return min(left, 0) if lookup.entry.outdated else left
