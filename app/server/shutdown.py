"""The state of a graceful shutdown."""

from math import inf

from app.clock import Clock


class Shutdown:
    """Whether shutdown has started, and how much time is left for it.

    Shared by readiness, the server and the closing of resources.

    Args:
        clock: the source of time, also of the server: its times are compared with those of others.
        drain_delay: seconds after the start in which connections are still accepted, so that load
            balancers notice that readiness fails.
        drain_timeout: seconds after that for accepted requests to complete.

    Attributes:
        started: whether it has started.
        started_at: when it has started; infinity before.
    """

    def __init__(self, clock: Clock, *, drain_delay: float, drain_timeout: float) -> None:
        self.clock = clock
        self._delay = drain_delay
        self._timeout = drain_timeout
        self.started = False
        self.started_at = inf

    def start(self) -> None:
        """Start shutdown, once. Safe to call from a signal handler."""
        if not self.started:
            self.started_at = self.clock.monotonic()
            self.started = True

    def should_stop_accepting(self) -> bool:
        """Return whether the drain delay is over."""
        return self.clock.monotonic() >= self.started_at + self._delay

    def seconds_left(self) -> float:
        """Return the seconds left to complete requests: before the start, the full timeout."""
        drained = max(0.0, self.clock.monotonic() - self.started_at - self._delay)
        return max(0.0, self._timeout - drained)
