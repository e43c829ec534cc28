"""Middleware that turns what no layer below has handled into a problem, so no traceback is shown.

Pages of other origins can read these problems as well: the headers for CORS are in the context of
the request before anything can fail.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.context import context_of
from app.edge.problems import Problem, problem_response

_logger = logging.getLogger("orders_bff.access")


class UnhandledErrors:
    """Answers `internal_error` for an exception, and `shutting_down` for a cancelled request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        code = ""
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # At the end of the drain timeout the server cancels the requests that are left.
            # Not raised again: the server would log it as an error of the application.
            code = "shutting_down"
        except Exception:
            _logger.exception("unhandled_exception")
            code = "internal_error"
        has_started = context_of(scope).status != 0
        if code and not has_started:
            await problem_response(scope, Problem(code))(scope, receive, send)
