"""The metrics of one process: their definitions, which are a contract, and their present values.

`docs/ops/metrics.md` describes the same metrics for operators; a test compares the two.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.telemetry.counters import (
    AGE_SECONDS,
    CALL_SECONDS,
    REQUEST_SECONDS,
    CallMetrics,
    Histogram,
    HttpMetrics,
    SeriesKey,
)

Kind = Literal["counter", "gauge", "histogram"]

Labels = tuple[str, ...]
"""The values of all labels of a metric, in the order of its definition."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric means.

    Attributes:
        name: the full name; that of a counter ends with `_total`.
        kind: how its value changes.
        help: one sentence.
        labels: the names of its labels.
        buckets: the upper bounds of a histogram.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()


DEFINITIONS = (
    Definition(
        "orders_http_requests_total",
        "counter",
        "Requests by route template, method, status and cache outcome.",
        ("route", "method", "status", "cache"),
    ),
    Definition(
        "orders_http_request_duration_seconds",
        "histogram",
        "Time from the head of a request to the end of its response.",
        ("route", "cache"),
        REQUEST_SECONDS,
    ),
    Definition(
        "orders_answer_age_seconds",
        "histogram",
        "Age of the answers that were sent, as in the Age header.",
        (),
        AGE_SECONDS,
    ),
    Definition(
        "orders_collapsed_total",
        "counter",
        "Requests that waited for a fetch which another request had started.",
    ),
    Definition(
        "orders_rate_limited_total",
        "counter",
        "Requests rejected because a caller exceeded a limit.",
        ("limit",),
    ),
    Definition(
        "orders_upstream_requests_total",
        "counter",
        "Calls to the upstream by endpoint and result.",
        ("operation", "result"),
    ),
    Definition(
        "orders_upstream_request_duration_seconds",
        "histogram",
        "Duration of the calls to the upstream, without the time in the queue.",
        ("operation",),
        CALL_SECONDS,
    ),
    Definition(
        "orders_upstream_last_success_timestamp_seconds",
        "gauge",
        "When a request to the endpoint last succeeded, of the list also by another process.",
        ("operation",),
    ),
    Definition(
        "orders_credential_expires_timestamp_seconds",
        "gauge",
        "When the management token expires; it is renewed before.",
    ),
    Definition(
        "orders_circuit_open",
        "gauge",
        "Whether a circuit breaker rejects calls to the upstream, 0 or 1.",
        ("circuit",),
    ),
    Definition(
        "orders_limiter_rate",
        "gauge",
        "Calls per second that may start; less than MAX_RATE after the upstream has throttled.",
    ),
    Definition("orders_cached_blocks", "gauge", "Blocks of the order list in memory."),
    Definition(
        "orders_cached_bytes",
        "gauge",
        "Size of the blocks, single orders and rendered responses in memory.",
    ),
    Definition("orders_cached_orders", "gauge", "Orders in the blocks in memory."),
    Definition(
        "orders_cache_ttl_seconds",
        "gauge",
        "How long an answer is fresh: TTL, or more for a long list (REFRESH_RATE).",
    ),
    Definition(
        "orders_cache_stale_while_revalidate_seconds",
        "gauge",
        "The setting STALE_WHILE_REVALIDATE.",
    ),
    Definition("orders_cache_stale_if_error_seconds", "gauge", "The setting STALE_IF_ERROR."),
    Definition(
        "orders_store_up",
        "gauge",
        "Whether the shared store answers, 0 or 1; absent without a store.",
        ("store",),
    ),
    Definition(
        "orders_store_unreadable_values_total",
        "counter",
        "Values in the shared store that another program has overwritten, by kind.",
        ("kind",),
    ),
    Definition(
        "orders_schema_drift_total",
        "counter",
        "Upstream responses with something that the known schema lacks, by field.",
        ("field",),
    ),
    Definition(
        "orders_build_info",
        "gauge",
        "Always 1; the labels are the version of orders-bff and of Python.",
        ("version", "python"),
    ),
)

_BY_NAME = {definition.name: definition for definition in DEFINITIONS}


@dataclass(frozen=True, slots=True)
class Family:
    """All present values of one metric, by the values of its labels."""

    definition: Definition
    values: Sequence[tuple[Labels, float | Histogram]]


Values = Mapping[Labels, float] | float | None
"""Values by labels, or the value of a metric without labels; None if there is none."""


class Metrics:
    """The metrics of one process.

    Attributes:
        http: where requests are counted.
        calls: where upstream calls are counted.
    """

    def __init__(self) -> None:
        self.http = HttpMetrics()
        self.calls = CallMetrics()
        self._sources: dict[str, Callable[[], Values]] = {}

    def add_source(self, name: str, read: Callable[[], Values]) -> None:
        """Read the values of the metric `name` from `read` whenever metrics are requested.

        It must be cheap, and must not wait. The labels must be bounded.

        Raises:
            KeyError: no such metric is defined.
        """
        self._sources[_BY_NAME[name].name] = read

    def read(self) -> "Readings":
        """Return the present values of all metrics, which do not change any more.

        Runs on the event loop, and copies as little as possible.
        """
        others = [*self._call_families(), *self._source_families()]
        return Readings(self.http.series(), self.http.answer_age.copy(), others)

    def _call_families(self) -> Iterable[Family]:
        counts = list(self.calls.counts.items())
        yield Family(_BY_NAME["orders_upstream_requests_total"], counts)
        durations = [
            ((operation,), histogram.copy())
            for operation, histogram in self.calls.durations.items()
        ]
        yield Family(_BY_NAME["orders_upstream_request_duration_seconds"], durations)

    def _source_families(self) -> Iterable[Family]:
        for name, read in self._sources.items():
            values = read()
            if values is None:
                continue
            by_labels = values if isinstance(values, Mapping) else {(): values}
            yield Family(_BY_NAME[name], list(by_labels.items()))


@dataclass(frozen=True, slots=True)
class Readings:
    """The values of all metrics at one moment.

    Attributes:
        requests: the durations of requests by route, method, status and cache outcome.
        ages: the ages of answers.
        others: the other metrics.
    """

    requests: list[tuple[SeriesKey, Histogram]]
    ages: Histogram
    others: list[Family]

    def families(self) -> Iterable[Family]:
        """Yield all metrics. Adding up takes a while, so that this is called in another thread."""
        counts: list[tuple[Labels, float]] = []
        durations: dict[Labels, Histogram] = {}
        collapsed = 0
        for (route, method, status, cache), histogram in self.requests:
            count = sum(histogram.counts)
            counts.append(((route, method, str(status), cache), count))
            collapsed += count if cache == "collapsed" else 0
            durations.setdefault((route, cache), Histogram(REQUEST_SECONDS)).add(histogram)
        yield Family(_BY_NAME["orders_http_requests_total"], counts)
        yield Family(_BY_NAME["orders_http_request_duration_seconds"], list(durations.items()))
        yield Family(_BY_NAME["orders_collapsed_total"], [((), collapsed)])
        yield Family(_BY_NAME["orders_answer_age_seconds"], [((), self.ages)])
        yield from self.others
