"""The route `/metrics`, on the main port for a caller with the scope `metrics:read`.

With a listener of its own (METRICS__LISTEN) it needs no credential there, and does not exist here.
"""

import asyncio
from functools import partial

from fastapi import APIRouter, Security
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.clock import Clock
from app.daemon_thread import RunInThread
from app.edge.access_log import AccessLog, RequestRecorder
from app.edge.auth import METRICS_PATH
from app.edge.exception_handlers import install_exception_handlers
from app.edge.head import Head
from app.edge.host_check import HostCheck
from app.edge.middleware import behind
from app.edge.rejected_requests import answer_rejected
from app.edge.request_rules import RequestRules
from app.edge.scopes import require_scopes
from app.edge.unhandled_errors import UnhandledErrors
from app.telemetry.metrics import Metrics, Readings

SCOPE = "metrics:read"


class MetricsEndpoint:
    """Responds with the text of all metrics, in the format that the request accepts.

    Another thread formats it: with everything cached and many series it takes longer than the event
    loop may be blocked. There is one such thread at a time.
    """

    def __init__(self, metrics: Metrics, run_in_thread: RunInThread) -> None:
        self._metrics = metrics
        self._run_in_thread = run_in_thread
        self._lock = asyncio.Lock()

    async def respond(self, request: Request) -> Response:
        """Return the response to one request."""
        openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
        async with self._lock:
            render = partial(_render, self._metrics.read(), openmetrics=openmetrics)
            content_type, text = await self._run_in_thread(render)
        return Response(text, headers={"content-type": content_type, "cache-control": "no-store"})


def _render(readings: Readings, *, openmetrics: bool) -> tuple[str, bytes]:
    from app.telemetry.exposition import render  # noqa: PLC0415  imported when it is needed

    return render(readings.families(), openmetrics=openmetrics)


def metrics_router(endpoint: MetricsEndpoint) -> APIRouter:
    """Return the route `/metrics` for callers with the scope `metrics:read`."""
    router = APIRouter(include_in_schema=False)

    @router.get(METRICS_PATH, dependencies=[Security(require_scopes, scopes=[SCOPE])])
    async def metrics(request: Request) -> Response:
        return await endpoint.respond(request)

    return router


def metrics_app(
    endpoint: MetricsEndpoint, recorder: RequestRecorder, clock: Clock, *, loopback: bool
) -> ASGIApp:
    """Return the application of the separate listener: `/metrics` for everybody, nothing else.

    Args:
        endpoint: responds to `/metrics`.
        recorder: records the requests, like those of the main port.
        clock: the source of time.
        loopback: whether it listens on a loopback address, so that other `Host` values are refused.
    """
    app = Starlette(routes=[Route(METRICS_PATH, endpoint.respond, methods=["GET"])])
    app.router.redirect_slashes = False
    install_exception_handlers(app, {})
    return behind(
        [
            Middleware(AccessLog, clock=clock, recorder=recorder),
            Middleware(UnhandledErrors),
            Middleware(RequestRules, rules=[answer_rejected, HostCheck(loopback=loopback).check]),
            Middleware(Head),
        ],
        app,
    )
