"""The last calls to the upstream, for operators and for the vendor's support.

Nothing in a record is a credential or the upstream's text, nor, but for the id of the request, a
value that a caller chose.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from app import request_id
from app.clock import Clock
from app.telemetry.spans import Tracing
from app.upstream.errors import (
    DeadlineExceeded,
    OrderNotFound,
    PaymentNotFound,
    StaleConnection,
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformed,
    UpstreamNotFound,
    UpstreamPlanRequired,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)

MAX_CALLS = 200
"""Calls that are remembered."""

RESULTS: Mapping[type[UpstreamError] | None, str] = {
    None: "success",
    UpstreamCredentialRejected: "credential_rejected",
    UpstreamPlanRequired: "plan_required",
    UpstreamRejected: "rejected",
    UpstreamNotFound: "not_found",
    OrderNotFound: "not_found",
    PaymentNotFound: "not_found",
    UpstreamThrottled: "throttled",
    UpstreamFailed: "failed",
    UpstreamUnreachable: "unreachable",
    StaleConnection: "stale_connection",
    UpstreamTimeout: "timeout",
    DeadlineExceeded: "deadline_exceeded",
    UpstreamMalformed: "malformed",
    UpstreamUnavailable: "unavailable",
}
"""How a call ended, by the class of its error: the values of a label of the metrics."""

NO_FAILURES = ("success", "not_found")

_logger = logging.getLogger("orders_bff.upstream")


@dataclass(frozen=True, slots=True)
class AdmissionState:
    """The circuit breaker of one operation, and the limiter.

    Attributes:
        circuit: `closed`, `open` or `half_open`.
        rate: calls per second that may start.
        in_flight: calls in flight.
        queued: calls that wait.
    """

    circuit: str
    rate: float
    in_flight: int
    queued: int


@dataclass(slots=True)
class CallRecord:
    """One call, from when it got its slot.

    Attributes:
        operation: the last segment of the endpoint's path.
        started_at: wall-clock time.
        state: of circuit breaker and limiter at the start; the call itself is in flight.
        caller_request_id: the id of the request that it was made for; empty if there is none.
        seconds: how long it took, connecting included.
        error: the class of the error that it failed with; None if it succeeded.
        status_code: the envelope's `statusCode`.
        api_code: the envelope's `apiCode`.
        request_id: the upstream's id of the response.
        trace_headers: the trace context to send with the call; empty if tracing is off.
    """

    operation: str
    started_at: datetime
    state: AdmissionState
    caller_request_id: str
    seconds: float = 0.0
    error: type[UpstreamError] | None = None
    status_code: int | None = None
    api_code: int | None = None
    request_id: str | None = None
    trace_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """How the call ended: a value of `RESULTS`."""
        return RESULTS[self.error]

    def fail(self, error: UpstreamError) -> None:
        """Record why the call failed, or why its response cannot be used."""
        self.error = type(error)
        self.status_code = error.status_code
        self.api_code = error.api_code
        self.request_id = error.request_id


class CallLog:
    """Records each call, the last `MAX_CALLS` of which it keeps.

    `listeners` are called with each record when its call has ended. `tracing` is None if it is off.
    """

    def __init__(self, clock: Clock, tracing: Tracing | None = None) -> None:
        self._clock = clock
        self._tracing = tracing
        self._records: deque[CallRecord] = deque(maxlen=MAX_CALLS)
        self.listeners: list[Callable[[CallRecord], None]] = []

    @property
    def records(self) -> tuple[CallRecord, ...]:
        """The last calls that have ended, oldest first."""
        return tuple(self._records)

    @contextmanager
    def recording(self, operation: str, state: AdmissionState) -> Iterator[CallRecord]:
        """Record the call that is made within; an `UpstreamError` is its failure."""
        started = self._clock.monotonic()
        span = self._tracing.start_call(operation) if self._tracing else None
        record = CallRecord(operation, self._clock.now(), state, request_id.current())
        if span:
            record.trace_headers = span.headers
        try:
            yield record
        except UpstreamError as error:
            record.fail(error)
            raise
        finally:
            record.seconds = self._clock.monotonic() - started
            self._records.append(record)
            if span:
                span.end(attributes=_attributes(record), failed=record.result not in NO_FAILURES)
            for listener in self.listeners:
                listener(record)
            if _logger.isEnabledFor(logging.DEBUG):
                _log(record)


def _attributes(record: CallRecord) -> dict[str, str | int]:
    """Return the attributes of the span of a call."""
    attributes: dict[str, str | int] = {"orders.result": record.result}
    if record.request_id:
        attributes["orders.upstream_request_id"] = record.request_id
    if record.status_code is not None:
        attributes["orders.upstream_status_code"] = record.status_code
    return attributes


def _log(record: CallRecord) -> None:
    fields: dict[str, object] = {
        "operation": record.operation,
        "duration_ms": round(record.seconds * 1000, 3),
        "result": record.result,
    }
    if record.request_id:
        fields["upstream_request_id"] = record.request_id
    _logger.debug("upstream_call", extra={"fields": fields})
