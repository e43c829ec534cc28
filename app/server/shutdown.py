"""How far we are with leaving: known to readiness, to the server and to who ends the flights."""

from app.clock import Clock


class Shutdown:
    """Begun or not, and how much time is left.

    Args:
        clock: time.
        delay: seconds in which readiness says no, and callers are still let in.
        drain: seconds after that in which what was accepted may end.
    """

    def __init__(self, clock: Clock, *, delay: float, drain: float) -> None:
        self._clock = clock
        self._delay = delay
        self._drain = drain
        self._began: float | None = None

    @property
    def started(self) -> bool:
        """Whether we were told to leave."""
        return self._began is not None

    def start(self) -> None:
        """Leave. A signal's handler calls it, so it does nothing but note the moment."""
        if self._began is None:
            self._began = self._clock.monotonic()

    def should_stop_accepting(self) -> bool:
        """Whether nobody more is to be let in."""
        return self.started and self._waited() >= self._delay

    def seconds_left(self) -> float:
        """Seconds that what was accepted still has; all of them as long as we were not told."""
        return max(0.0, self._drain - max(0.0, self._waited() - self._delay))

    def _waited(self) -> float:
        return 0.0 if self._began is None else self._clock.monotonic() - self._began
