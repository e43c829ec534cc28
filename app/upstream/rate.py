"""The rate at which calls may start: at most `max_rate` in any second, halved when throttled.

A sliding log of the last starts decides, so a burst of `max_rate` may go out at once and the next
call a second after the first of them. Reads no clock.
"""

from collections import deque
from dataclasses import dataclass

MIN_RATE = 1.0
"""Calls per second that remain however often the upstream throttles, so recovery is noticed."""

RECOVERY_SECONDS = 60.0
"""Seconds in which the rate grows by `max_rate`: from half of it back to all of it in 30."""

DEFAULT_THROTTLE_SECONDS = 1.0
"""Seconds without a call after a throttled response without Retry-After."""


@dataclass(slots=True, eq=False)
class CallStart:
    """When a call started: first when it was let out, then updated when it was really sent.

    On a busy event loop or a slow connect that is later. Counting from the earlier time would
    let more than `max_rate` calls reach the upstream within one second.
    """

    at: float


class RateLimit:
    """A sliding log of call starts. Times are of one monotonic clock, in seconds.

    Args:
        max_rate: calls that may start within any second.

    Attributes:
        paused_until: no call may start before.
    """

    def __init__(self, max_rate: int) -> None:
        self._max_rate = max_rate
        self._starts: deque[CallStart] = deque(maxlen=max_rate)
        self._reduced_rate = float(max_rate)
        self._growing_since = float("-inf")
        self._halved_at = float("-inf")
        self.paused_until = float("-inf")

    def rate(self, now: float) -> float:
        """Return the calls per second that are allowed at `now`."""
        growth = max(now - self._growing_since, 0.0) * self._max_rate / RECOVERY_SECONDS
        return min(self._reduced_rate + growth, float(self._max_rate))

    def next_slot(self, now: float) -> float:
        """Return the time from which one more call may start; not after `now` if it may already."""
        allowed = int(self.rate(now))
        if len(self._starts) < allowed:
            return self.paused_until
        return max(self.paused_until, self._starts[-allowed].at + 1.0)

    def record(self, now: float) -> CallStart:
        """Record that a call starts at `now`."""
        start = CallStart(now)
        self._starts.append(start)
        return start

    def on_throttled(self, started: float, now: float, retry_after: float | None) -> None:
        """Pause all calls for `retry_after` seconds and halve the rate, which then grows again.

        Of calls that were in flight together only the first halves the rate.

        Args:
            started: when the throttled call started.
            now: when its response arrived.
            retry_after: what the response asks for; `DEFAULT_THROTTLE_SECONDS` if None.
        """
        pause = DEFAULT_THROTTLE_SECONDS if retry_after is None else retry_after
        self.paused_until = max(self.paused_until, now + pause)
        if started >= self._halved_at:
            self._reduced_rate = max(self.rate(now) / 2, min(MIN_RATE, self._max_rate))
            self._halved_at = now
        else:
            self._reduced_rate = self.rate(now)
        self._growing_since = self.paused_until
