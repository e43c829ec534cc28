"""The vendor's four API operations, and the faults injected into them."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.clock import Clock
from app.sandbox import connection, envelope
from app.sandbox.authentication import Authenticator
from app.sandbox.envelope import ErrorReply, VendorError
from app.sandbox.faults import ALL_PATHS, DETAIL, ORDERS, PAYMENT, TOKEN, FaultRegistry, Hit
from app.sandbox.malformed_rows import malformed
from app.sandbox.options import Options
from app.sandbox.order_store import OrderStore

MAX_ROWS: Final = 50
_INTEGER: Final = re.compile(r"[0-9]{1,9}")
_METHODS: Final = {TOKEN: "POST", ORDERS: "GET", DETAIL: "GET", PAYMENT: "GET"}


class Vendor:
    """The vendor's API, as an ASGI application.

    Attributes:
        calls: the number of calls per path, failed ones included.
        faults: the active faults.
        orders: the orders that it serves.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self.calls = Counter(dict.fromkeys(ALL_PATHS, 0))
        self.faults = FaultRegistry(options.parse_faults())
        self.orders = OrderStore(orders=options.orders, seed=options.seed, clock=clock)
        self._options = options
        self._clock = clock
        self._authenticator = Authenticator(options, clock)
        self._second = 0
        self._calls_this_second = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        path = request.url.path
        if _METHODS.get(path) != request.method:
            await _failure(envelope.UNKNOWN_API, request)(scope, receive, send)
            return
        self.calls[path] += 1
        if self._is_rate_exceeded():
            await envelope.throttled(None)(scope, receive, send)
            return
        hits = self.faults.match(path)
        self._apply_side_effects(hits)
        delay = sum(hit.fault.value or 0 for hit in hits if hit.fault.kind == "latency")
        if delay and await self._disconnects_within(delay, receive):
            return
        match hits[-1].fault.kind if hits else "":
            case "hang":
                await connection.wait_disconnected(receive)
            case "reset":
                await connection.send_reset(scope, receive)
            case "half_body":
                response = self._respond(request, body, hits)
                await connection.send_half(response, scope, receive, send)
            case _:
                await self._respond(request, body, hits)(scope, receive, send)

    def _is_rate_exceeded(self) -> bool:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._calls_this_second = second, 0
        self._calls_this_second += 1
        return 0 < self._options.max_calls_per_second < self._calls_this_second

    def _apply_side_effects(self, hits: list[Hit]) -> None:
        for fault, number in hits:
            if fault.kind == "revoke_tokens":
                self._authenticator.revoke_tokens()
            elif fault.kind == "arrivals" and number % fault.int_value == 0:
                self.orders.add_order()

    async def _disconnects_within(self, seconds: float, receive: Receive) -> bool:
        """Wait at most `seconds`, and return whether the client has disconnected meanwhile."""
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        disconnected = asyncio.ensure_future(connection.wait_disconnected(receive))
        try:
            await asyncio.wait((timer, disconnected), return_when=asyncio.FIRST_COMPLETED)
            return disconnected.done()
        finally:
            timer.cancel()
            disconnected.cancel()

    def _respond(self, request: Request, body: bytes, hits: list[Hit]) -> Response:
        # A terminal fault is always the last hit.
        last = hits[-1].fault if hits else None
        if last and last.kind == "status":
            reply = ErrorReply(last.int_value, last.api_code, "沙箱故障", "Injected by the sandbox")
            return _failure(reply, request)
        if last and last.kind == "throttle":
            return envelope.throttled(None if last.value is None else last.int_value)
        if last and last.kind == "html":
            return envelope.html_page(last.int_value)
        try:
            data = self._dispatch(request, body)
        except VendorError as error:
            return _failure(error.reply, request)
        kinds = {hit.fault.kind for hit in hits}
        if data and "odd_rows" in kinds:
            data["list"] = malformed(data["list"])
        if data and "list_object" in kinds:
            data["list"] = next(iter(data["list"]), {})
        return envelope.success(data, english=_wants_english(request.headers))

    def _dispatch(self, request: Request, body: bytes) -> dict[str, Any] | None:
        path, params = request.url.path, request.query_params
        if path == TOKEN:
            return self._authenticator.issue_token(_parse_json(body))
        self._authenticator.authenticate(request.method, path, params, request.headers)
        if path == ORDERS:
            page = _int_param(params, "page", default=1)
            limit = _int_param(params, "limit", default=10, maximum=MAX_ROWS)
            rows = self.orders.rows((page - 1) * limit, limit)
            return {"totalCount": str(self.orders.total), "list": rows}
        order_no = params.get("orderNo")
        if not order_no:
            raise VendorError(envelope.bad_request("orderNo 必填", "orderNo is required"))
        find = self.orders.find if path == DETAIL else self.orders.find_payment
        return find(order_no) or self._not_found()

    def _not_found(self) -> dict[str, Any] | None:
        if self._options.unknown_order == "404":
            raise VendorError(envelope.ORDER_NOT_FOUND)
        if self._options.unknown_order == "422":
            raise VendorError(envelope.ORDER_INVALID)
        return {} if self._options.unknown_order == "empty" else None


def _failure(reply: ErrorReply, request: Request) -> Response:
    return envelope.failure(reply, english=_wants_english(request.headers))


def _int_param(
    params: Mapping[str, str], name: str, *, default: int, maximum: int | None = None
) -> int:
    text = params.get(name, str(default))
    number = int(text) if _INTEGER.fullmatch(text) else 0
    if number < 1 or (maximum is not None and number > maximum):
        zh = "大于等于 1" if maximum is None else f"1 到 {maximum}"
        en = "at least 1" if maximum is None else f"1 to {maximum}"
        raise VendorError(envelope.bad_request(f"{name} 必须{zh}", f"{name} must be {en}"))
    return number


def _parse_json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        raise VendorError(envelope.bad_request("请求体不是 JSON", "The body is not JSON")) from None


def _wants_english(headers: Mapping[str, str]) -> bool:
    language = headers.get("x-authing-lang") or headers.get("x-genauth-lang") or "zh-CN"
    return language.lower().startswith("en")
