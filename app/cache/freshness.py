"""How fresh a cached entry of a given age is (RFC 9111 section 4.2, RFC 5861).

requested        TTL          TTL + STALE_WHILE_REVALIDATE        TTL + STALE_IF_ERROR
   |--- fresh ----|---------- stale -------|-------- stale-if-error ---------|--- expired
   serve            serve, and refresh in    fetch and wait, at most           fetch and wait,
                    the background           MAX_STALE_WAIT; if that fails     at most DEADLINE
                                             or takes longer, serve it
"""

from dataclasses import dataclass
from enum import Enum


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
