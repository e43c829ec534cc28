"""Bounds how often one event is logged, so that an outage does not fill the disk."""

from collections import Counter

from app.clock import Clock

WINDOW_SECONDS = 60.0

MAX_REPEATS = 20
"""Lines of one kind in one window."""

MAX_KINDS = 200
"""Kinds that are counted separately in one window; further ones count as `OTHER`."""

Kind = tuple[str, str]
"""Event and operation."""

OTHER: Kind = ("other", "")


class RepeatLimit:
    """Admits `MAX_REPEATS` lines of each kind per window, and counts the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window_ends = clock.monotonic() + WINDOW_SECONDS
        self._counts: Counter[Kind] = Counter()

    def admit(self, kind: Kind) -> bool:
        """Count a line, and return whether it may be written."""
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = OTHER
        self._counts[kind] += 1
        return self._counts[kind] <= MAX_REPEATS

    def end_window(self, *, now: bool = False) -> list[tuple[Kind, int]]:
        """Start a new window if this one has ended, or anyway with `now`.

        Returns:
            How many lines of each kind were not written in the window that has ended.
        """
        if not now and self._clock.monotonic() < self._window_ends:
            return []
        suppressed = [
            (kind, count - MAX_REPEATS)
            for kind, count in self._counts.items()
            if count > MAX_REPEATS
        ]
        self._counts.clear()
        self._window_ends = self._clock.monotonic() + WINDOW_SECONDS
        return suppressed
