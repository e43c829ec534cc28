"""The generic cell rate algorithm (ITU-T I.371): how much of its rate each key has consumed.

The state of a key is one number: the time at which all of its quota is available again (in I.371
the theoretical arrival time). A request moves it by the time that one request takes at the rate. A
key that has rested has the whole quota at once, and from then on one request per `interval`: no
more than twice the quota passes within any window.
"""

from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import NamedTuple, Self

MAX_KEYS = 10_000
"""Keys whose consumption is known: about 2 MiB."""

ROUNDING = 0.01
"""Part of a request by which the sums of many intervals may differ from a window."""

_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


class Rate(NamedTuple):
    """A number of requests per unit of time.

    Attributes:
        quota: requests per window.
        unit: `second`, `minute` or `hour`.
        window: the unit in seconds.
        interval: seconds that one request takes at this rate.
    """

    quota: int
    unit: str
    window: float
    interval: float

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the rate of a text such as `6000/minute`, or None for `0`: no limit."""
        quota, _, unit = text.partition("/")
        if not unit:
            return None
        window = _SECONDS[unit]
        return cls(int(quota), unit, window, window / int(quota))


class RateLimiter:
    """Admits requests by key. The caller passes the rate, and the monotonic time as `now`.

    Keys whose quota is available again are forgotten. If there are still too many, those that have
    consumed most are kept, so that requests from many addresses do not reset the limit of others.
    """

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._restored_at: dict[Hashable, float] = {}
        self._consumed: dict[Hashable, float] | None = None

    def __len__(self) -> int:
        return len(self._restored_at)

    def take(self, key: Hashable, rate: Rate, now: float) -> float:
        """Count one request and return 0, or return the seconds until one would be admitted.

        A request that is not admitted is not counted.
        """
        return self.counter(key, rate)(now)

    def counter(
        self, key: Hashable, rate: Rate, *, given_back: float = 0.0
    ) -> Callable[[float], float]:
        """Return `take` for one key, as a function of `now`.

        Of each request that it admits, the part `given_back` is returned at once.
        """
        interval, window = rate.interval, rate.window
        most = window + interval * ROUNDING
        unused = given_back * interval

        def take(now: float) -> float:
            consumption = self._restored_at
            restored_at = consumption.get(key, now)
            # A call of `max` would cost more than the rest.
            restored_at = (restored_at if restored_at > now else now) + interval  # noqa: FURB136
            if restored_at - now > most:
                return restored_at - now - window
            consumption[key] = restored_at - unused
            if self._consumed is not None:
                self._consumed[key] = self._consumed.get(key, 0.0) + interval - unused
            if len(consumption) > self._max_keys:
                self._forget(now)
            return 0.0

        return take

    def give_back(self, key: Hashable, rate: Rate, requests: float) -> None:
        """Return a part of what was counted."""
        if key in self._restored_at:
            self._restored_at[key] -= requests * rate.interval
            if self._consumed is not None:
                consumed = self._consumed.get(key, 0.0)
                self._consumed[key] = consumed - requests * rate.interval

    def record(self) -> None:
        """Record from now on what is consumed, for `drain`."""
        self._consumed = {}

    def drain(self) -> dict[Hashable, float]:
        """Return the seconds of its quota that each key has consumed since the last call."""
        consumed, self._consumed = self._consumed or {}, {}
        return consumed

    def add(self, key: Hashable, seconds: float, now: float) -> None:
        """Count what was consumed elsewhere; unlike `take`, it may exceed the quota."""
        self._restored_at[key] = max(now, self._restored_at.get(key, now)) + seconds

    def remaining(self, key: Hashable, rate: Rate, now: float) -> tuple[int, float]:
        """Return the requests that would be admitted now, and the seconds until one more is."""
        consumed = max(self._restored_at.get(key, now) - now, 0.0)
        left = max((rate.window - consumed) / rate.interval + ROUNDING, 0.0)
        return int(left), min((1 - left % 1) * rate.interval, consumed)

    def _forget(self, now: float) -> None:
        active = [item for item in self._restored_at.items() if item[1] > now]
        # Half of the keys at most, so that this is not repeated with each request.
        active.sort(key=itemgetter(1))
        self._restored_at = dict(active[-(self._max_keys // 2) :])
