"""Backing off after a failure: when to try again, and which error to raise until then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

BackoffPolicy = Callable[[Exception, int], float]
"""Returns the seconds to back off, given the error and the number of failures in a row."""


def exponential_backoff(_error: Exception, failures: int) -> float:
    """Return the seconds to back off after so many failures in a row: 1, 2, 4, then 5."""
    return min(2.0 ** (min(failures, 4) - 1), 5.0)


@runtime_checkable
class AgingError(Protocol):
    """An error with a Retry-After that counts down, and that can lose its cause.

    Attributes:
        is_outdated: returns whether its cause may be gone, so that nothing is backed off from.
    """

    is_outdated: Callable[[], bool]

    def aged(self, elapsed: float, left: float) -> Exception:
        """Return a copy, raised `elapsed` seconds later, with at least `left` seconds to retry."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of something that is not tried again until `retry_at`.

    Attributes:
        error: what was raised. Of an `AgingError` it is a copy without a traceback, which would
            keep everything in its frames alive.
        count: the number of failures in a row, this one included.
        failed_at: in seconds of the monotonic clock.
        retry_at: in seconds of the monotonic clock.
    """

    error: Exception
    count: int
    failed_at: float
    retry_at: float

    @classmethod
    def after(
        cls, previous: "Failure | None", error: Exception, now: float, policy: BackoffPolicy
    ) -> "Failure":
        """Return the failure that follows `previous`, or the first one if that is None."""
        count = previous.count + 1 if previous and not previous.is_outdated() else 1
        seconds = policy(error, count)
        return cls(_aged(error, 0.0, seconds), count, now, now + seconds)

    def is_backing_off(self, now: float) -> bool:
        """Return whether it is too early to try again."""
        return now < self.retry_at and not self.is_outdated()

    def is_outdated(self) -> bool:
        """Return whether the cause of the failure may be gone."""
        return isinstance(self.error, AgingError) and self.error.is_outdated()

    def error_at(self, now: float) -> Exception:
        """Return the error to raise to one caller: its Retry-After is what is left of it."""
        return _aged(self.error, now - self.failed_at, max(self.retry_at - now, 0.0))


def _aged(error: Exception, elapsed: float, left: float) -> Exception:
    # A copy: one error that is raised to many callers would collect the tracebacks of all.
    aged = error.aged(elapsed, left) if isinstance(error, AgingError) else error
    return aged.with_traceback(None)
