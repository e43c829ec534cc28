"""A circuit breaker: a state machine that makes no call and reads no clock.

        5 consecutive failures,
        or half of the last 20 calls
closed ------------------------------> open
  ^                                     | open_seconds have passed
  | the probe succeeds                  v
  +--------------------------------- half-open: one probe at a time
                                        | the probe fails: open again
"""

from collections import deque
from enum import Enum, auto

CONSECUTIVE_FAILURES = 5
WINDOW_SIZE = 20
FAILURE_RATIO = 0.5
"""Part of the last `WINDOW_SIZE` calls: so many failures open the circuit."""

PROBE_RETRY_SECONDS = 1.0
"""`retry_in` while a probe is in flight, whose duration is unknown."""


class CallResult(Enum):
    """What a finished call says about the upstream's health."""

    SUCCESS = auto()
    FAILURE = auto()
    IGNORED = auto()
    """Nothing: for example, our own deadline passed first."""


class Breaker:
    """Rejects calls while the upstream fails. Times are of one monotonic clock, in seconds.

    Args:
        open_seconds: how long an open circuit rejects all calls before it lets a probe pass.
    """

    def __init__(self, *, open_seconds: float) -> None:
        self._open_seconds = open_seconds
        self._recent_failures: deque[bool] = deque(maxlen=WINDOW_SIZE)
        self._consecutive_failures = 0
        self._probe_at: float | None = None  # None while closed
        self._probing = False
        self._epoch = 0

    def __repr__(self) -> str:
        if self._probe_at is None:
            return f"<Breaker closed, {self._consecutive_failures} consecutive failures>"
        if self._probing:
            return "<Breaker half-open, probe in flight>"
        return f"<Breaker open until {self._probe_at:.1f}>"

    @property
    def is_open(self) -> bool:
        """Whether calls are rejected, except for probes (open or half-open)."""
        return self._probe_at is not None

    def retry_in(self, now: float) -> float | None:
        """Return the seconds after which to try again, or None if a call may go out now."""
        if self._probe_at is None:
            return None
        if now < self._probe_at:
            return self._probe_at - now
        return PROBE_RETRY_SECONDS if self._probing else None

    def before_call(self) -> int:
        """Record that a call goes out; return the epoch to pass to `after_call`."""
        self._probing = self.is_open
        return self._epoch

    def after_call(self, epoch: int, result: CallResult, now: float) -> float | None:
        """Record the result of a call that started in `epoch`.

        Results from before the circuit last opened or closed are ignored.

        Returns:
            The seconds until the next probe if this opened the circuit, else None.
        """
        if epoch != self._epoch:
            return None
        was_probe = self._probing
        self._probing = False
        if result is CallResult.IGNORED:
            return None
        failed = result is CallResult.FAILURE
        self._recent_failures.append(failed)
        self._consecutive_failures = self._consecutive_failures + 1 if failed else 0
        if was_probe or self._is_over_threshold():
            self._probe_at = now + self._open_seconds if failed else None
            self._epoch += 1
            self._recent_failures.clear()
            self._consecutive_failures = 0
        return self.retry_in(now)

    def _is_over_threshold(self) -> bool:
        return (
            self._consecutive_failures >= CONSECUTIVE_FAILURES
            or sum(self._recent_failures) >= WINDOW_SIZE * FAILURE_RATIO
        )
