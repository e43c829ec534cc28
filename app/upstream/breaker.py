"""Leave an upstream in peace that is ill: a state machine without a clock, a wait or a call.

        5 failures in a row, or half of the last 20
closed ---------------------------------------------> open
  ^                                                    | pause is over
  |   the probe is answered                            v
  +------------------------------------------------ half open: one probe at a time
                                                       | the probe fails: open again
"""

from collections import deque
from enum import Enum

CONSECUTIVE_FAILURES = 5
WINDOW_SIZE = 20
FAILURE_RATIO = 0.5
"""Of the last `LOOKED_AT` calls: as many failures open."""

PROBE_RETRY_SECONDS = 1.0
"""Seconds after which to ask again while a probe is under way: nobody knows how long it takes."""


class CallResult(Enum):
    """What a call tells of the upstream."""

    SUCCESS = "well"
    FAILURE = "ill"
    IGNORED = "untold"


class Breaker:
    """Closed, open, or half open. Moments are of one monotonic clock, in seconds.

    Args:
        pause: seconds without a call before the next probe.
    """

    def __init__(self, *, pause: float) -> None:
        self._pause = pause
        self._last: deque[bool] = deque(maxlen=WINDOW_SIZE)
        self._in_a_row = 0
        self._probe_at: float | None = None
        self._probing = False
        self._turn = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for probes."""
        return self._probe_at is not None

    def retry_in(self, now: float) -> float | None:
        """Seconds after which to ask again; None where a call may go out now."""
        if self._probe_at is None:
            return None
        if now < self._probe_at:
            return self._probe_at - now
        return PROBE_RETRY_SECONDS if self._probing else None

    def before_call(self) -> int:
        """A call goes out, which is not refused. Returns what to name when it has ended."""
        self._probing = self.is_open
        return self._turn

    def after_call(self, turn: int, health: CallResult, now: float) -> float | None:
        """The call of `turn` has ended, and tells `health`.

        A call from before the breaker last opened or closed tells nothing any more.

        Returns the seconds to the next probe where that opened the breaker.
        """
        if turn != self._turn:
            return None
        was_probe = self._probing
        self._probing = False
        if health is CallResult.IGNORED:
            return None
        ill = health is CallResult.FAILURE
        self._last.append(ill)
        self._in_a_row = self._in_a_row + 1 if ill else 0
        opens = (
            self._in_a_row >= CONSECUTIVE_FAILURES or sum(self._last) >= WINDOW_SIZE * FAILURE_RATIO
        )
        if was_probe or opens:
            self._probe_at = now + self._pause if ill else None
            self._turn += 1
            self._last.clear()
            self._in_a_row = 0
        return self.retry_in(now)
