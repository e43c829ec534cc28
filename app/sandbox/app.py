"""The sandbox as one ASGI application: the vendor, and beside it the routes that order its faults.

    GET    /sandbox/faults   what stands, and how often each has hit
    PUT    /sandbox/faults   {"faults": ["status=500,times=3", {"kind": "latency", "value": 2}]}
    DELETE /sandbox/faults   no fault stands
    GET    /sandbox/calls    how often each path of the vendor was called

The `/sandbox` routes ask for no credential: a tool for loopback, like the sandbox itself.
"""

import json
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import Clock
from app.sandbox.faults import Fault, FaultDesk
from app.sandbox.options import Options
from app.sandbox.vendor import Vendor


class Sandbox:
    """An embedded upstream. ASGI; every answer of it says `X-Sandbox: true`."""

    def __init__(self, options: Options, *, clock: Clock) -> None:
        self.options = options
        self._vendor = Vendor(options, clock)
        self._app: ASGIApp = Starlette(
            routes=[
                Route("/sandbox/faults", self._faults, methods=["GET", "PUT", "DELETE"]),
                Route("/sandbox/calls", self._calls),
                Mount("/", self._vendor),
            ]
        )

    @property
    def calls(self) -> Mapping[str, int]:
        """How often each path of the vendor was called, whatever came of it."""
        return self._vendor.calls

    @property
    def faults(self) -> FaultDesk:
        """The faults that stand."""
        return self._vendor.desk

    def break_with(self, *faults: str) -> None:
        """Let these faults stand and no other; each is written as `Fault.read` reads it."""
        self.faults.order([Fault.read(text) for text in faults])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def say_what_it_is(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Sandbox"] = "true"
            await send(message)

        await self._app(scope, receive, say_what_it_is)

    async def _faults(self, request: Request) -> JSONResponse:
        if request.method == "DELETE":
            self.faults.order(())
        elif request.method == "PUT":
            try:
                self.faults.order(_read_faults(await request.body()))
            except ValueError as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse({"faults": self.faults.listing()})

    async def _calls(self, _request: Request) -> JSONResponse:
        return JSONResponse({"calls": dict(self.calls), "total": sum(self.calls.values())})


def _read_faults(body: bytes) -> list[Fault]:
    match json.loads(body):
        case {"faults": list(faults)}:
            return [Fault.read(one) for one in faults]
        case _:
            raise ValueError('the body is {"faults": [...]}')


def create_sandbox(options: Options, *, clock: Clock) -> Sandbox:
    """An embedded upstream as `options` say; to break connections it needs a `SandboxServer`."""
    return Sandbox(options, clock=clock)
