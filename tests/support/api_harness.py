"""A FastAPI application with the request context of the middleware, and a client in front of it."""

from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.edge.context import Caller, RequestContext

REQUEST_ID = "request-0001"


def bare_api() -> FastAPI:
    """Return FastAPI without its own pages, as in main."""
    return FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)


@dataclass
class ApiHarness:
    """Calls `api` with a new context for each request, authenticated as `caller`."""

    api: FastAPI
    caller: Caller | None = None
    contexts: list[RequestContext] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            context = RequestContext(REQUEST_ID, scope["method"], dict(scope["headers"]), 0.0)
            context.caller = self.caller
            self.contexts.append(context)
            scope["context"] = context
        await self.api(scope, receive, send)

    async def request(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send one request and return the response."""
        transport = httpx.ASGITransport(self, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test") as client:
            return await client.request(method, path, headers=headers)
