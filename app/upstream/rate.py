"""How often calls may start: never more than allowed in any second, half as often once throttled.

A bucket of starts fills evenly and holds a fifth of a second's worth, so a window of two blocks
need not wait and a hundred do not come at once. Beside it the starts of the last second are
counted: a full bucket at its border allows no more than an even second does. Reads no clock.
"""

from collections import deque
from dataclasses import dataclass

SECOND = 1.0
BURST = 0.2
"""Seconds' worth of starts that a quiet time saves up."""

MIN_RATE = 1.0
"""Calls a second, however often we were throttled: who asks nothing learns nothing."""

RECOVERY_SECONDS = 60.0
"""Seconds in which the rate grows by all that is allowed: from half of it to the whole in 30."""

DEFAULT_THROTTLE_SECONDS = 1.0
"""Seconds without a call after a throttling that names no time."""


@dataclass(slots=True, eq=False)
class CallStart:
    """When a call starts: first when it may, then, set anew, when it really goes out.

    On a busy loop that is later; counted from when they might have, more would go out in a second.
    """

    at: float


class RateLimit:
    """The moments at which calls may start. Moments are of one monotonic clock, in seconds.

    Args:
        max_rate: calls that start within any second.
    """

    def __init__(self, max_rate: int) -> None:
        self._max_rate = max_rate
        self._starts: deque[CallStart] = deque(maxlen=max_rate)
        self._filled_at = float("-inf")  # when the bucket is full again
        self._rate_then = float(max_rate)
        self._since = float("-inf")
        self._halved_at = float("-inf")
        self.paused_until = float("-inf")

    def rate(self, now: float) -> float:
        """Calls a second, as of `now`."""
        grown = max(now - self._since, 0.0) * self._max_rate / RECOVERY_SECONDS
        return min(self._rate_then + grown, float(self._max_rate))

    def next_start(self, now: float) -> float:
        """The moment from which one more call may start; `now` or a past one if it is due."""
        rate = self.rate(now)
        saved_up = max(rate * BURST - 1.0, 0.0) / rate
        earliest = max(self.paused_until, self._filled_at - saved_up)
        if len(self._starts) == self._max_rate:
            earliest = max(earliest, self._starts[0].at + SECOND)
        return earliest

    def started(self, now: float) -> CallStart:
        """A call starts now."""
        start = CallStart(now)
        self._starts.append(start)
        self._filled_at = max(self._filled_at, now) + 1.0 / self.rate(now)
        return start

    def on_throttled(self, started: float, now: float, retry_after: float | None) -> None:
        """A call that started at `started` was answered `too many calls`.

        All calls pause for `retry_after` seconds, and go on at half the rate; it grows again from
        then on. Of calls that were in flight together only the first halves it.
        """
        pause = DEFAULT_THROTTLE_SECONDS if retry_after is None else retry_after
        self.paused_until = max(self.paused_until, now + pause)
        if started >= self._halved_at:
            self._rate_then = max(self.rate(now) / 2, min(MIN_RATE, self._max_rate))
            self._halved_at = now
        else:
            self._rate_then = self.rate(now)
        self._since = self.paused_until
