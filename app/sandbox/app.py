"""The sandbox as one ASGI application: the vendor's API, and the routes that inject faults into it.

    GET    /sandbox/faults   the active faults, with the number of calls each has hit
    PUT    /sandbox/faults   {"faults": ["status=500,times=3", {"kind": "latency", "value": 2}]}
    DELETE /sandbox/faults   clear all faults
    GET    /sandbox/calls    the number of calls per path of the vendor's API
    GET    /issuer/…         an OpenID Connect issuer for people (app/sandbox/issuer.py)

The `/sandbox` routes require no authentication: the sandbox is a tool for loopback only.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import Clock
from app.sandbox import connection, envelope
from app.sandbox.authentication import Authenticator
from app.sandbox.envelope import ErrorReply, VendorError
from app.sandbox.faults import DETAIL, ORDERS, PAYMENT, TOKEN, ActiveFault, Fault, FaultRegistry
from app.sandbox.options import ISSUER_PATH, Options
from app.sandbox.order_store import OrderStore, malformed

MAX_ROWS: Final = 50
MAX_PAGE: Final = 999_999_999
_METHODS: Final = {TOKEN: "POST", ORDERS: "GET", DETAIL: "GET", PAYMENT: "GET"}


class Sandbox:
    """An embedded upstream. Every response has `X-Sandbox: true`.

    Injecting `reset` or `half_body` requires a `SandboxServer`. `calls` counts the calls of each
    path of the vendor's API, failed ones included.
    """

    def __init__(self, options: Options, *, clock: Clock) -> None:
        self.options = options
        self.calls = Counter(dict.fromkeys(_METHODS, 0))
        self.faults = FaultRegistry(options.faults)
        self.orders = OrderStore(orders=options.orders, seed=options.seed, clock=clock)
        self._clock = clock
        self._authenticator = Authenticator(options, clock)
        self._issuer: ASGIApp | None = None
        self._second = 0
        self._calls_this_second = 0
        self._app: ASGIApp = Starlette(
            routes=[
                Route("/sandbox/faults", self._faults, methods=["GET", "PUT", "DELETE"]),
                Route("/sandbox/calls", self._calls),
                Mount(ISSUER_PATH, self._call_issuer),
                Mount("/", self._call_api),
            ]
        )

    def inject(self, *faults: str) -> None:
        """Replace the active faults with these, each in the syntax of `Fault.parse`."""
        self.faults.replace(map(Fault.parse, faults))

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

    async def _call_issuer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._issuer is None:
            # Its library takes long to import, and most sandboxes are used without it.
            from app.sandbox.issuer import SandboxIssuer  # noqa: PLC0415

            self._issuer = SandboxIssuer(clock=self._clock)
        await self._issuer(scope, receive, send)

    async def _call_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        path = request.url.path
        if _METHODS.get(path) != request.method:
            await envelope.failure(envelope.UNKNOWN_API, request.headers)(scope, receive, send)
            return
        self.calls[path] += 1
        if self._is_rate_exceeded():
            await envelope.throttled(None)(scope, receive, send)
            return
        faults = self.faults.match(path)
        self._apply_side_effects(faults)
        delay = sum(active.fault.value or 0 for active in faults if active.fault.kind == "latency")
        if delay and await self._disconnects_within(delay, receive):
            return
        match faults[-1].fault.kind if faults else "":
            case "hang":
                await connection.wait_disconnected(receive)
            case "reset":
                await connection.send_reset(scope, receive)
            case "half_body":
                response = self._respond(request, body, faults)
                await connection.send_half(response, scope, receive, send)
            case _:
                await self._respond(request, body, faults)(scope, receive, send)

    def _is_rate_exceeded(self) -> bool:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._calls_this_second = second, 0
        self._calls_this_second += 1
        return 0 < self.options.max_calls_per_second < self._calls_this_second

    def _apply_side_effects(self, faults: list[ActiveFault]) -> None:
        for active in faults:
            if active.fault.kind == "revoke_tokens":
                self._authenticator.revoke_tokens()
            elif active.fault.kind == "arrivals" and active.hits % active.fault.int_value == 0:
                self.orders.add_order()

    async def _disconnects_within(self, seconds: float, receive: Receive) -> bool:
        disconnected = asyncio.ensure_future(connection.wait_disconnected(receive))
        try:
            return await self._clock.finishes_within(disconnected, seconds)
        finally:
            disconnected.cancel()

    def _respond(self, request: Request, body: bytes, faults: list[ActiveFault]) -> Response:
        last = faults[-1].fault if faults else None
        if last and last.kind == "throttle":
            return envelope.throttled(last.value)
        if last and last.kind == "html":
            return envelope.html_page(last.int_value)
        if last and last.kind == "status":
            codes = last.int_value, last.api_code
            reply = ErrorReply(*codes, "沙箱故障", "Injected by the sandbox")
            return envelope.failure(reply, request.headers)
        try:
            data = self._perform(request, body)
        except VendorError as error:
            return envelope.failure(error.reply, request.headers)
        kinds = {active.fault.kind for active in faults}
        if data and "odd_rows" in kinds:
            data["list"] = malformed(data["list"])
        if data and "list_object" in kinds:
            data["list"] = next(iter(data["list"]), {})
        return envelope.success(data, request.headers)

    def _perform(self, request: Request, body: bytes) -> dict[str, Any] | None:
        """Return the data of the response, or raise a VendorError."""
        path, params = request.url.path, request.query_params
        if path == TOKEN:
            return self._authenticator.issue_token(body)
        self._authenticator.authenticate(request.method, path, params, request.headers)
        if path == ORDERS:
            page = _int_param(params, "page", default=1, maximum=MAX_PAGE)
            limit = _int_param(params, "limit", default=10, maximum=MAX_ROWS)
            rows = self.orders.rows((page - 1) * limit, limit)
            return {"totalCount": str(self.orders.total), "list": rows}
        order_no = params.get("orderNo")
        if not order_no:
            raise envelope.bad_request("orderNo 必填", "orderNo is required")
        find = self.orders.find if path == DETAIL else self.orders.find_payment
        if order := find(order_no):
            return order
        if self.options.unknown_order == "404":
            raise VendorError(envelope.ORDER_NOT_FOUND)
        if self.options.unknown_order == "422":
            raise VendorError(envelope.ORDER_INVALID)
        return {} if self.options.unknown_order == "empty" else None


def _parse_faults(body: bytes) -> list[Fault]:
    match json.loads(body):
        case {"faults": list(faults)}:
            return [Fault.parse(fault) for fault in faults]
        case _:
            raise ValueError('the body must be {"faults": [...]}')


def _int_param(params: Mapping[str, str], name: str, *, default: int, maximum: int) -> int:
    text = params.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= maximum:
        raise envelope.bad_request(
            f"{name} 必须是 1 到 {maximum}", f"{name} must be 1 to {maximum}"
        )
    return int(text)
