"""Spans for OpenTelemetry, sent over OTLP/HTTP. Imported only if tracing is configured.

There is no global provider: libraries that look for one, FastAPI among them, would record values
that callers chose. Spans are sent by a thread of the SDK. If that fails, spans are lost and the log
says so once; requests never wait for it.

The variables of the SDK apply, for example OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS.
Without them every trace is recorded, unless the caller's trace context says otherwise.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from requests import Session

from app.clock import Clock
from app.daemon_thread import start_daemon_thread
from app.telemetry.counters import METHODS

EXPORT_TIMEOUT = 5.0
"""Seconds for one attempt to send spans, repeated attempts included."""

FLUSH_TIMEOUT = 2.0
"""Longest time that the shutdown waits for the collector."""

_CONTEXT_HEADERS = ("traceparent", "tracestate")
_EMPTY = Context()
_PROPAGATOR = TraceContextTextMapPropagator()
_current: ContextVar[Context] = ContextVar("trace_context", default=_EMPTY)

_logger = logging.getLogger("orders_bff.telemetry")


def open_exporter(endpoint: str) -> SpanExporter:
    """Return an exporter that posts spans to `endpoint`, and ignores the proxies of the machine."""
    session = Session()
    session.trust_env = False
    return OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT, session=session)


class OpenTelemetryTracing:
    """Records spans of requests and calls, by the sampling decision of the caller if there is one.

    Args:
        exporter: sends the spans.
        clock: the source of time.
        name: the `service.name`.
        version: the `service.version`.
    """

    def __init__(self, exporter: SpanExporter, clock: Clock, *, name: str, version: str) -> None:
        # The library repeats the endpoint and the answer of the collector for each batch.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._clock = clock
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: name, SERVICE_VERSION: version}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(_ReportingExporter(exporter)))
        self._tracer = self._provider.get_tracer("orders-bff", version)

    def start_request(
        self, method: str, headers: Mapping[bytes, bytes], seconds_ago: float = 0.0
    ) -> "_RequestSpan":
        """Start the span of a request; see `Tracing`."""
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in _CONTEXT_HEADERS
            if name.encode() in headers
        }
        method = method if method in METHODS else "_OTHER"
        span = self._tracer.start_span(
            method,
            _PROPAGATOR.extract(carrier, _EMPTY),
            SpanKind.SERVER,
            attributes={"http.request.method": method},
            start_time=self._now() - int(seconds_ago * 1e9),
        )
        if not seconds_ago:
            _current.set(set_span_in_context(span, _EMPTY))
        return _RequestSpan(span, self, method)

    def start_call(self, operation: str) -> "_CallSpan":
        """Start the span of a call; see `Tracing`."""
        span = self._tracer.start_span(
            operation,
            _current.get(),
            SpanKind.CLIENT,
            attributes={"peer.service": "genauth"},
            start_time=self._now(),
        )
        return _CallSpan(span, self)

    async def close(self, timeout: float) -> None:
        """Send what has been recorded, within `timeout` seconds and `FLUSH_TIMEOUT`."""
        closing = asyncio.wrap_future(start_daemon_thread(self._provider.shutdown))
        await self._clock.finishes_within(closing, min(timeout, FLUSH_TIMEOUT))

    def end(self, span: Span, *, failed: bool) -> None:
        """End `span` now."""
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(self._now())

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1e9)


class _RequestSpan:
    def __init__(self, span: Span, tracing: OpenTelemetryTracing, method: str) -> None:
        self._span = span
        self._tracing = tracing
        self._method = method

    def end(self, *, route: str, attributes: Mapping[str, str | int], failed: bool) -> None:
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, **attributes})
        self._tracing.end(self._span, failed=failed)


class _CallSpan:
    def __init__(self, span: Span, tracing: OpenTelemetryTracing) -> None:
        self._span = span
        self._tracing = tracing
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(span, _EMPTY))
        # Not `tracestate`: its values are the caller's, and nothing of a request is passed on.
        self.headers: Mapping[str, str] = {"traceparent": carrier["traceparent"]}

    def end(self, *, attributes: Mapping[str, str | int], failed: bool) -> None:
        self._span.set_attributes(attributes)
        self._tracing.end(self._span, failed=failed)


class _ReportingExporter(SpanExporter):
    """Logs the first failure of another exporter, and when it works again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            _logger.warning("trace_export_failed", extra={"fields": {"lost_spans": len(spans)}})
        elif self._fails and not fails:
            _logger.info("trace_export_recovered")
        self._fails = fails
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
