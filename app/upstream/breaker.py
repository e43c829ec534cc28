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

IN_A_ROW = 5
LOOKED_AT = 20
SHARE = 0.5
"""Of the last `LOOKED_AT` calls: as many failures open."""

PROBING = 1.0
"""Seconds after which to ask again while a probe is under way: nobody knows how long it takes."""


class Health(Enum):
    """What a call tells of the upstream."""

    WELL = "well"
    ILL = "ill"
    UNTOLD = "untold"


class Breaker:
    """Closed, open, or half open. Moments are of one monotonic clock, in seconds.

    Args:
        pause: seconds without a call before the next probe.
    """

    def __init__(self, *, pause: float) -> None:
        self._pause = pause
        self._last: deque[bool] = deque(maxlen=LOOKED_AT)
        self._in_a_row = 0
        self._probe_at: float | None = None
        self._probing = False
        self._turn = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for probes."""
        return self._probe_at is not None

    def refused_for(self, now: float) -> float | None:
        """Seconds after which to ask again; None where a call may go out now."""
        if self._probe_at is None:
            return None
        if now < self._probe_at:
            return self._probe_at - now
        return PROBING if self._probing else None

    def enter(self) -> int:
        """A call goes out, which is not refused. Returns what to name when it has ended."""
        self._probing = self.is_open
        return self._turn

    def leave(self, turn: int, health: Health, now: float) -> float | None:
        """The call of `turn` has ended, and tells `health`.

        A call from before the breaker last opened or closed tells nothing any more.

        Returns the seconds to the next probe where that opened the breaker.
        """
        if turn != self._turn:
            return None
        was_probe = self._probing
        self._probing = False
        if health is Health.UNTOLD:
            return None
        ill = health is Health.ILL
        self._last.append(ill)
        self._in_a_row = self._in_a_row + 1 if ill else 0
        opens = self._in_a_row >= IN_A_ROW or sum(self._last) >= LOOKED_AT * SHARE
        if was_probe or opens:
            self._probe_at = now + self._pause if ill else None
            self._turn += 1
            self._last.clear()
            self._in_a_row = 0
        return self.refused_for(now)
