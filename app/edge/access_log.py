"""The outermost layer: gives the request its id, the answer its constant headers, the log its line.

Whatever goes wrong behind it is answered here, so that the server never tells a traceback.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import request_id
from app.clock import Clock
from app.edge.context import RequestContext
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import Problem, send_problem
from app.logging.setup import log_request

RawHeaders = list[tuple[bytes, bytes]]

VARY = (b"vary", b"Accept-Encoding, Authorization, Cookie, Origin, X-API-Key")

SECURITY_HEADERS: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    # Browsers ask this of embedding alone, never of a CORS request: it hinders no dashboard.
    (b"cross-origin-resource-policy", b"same-origin"),
]

CSP_HEADER = (
    b"content-security-policy",
    (
        b"default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'; object-src 'none'"
    ),
)
"""For pages: what is not a page runs nothing."""

LOGGED_UPSTREAM_IDS = 10
"""Upstream request ids in one line; of more, the line says how many there are."""

_logger = logging.getLogger("orders_bff.access")


def is_api_path(path: str) -> bool:
    """Whether `path` is one of the API's own, and not a page."""
    return path == "/v1" or path.startswith("/v1/")


class AccessLog:
    """One line a request, whatever becomes of it."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = self.begin(scope["method"], dict(scope["headers"]))
        scope["context"] = context
        request_id.set_current(context.request_id)
        varies = is_api_path(scope["path"])
        constant = [
            (b"x-request-id", context.request_id.encode()),
            *SECURITY_HEADERS,
            VARY if varies else CSP_HEADER,
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                headers = list(message.get("headers", ()))
                if varies:
                    headers = [header for header in headers if header[0] != b"vary"]
                message = {**message, "headers": headers + constant}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The server cancels those who are still here when it has drained long enough.
            await _answer_anyway("overloaded", context, scope, send_with_headers)
            raise
        except Exception:
            _logger.exception("unhandled_exception")
            await _answer_anyway("internal_error", context, scope, send_with_headers)
        finally:
            self.end(context, getattr(scope.get("route"), "path", "unmatched"))

    def begin(self, method: str, headers: dict[bytes, bytes]) -> RequestContext:
        """The notes of a request that begins now; `headers` as in the exchange."""
        offered = headers.get(b"x-request-id")
        own = request_id.adopt_or_mint(offered.decode("latin-1") if offered else None)
        return RequestContext(own, method, headers, self._clock.monotonic())

    def end(self, context: RequestContext, route: str = "unmatched") -> None:
        """Write the line of a request that is answered; `route` is where no layer knew one."""
        if not _logger.isEnabledFor(logging.INFO):
            return
        caller = context.caller
        facts: dict[str, object] = {
            "request_id": context.request_id,
            "caller": caller.name if caller else "",
            "method": context.method,
            "route": context.route or route,
            "status": context.status,
            "duration_ms": round((self._clock.monotonic() - context.started_at) * 1000, 3),
        }
        if context.outcome:
            facts["outcome"] = context.outcome
            facts["freshness"] = context.freshness
            facts["age"] = context.age
        if context.waited_seconds:
            facts["waited_ms"] = round(context.waited_seconds * 1000, 3)
        if ids := context.upstream_request_ids:
            facts["upstream_request_ids"] = ids[:LOGGED_UPSTREAM_IDS]
            if len(ids) > LOGGED_UPSTREAM_IDS:
                facts["upstream_responses"] = len(ids)
        if context.problem:
            facts["problem"] = context.problem
        log_request(facts)


async def _answer_anyway(code: str, context: RequestContext, scope: Scope, send: Send) -> None:
    if context.status == 0:
        await send_problem(scope, send, Problem(code, PROBLEM_TYPES[code].detail))
