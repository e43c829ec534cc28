"""The outermost layer: gives the request its id, the answer its constant headers, the log its line.

Whatever goes wrong behind it is answered here, so that the server never tells a traceback.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import request_id
from app.clock import Clock
from app.edge.context import Exchange
from app.edge.problem_types import PROBLEM_KINDS
from app.edge.problems import Problem, send_problem
from app.logging.setup import tell_request

RawHeaders = list[tuple[bytes, bytes]]

VARY = (b"vary", b"Accept-Encoding, Authorization, Cookie, Origin, X-API-Key")

SECURITY: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    # Browsers ask this of embedding alone, never of a CORS request: it hinders no dashboard.
    (b"cross-origin-resource-policy", b"same-origin"),
]

CONTENT_SECURITY = (
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


def is_versioned(path: str) -> bool:
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
        exchange = self.begin(scope["method"], dict(scope["headers"]))
        scope["exchange"] = exchange
        request_id.set_current(exchange.request_id)
        varies = is_versioned(scope["path"])
        constant = [
            (b"x-request-id", exchange.request_id.encode()),
            *SECURITY,
            VARY if varies else CONTENT_SECURITY,
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = list(message.get("headers", ()))
                if varies:
                    headers = [header for header in headers if header[0] != b"vary"]
                message = {**message, "headers": headers + constant}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The server cancels those who are still here when it has drained long enough.
            await _answer_anyway("overloaded", exchange, scope, send_with_headers)
            raise
        except Exception:
            _logger.exception("unhandled")
            await _answer_anyway("internal_error", exchange, scope, send_with_headers)
        finally:
            self.end(exchange, getattr(scope.get("route"), "path", "unmatched"))

    def begin(self, method: str, headers: dict[bytes, bytes]) -> Exchange:
        """The notes of a request that begins now; `headers` as in the exchange."""
        offered = headers.get(b"x-request-id")
        own = request_id.adopt_or_mint(offered.decode("latin-1") if offered else None)
        return Exchange(own, method, headers, self._clock.monotonic())

    def end(self, exchange: Exchange, route: str = "unmatched") -> None:
        """Write the line of a request that is answered; `route` is where no layer knew one."""
        if not _logger.isEnabledFor(logging.INFO):
            return
        caller = exchange.caller
        facts: dict[str, object] = {
            "request_id": exchange.request_id,
            "caller": caller.name if caller else "",
            "method": exchange.method,
            "route": exchange.route or route,
            "status": exchange.status,
            "duration_ms": round((self._clock.monotonic() - exchange.started) * 1000, 3),
        }
        if exchange.outcome:
            facts["outcome"] = exchange.outcome
            facts["freshness"] = exchange.freshness
            facts["age"] = exchange.age
        if exchange.waited_seconds:
            facts["waited_ms"] = round(exchange.waited_seconds * 1000, 3)
        if ids := exchange.upstream_request_ids:
            facts["upstream_request_ids"] = ids[:LOGGED_UPSTREAM_IDS]
            if len(ids) > LOGGED_UPSTREAM_IDS:
                facts["upstream_answers"] = len(ids)
        if exchange.problem:
            facts["problem"] = exchange.problem
        tell_request(facts)


async def _answer_anyway(code: str, exchange: Exchange, scope: Scope, send: Send) -> None:
    if exchange.status == 0:
        await send_problem(scope, send, Problem(code, PROBLEM_KINDS[code].detail))
