"""The state of graceful shutdown, shared by readiness, the server and the closing of resources."""

from app.clock import Clock


class Shutdown:
    """Whether shutdown has started, and how much time is left for it.

    Args:
        clock: time.
        drain_delay: seconds after the start in which connections are still accepted, so that load
            balancers notice that readiness fails.
        drain_timeout: seconds after that for accepted requests to complete.
    """

    def __init__(self, clock: Clock, *, drain_delay: float, drain_timeout: float) -> None:
        self._clock = clock
        self._delay = drain_delay
        self._timeout = drain_timeout
        self._started_at: float | None = None

    @property
    def started(self) -> bool:
        """Whether shutdown has started."""
        return self._started_at is not None

    def start(self) -> None:
        """Start shutdown, once. Safe to call from a signal handler."""
        if self._started_at is None:
            self._started_at = self._clock.monotonic()

    def should_stop_accepting(self) -> bool:
        """Return whether the drain delay is over."""
        return self.started and self._elapsed() >= self._delay

    def seconds_left(self) -> float:
        """Return the seconds left to complete requests; the whole timeout before the start."""
        return max(0.0, self._timeout - max(0.0, self._elapsed() - self._delay))

    def _elapsed(self) -> float:
        return 0.0 if self._started_at is None else self._clock.monotonic() - self._started_at
