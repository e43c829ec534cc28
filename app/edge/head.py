"""Middleware that answers HEAD like GET (RFC 9110 section 9.3.2)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.context import context_of


class Head:
    """Passes HEAD on as GET. The server still has HEAD in its own scope and omits the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        get_scope = {**scope, "method": "GET"}
        try:
            await self._app(get_scope, receive, send)
        finally:
            # The router has stored the route in the copy, where the access log does not see it.
            context = context_of(scope)
            context.route = context.route or getattr(get_scope.get("route"), "path", "")
