"""The outermost middleware: request id, constant response headers, access log and metrics."""

import logging
from collections.abc import Callable, Mapping, Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import request_id
from app.clock import Clock
from app.edge.audit import REFUSALS, Audit
from app.edge.client_address import ClientAddress
from app.edge.context import RequestContext
from app.logging.setup import request_writers
from app.telemetry.counters import HttpMetrics
from app.telemetry.spans import RequestSpan, Tracing

RawHeaders = list[tuple[bytes, bytes]]

VARY = (b"vary", b"Accept-Encoding, Authorization, Cookie, Origin, X-API-Key")
"""On every response of the API, whatever the layers below have set."""

SECURITY_HEADERS: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    # Applies to embedding only, never to CORS requests, so dashboards elsewhere keep working.
    (b"cross-origin-resource-policy", b"same-origin"),
]

CSP_HEADER = (
    b"content-security-policy",
    (
        b"default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'; object-src 'none'"
    ),
)
"""On everything outside the API."""

MAX_LOGGED_UPSTREAM_IDS = 10
"""Upstream request ids in one log line. If there are more, the line has their number as well."""

UNTRACED_PATHS = frozenset(("/livez", "/readyz", "/metrics"))
"""Requested every few seconds by machines, so their spans would bury all others."""

_logger = logging.getLogger("orders_bff.access")


def is_api_path(path: str) -> bool:
    """Return whether `path` belongs to the versioned API."""
    return path == "/v1" or path.startswith("/v1/")


class RequestRecorder:
    """Records each request once, when its response has ended: access line, metrics, span, audit.

    The only place for them, whatever part of the proxy has responded. `tracing` is None if it is
    off, which costs nothing.
    """

    def __init__(self, clock: Clock, metrics: HttpMetrics, tracing: Tracing | None = None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._audit = Audit(clock)
        self._tracing = tracing

    def start(self, context: RequestContext, path: str) -> None:
        """Start the span of a request, unless tracing is off or it is a probe.

        `record` starts that of a request which was answered without this call.
        """
        if self._tracing is not None and path not in UNTRACED_PATHS:
            context.span = self._tracing.start_request(context.method, context.headers)

    def record(self, context: RequestContext, client: str) -> None:
        """Log the request of `context` and count it; `client` is the address of the caller.

        `context.route` must be a route template (or `unmatched`), because it becomes a label. The
        duration is the time since `context.started_at`.
        """
        record = self.prepare(context, client)
        record.add(context.request_id, context.started_at, context.headers, context.span)

    def prepare(self, context: RequestContext, client: str) -> "PreparedRecord":
        """Return the record of requests that differ from that of `context` in id and time only."""
        return PreparedRecord(
            context,
            client,
            read_clock=self._clock.monotonic,
            observe=self._metrics.observer(
                context.route, context.method, context.status, context.cache_outcome, context.age
            ),
            tracing=None if context.route in UNTRACED_PATHS else self._tracing,
            audit=self._audit if context.audit_event or context.status in REFUSALS else None,
        )


class PreparedRecord:
    """What is recorded of each of several requests. All that they have in common is determined."""

    __slots__ = (
        "_audit",
        "_client",
        "_context",
        "_observe",
        "_read_clock",
        "_tracing",
        "_writers",
    )

    def __init__(
        self,
        context: RequestContext,
        client: str,
        *,
        read_clock: Callable[[], float],
        observe: Callable[[float], None],
        tracing: Tracing | None,
        audit: Audit | None,
    ) -> None:
        self._context = context
        self._client = client
        self._read_clock = read_clock
        self._observe = observe
        self._tracing = tracing
        self._audit = audit
        is_logged = _logger.isEnabledFor(logging.INFO)
        self._writers = request_writers(_fields(context, client)) if is_logged else []

    def add(
        self,
        request_id: str,
        started_at: float,
        headers: Mapping[bytes, bytes],
        span: RequestSpan | None = None,
    ) -> None:
        """Record a request whose response ends now.

        Args:
            request_id: its id.
            started_at: when it was received.
            headers: those of the request; its trace context may be among them.
            span: its span, if that has been started.
        """
        duration = self._read_clock() - started_at
        self._observe(duration)
        for write in self._writers:
            write(request_id, duration)
        if self._tracing is not None:
            span = span or self._tracing.start_request(self._context.method, headers, duration)
            self._end_span(span, request_id)
        if self._audit is not None:
            self._audit.record(self._context, self._client)

    def _end_span(self, span: RequestSpan, request_id: str) -> None:
        context = self._context
        attributes: dict[str, str | int] = {
            "http.response.status_code": context.status,
            "orders.request_id": request_id,
        }
        if context.cache_outcome:
            attributes["orders.cache"] = context.cache_outcome
        if context.problem:
            attributes["error.type"] = context.problem
        span.end(route=context.route, attributes=attributes, failed=context.status >= 500)


class AccessLog:
    """Gives each request its context, and records it when its response has ended.

    `routes` are those whose template is recorded also for a request that is rejected before
    routing. They may be added after the middleware is created.
    """

    def __init__(
        self,
        app: ASGIApp,
        clock: Clock,
        routes: Sequence[BaseRoute] = (),
        recorder: RequestRecorder | None = None,
        client_address: ClientAddress | None = None,
    ) -> None:
        self._app = app
        self._clock = clock
        self._routes = routes
        self._recorder = recorder or RequestRecorder(clock, HttpMetrics())
        self._client_address = client_address or ClientAddress()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        offered_id = headers.get(b"x-request-id", b"").decode("latin-1")
        context = RequestContext(
            request_id.adopt_or_mint(offered_id),
            scope["method"],
            headers,
            self._clock.monotonic(),
            self._client_address.of(scope),
        )
        scope["context"] = context
        self._recorder.start(context, scope["path"])
        request_id.set_current(context.request_id)
        is_api = is_api_path(scope["path"])
        context.response_headers = [
            (b"x-request-id", context.request_id.encode()),
            *SECURITY_HEADERS,
            VARY if is_api else CSP_HEADER,
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                headers = list(message.get("headers", ()))
                if is_api:
                    headers = [header for header in headers if header[0] != b"vary"]
                message = {**message, "headers": headers + context.response_headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            context.route = context.route or self._route_template(scope)
            self._recorder.record(context, context.client)

    def _route_template(self, scope: Scope) -> str:
        route = scope.get("route")
        if route is None:
            matches = ((each, each.matches(scope)[0]) for each in self._routes)
            route = next((each for each, match in matches if match is not Match.NONE), None)
        return getattr(route, "path", "unmatched")


def _fields(context: RequestContext, client: str) -> dict[str, object]:
    """Return the fields of the access line, besides the request id and the duration."""
    fields: dict[str, object] = {
        "caller": context.caller.name if context.caller else "",
        "client": client,
        "method": context.method,
        "route": context.route,
        "status": context.status,
    }
    if context.cache_outcome:
        fields["cache"] = context.cache_outcome
        fields["freshness"] = context.freshness
        fields["age"] = context.age
    if context.waited_seconds:
        fields["waited_ms"] = round(context.waited_seconds * 1000, 3)
    if ids := context.upstream_request_ids:
        fields["upstream_request_ids"] = ids[:MAX_LOGGED_UPSTREAM_IDS]
        if len(ids) > MAX_LOGGED_UPSTREAM_IDS:
            fields["upstream_responses"] = len(ids)
    if context.problem:
        fields["problem"] = context.problem
    return fields
