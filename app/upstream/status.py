"""When the upstream last succeeded and last failed, known without calling it."""

from dataclasses import dataclass

from app.clock import Clock
from app.upstream.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class LastContact:
    """The ages of the last success and failure; `error` is a failure with no success after it."""

    seconds_since_success: float | None
    seconds_since_failure: float | None
    error: UpstreamError | None


class UpstreamStatus:
    """Remembers the last success and the last failure."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._succeeded_at: float | None = None
        self._failed_at: float | None = None
        self._error: UpstreamError | None = None

    def on_success(self) -> None:
        """Record that the upstream answered a request."""
        self._succeeded_at, self._error = self._clock.monotonic(), None

    def on_failure(self, error: UpstreamError) -> None:
        """Record that a request failed with `error`, without keeping its traceback alive."""
        self._failed_at, self._error = self._clock.monotonic(), error.aged(0.0, 0.0)

    def last_contact(self) -> LastContact:
        """Return when and how the last requests ended."""
        return LastContact(self._age(self._succeeded_at), self._age(self._failed_at), self._error)

    def _age(self, time: float | None) -> float | None:
        return None if time is None else self._clock.monotonic() - time
