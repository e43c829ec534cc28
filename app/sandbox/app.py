"""The sandbox as one ASGI application: the vendor's API and the routes that inject faults into it.

    GET    /sandbox/faults   the active faults, with the number of calls each has hit
    PUT    /sandbox/faults   {"faults": ["status=500,times=3", {"kind": "latency", "value": 2}]}
    DELETE /sandbox/faults   clear all faults
    GET    /sandbox/calls    the number of calls per path of the vendor's API

The `/sandbox` routes require no authentication: the sandbox is a tool for loopback only.
"""

import json

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import Clock
from app.sandbox.faults import Fault
from app.sandbox.options import Options
from app.sandbox.vendor import Vendor


class Sandbox:
    """An embedded upstream, as an ASGI application. Every response has `X-Sandbox: true`.

    Injecting `reset` or `half_body` requires a `SandboxServer`.

    Attributes:
        options: the options it was created with.
        calls: the number of calls per path of the vendor's API, failed ones included.
        faults: the active faults.
        orders: the orders that it serves.
    """

    def __init__(self, options: Options, *, clock: Clock) -> None:
        vendor = Vendor(options, clock)
        self.options = options
        self.calls = vendor.calls
        self.faults = vendor.faults
        self.orders = vendor.orders
        self._app: ASGIApp = Starlette(
            routes=[
                Route("/sandbox/faults", self._faults, methods=["GET", "PUT", "DELETE"]),
                Route("/sandbox/calls", self._calls),
                Mount("/", vendor),
            ]
        )

    def inject(self, *faults: str) -> None:
        """Replace the active faults with these, each in the syntax of `Fault.parse`."""
        self.faults.replace([Fault.parse(text) for text in faults])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Sandbox"] = "true"
            await send(message)

        await self._app(scope, receive, send_with_header)

    async def _faults(self, request: Request) -> JSONResponse:
        if request.method == "DELETE":
            self.faults.replace(())
        elif request.method == "PUT":
            try:
                self.faults.replace(_parse_faults(await request.body()))
            except ValueError as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse({"faults": self.faults.to_dicts()})

    async def _calls(self, _request: Request) -> JSONResponse:
        return JSONResponse({"calls": self.calls, "total": self.calls.total()})


def _parse_faults(body: bytes) -> list[Fault]:
    match json.loads(body):
        case {"faults": list(faults)}:
            return [Fault.parse(fault) for fault in faults]
        case _:
            raise ValueError('the body must be {"faults": [...]}')
