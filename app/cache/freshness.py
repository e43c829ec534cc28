"""For how long an answer is good: arithmetic on ages, in seconds. Reads no clock.

asked            ttl                    ttl+grace                         ttl+grace+keep
   |--- fresh ----|------- stale --------|------------- kept -------------|--- gone
   serve at once    serve at once and      ask and wait, at most WAIT; if    ask and wait, at
                    refresh behind         that fails or lasts, serve it     most DEADLINE
"""

from dataclasses import dataclass, replace
from enum import Enum


class Freshness(Enum):
    """How good what is held still is."""

    FRESH = "fresh"
    STALE = "stale"
    KEPT = "kept"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The three spans of an answer's life, each in seconds after the one before."""

    ttl: float
    grace: float
    keep: float

    def stretched(self, ttl: float) -> "Lifetime":
        """The same life with a ttl of `ttl` seconds, if that is longer."""
        return replace(self, ttl=max(self.ttl, ttl))

    def judge(self, age: float) -> Freshness:
        """What an answer is, `age` seconds after it was asked for."""
        if age < self.ttl:
            return Freshness.FRESH
        if age < self.ttl + self.grace:
            return Freshness.STALE
        if age < self.ttl + self.grace + self.keep:
            return Freshness.KEPT
        return Freshness.GONE


def pause_after(failures: int) -> float:
    """Seconds not to ask again after that many failures in a row: 1, 2, 4, then 5."""
    return min(2.0 ** (min(failures, 4) - 1), 5.0)
