"""Which pages of other origins may ask (Fetch §3.2). Preflights end here, callers unasked."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.context import context_of
from app.edge.problems import Problem, send_problem

ASKED_FOR = ("Authorization", "Cache-Control", "If-None-Match", "X-Request-Id")
EXPOSED = (
    "Age",
    "Cache-Control",
    "Cache-Status",
    "Content-Disposition",
    "ETag",
    "Link",
    "Retry-After",
    "Vary",
    "X-Freshness",
    "X-Request-Id",
    "X-Sandbox",
    "X-Total-Count",
    "X-Upstream-Request-Id",
)


class Cors:
    """Starlette's CORS, entered by requests that name an origin.

    Args:
        app: what stands behind.
        origins: those that may ask, each exact.
        api_keys: whether their pages may send X-API-Key. A key in a page is everybody's.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str], api_keys: bool) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD"),
            allow_headers=(*ASKED_FOR, *(("X-API-Key",) if api_keys else ())),
            expose_headers=EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or b"origin" not in context_of(scope).headers:
            await self._app(scope, receive, send)
        elif _is_preflight(scope):
            await self._preflight(scope, receive, send)
        else:
            await self._cors(scope, receive, send)

    async def _preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).route = "preflight"
        answer = self._cors.preflight_response(Headers(scope=scope))
        if answer.status_code == 200:
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name not in ("content-length", "content-type")
            }
            await Response(status_code=204, headers=kept)(scope, receive, send)
            return
        detail = "This origin may not ask this: " + bytes(answer.body).decode()
        await send_problem(scope, send, Problem("bad_request", detail))


def _is_preflight(scope: Scope) -> bool:
    headers = context_of(scope).headers
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
