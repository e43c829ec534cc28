"""Counts of the requests of callers and of the calls to the upstream, for `/metrics`.

The counters of prometheus-client take a lock for each value: about 2.5 µs for one request, more
than a tenth of a cache hit. Everything here runs on the event loop, so plain numbers are enough,
and the library reads them when metrics are scraped (`app/telemetry/exposition.py`).
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

REQUEST_SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Bucket bounds of the duration of a request. A cache hit takes less than 1 ms, an export longer
than any other request."""

CALL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bucket bounds of the duration of an upstream call."""

AGE_SECONDS = (1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0)
"""Bucket bounds of the age of an answer: from fresh ones to a day of an outage."""

METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))
"""Values of the label `method`; any other method is `OTHER_METHOD`."""

OTHER_METHOD = "other"
NOT_CACHED = "none"
"""Value of the label `cache` for a response that does not come from the cache."""

SeriesKey = tuple[str, str, int, str]
"""Route, method, status and cache outcome."""


class Histogram:
    """Values counted by buckets.

    Attributes:
        bounds: the upper bounds of all buckets but the last.
        counts: the number of values in each bucket by itself, not cumulative.
        total: the sum of the values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        bucket = 0 if value <= self.bounds[0] else bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.total += value

    def bucket_of(self, value: float) -> int:
        """Return which of `counts` counts this value."""
        return bisect_left(self.bounds, value)

    def add(self, other: "Histogram") -> None:
        """Add the values of a histogram with the same bounds."""
        self.counts[:] = [
            one + another for one, another in zip(self.counts, other.counts, strict=True)
        ]
        self.total += other.total

    def copy(self) -> "Histogram":
        """Return an independent copy."""
        copied = Histogram(self.bounds)
        copied.add(self)
        return copied


class HttpMetrics:
    """Counts and durations of requests by route, method, status and cache outcome.

    There is one series for each combination that has occurred. All parts are bounded: routes are
    templates, and unknown methods count as one.
    """

    def __init__(self) -> None:
        self._durations: dict[SeriesKey, Histogram] = {}
        self.answer_age = Histogram(AGE_SECONDS)

    def observe(
        self, route: str, method: str, status: int, cache: str, *, seconds: float, age: int | None
    ) -> None:
        """Count one request whose response has ended `seconds` after the request was received."""
        self.observer(route, method, status, cache, age)(seconds)

    def observer(
        self, route: str, method: str, status: int, cache: str, age: int | None
    ) -> Callable[[float], None]:
        """Return a function that counts a request, given the seconds that it has taken.

        Args:
            route: the template of its route, never its path.
            method: the method as received.
            status: the status of the response; 0 if none was sent.
            cache: the cache outcome; empty if the response does not come from the cache.
            age: the Age of the response; None if it has none.
        """
        duration = self._durations.get((route, method, status, cache))
        if duration is None:
            duration = self._series(route, method, status, cache)
        if age is None:
            return duration.observe
        ages = self.answer_age
        bounds, counts, ages_counts = duration.bounds, duration.counts, ages.counts
        shortest, bucket = bounds[0], ages.bucket_of(age)

        def observe_with_age(seconds: float) -> None:
            counts[0 if seconds <= shortest else bisect_left(bounds, seconds)] += 1
            duration.total += seconds
            ages_counts[bucket] += 1
            ages.total += age

        return observe_with_age

    def _series(self, route: str, method: str, status: int, cache: str) -> Histogram:
        method = method if method in METHODS else OTHER_METHOD
        key = (route, method, status, cache)
        return self._durations.setdefault(key, Histogram(REQUEST_SECONDS))

    def series(self) -> list[tuple[SeriesKey, Histogram]]:
        """Return copies of all series, with `NOT_CACHED` in place of an empty cache outcome."""
        return [
            ((route, method, status, cache or NOT_CACHED), duration.copy())
            for (route, method, status, cache), duration in self._durations.items()
        ]


class CallMetrics:
    """Counts of upstream calls by operation and result, and durations by operation."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.durations: dict[str, Histogram] = {}

    def observe(self, operation: str, result: str, seconds: float) -> None:
        """Count one call that has ended, `seconds` after it was sent."""
        key = (operation, result)
        self.counts[key] = self.counts.get(key, 0) + 1
        if operation not in self.durations:
            self.durations[operation] = Histogram(CALL_SECONDS)
        self.durations[operation].observe(seconds)
