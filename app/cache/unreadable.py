"""Counts and reports what is in a shared store and was not written by this program."""

import logging
from collections import Counter

from app.clock import Clock

LOG_SECONDS = 60.0
"""Seconds between two log lines about one kind."""

_logger = logging.getLogger("orders_bff.store")


class UnreadableValues:
    """What could not be read, and so counts as missing.

    Attributes:
        counts: how often, by kind: the part of the key that says what is stored under it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counts: Counter[str] = Counter()
        self._logged_at: dict[str, float] = {}

    def report(self, kind: str) -> None:
        """Count one, and log that there are some of this kind, once a minute."""
        self.counts[kind] += 1
        now = self._clock.monotonic()
        if now - self._logged_at.get(kind, float("-inf")) >= LOG_SECONDS:
            self._logged_at[kind] = now
            fields = {"kind": kind, "count": self.counts[kind]}
            _logger.warning("store_value_unreadable", extra={"fields": fields})
