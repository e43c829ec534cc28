"""What callers have consumed of their limits in other processes, exchanged in the background.

A process reports what each caller has consumed in its last exchanges, and adds what the others
report to its own counts. So a request costs nothing more, and what arrives in several processes
between two exchanges may exceed a limit. Callers are named by a hash: names and addresses stay in
the process.
"""

import hashlib
from collections import deque
from collections.abc import Hashable, Iterable, Mapping

import msgspec

from app.edge.rate_limiter import RateLimiter

EXCHANGES = 8
"""Exchanges whose consumption a report has. A process that misses more of them misses some."""

MAX_CALLERS = 10_000
"""Callers of other processes whose consumption is remembered until they send a request here."""

Consumed = dict[str, dict[str, float]]
"""For each limit the hashed callers, and the seconds of their quota that they have consumed."""


class Consumption(msgspec.Struct, frozen=True):
    """What the callers of one process have consumed.

    Attributes:
        exchange: the number of the last exchange.
        consumed: what was consumed before each of the last exchanges, the oldest first.
    """

    exchange: int = 0
    consumed: tuple[Consumed, ...] = ()


class SharedLimits:
    """Exchanges the consumption of limits, which are given by name."""

    def __init__(self, limiters: Mapping[str, RateLimiter]) -> None:
        self._limiters = limiters
        self._exchange = 0
        self._recent: deque[Consumed] = deque(maxlen=EXCHANGES)
        self._seen: dict[str, int] = {}
        self._keys: dict[str, dict[str, Hashable]] = {name: {} for name in limiters}
        # When the quota of callers who are unknown here is restored, as in `RateLimiter`.
        self._unknown: dict[str, dict[str, float]] = {name: {} for name in limiters}
        for limiter in limiters.values():
            limiter.record()

    def report(self, now: float) -> Consumption:
        """Return what was consumed here; callers who are new here get what others have counted."""
        consumed: Consumed = {}
        for name, limiter in self._limiters.items():
            hashed = {_hash(key): (key, seconds) for key, seconds in limiter.drain().items()}
            keys, unknown = self._keys[name], self._unknown[name]
            if len(keys) + len(hashed) > MAX_CALLERS:
                keys.clear()
            for digest, (key, _) in hashed.items():
                keys[digest] = key
                limiter.add(key, max(unknown.pop(digest, now) - now, 0.0), now)
            consumed[name] = {digest: seconds for digest, (_, seconds) in hashed.items()}
        self._exchange += 1
        self._recent.append(consumed)
        return Consumption(self._exchange, tuple(self._recent))

    def apply(self, reports: Mapping[str, Consumption], now: float) -> None:
        """Count what other processes report, by their names, and what was not counted before."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in reports}
        for process, report in reports.items():
            count = report.exchange - self._seen.get(process, 0)
            self._seen[process] = report.exchange
            if count > 0:
                self._count(report.consumed[-count:], now)

    def _count(self, exchanges: Iterable[Consumed], now: float) -> None:
        for consumed in exchanges:
            for name in self._limiters.keys() & consumed.keys():
                keys, unknown = self._keys[name], self._unknown[name]
                for digest, seconds in consumed[name].items():
                    if digest in keys:
                        self._limiters[name].add(keys[digest], seconds, now)
                    elif digest in unknown or len(unknown) < MAX_CALLERS:
                        unknown[digest] = max(unknown.get(digest, now), now) + seconds
        for name, unknown in self._unknown.items():
            self._unknown[name] = {digest: at for digest, at in unknown.items() if at > now}


def _hash(key: Hashable) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]
