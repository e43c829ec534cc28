"""Middleware that applies the rules which need nothing but the head of a request."""

from collections.abc import Callable, Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Rule = Callable[[Scope], Response | None]
"""Returns the response to a request, or None if the rules after it decide.

It may add `response_headers` to the context of the request.
"""


class RequestRules:
    """Sends the response of the first rule that has one. Other requests are passed on."""

    def __init__(self, app: ASGIApp, rules: Sequence[Rule]) -> None:
        self._app = app
        self._rules = tuple(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for rule in self._rules:
            response = rule(scope)
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
