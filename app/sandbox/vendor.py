"""The vendor's four operations, and the faults that hit them. Knows no route but theirs."""

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
from app.sandbox import answers, connection
from app.sandbox.answers import Refusal, Refused
from app.sandbox.faults import DETAIL, EVERYWHERE, GRANT, ORDERS, PAYMENT, Fault, FaultDesk
from app.sandbox.gate import Gate
from app.sandbox.ledger import Ledger
from app.sandbox.oddities import odd
from app.sandbox.options import Options, UnknownOrder

MOST_ROWS: Final = 50
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_METHODS: Final = {GRANT: "POST", ORDERS: "GET", DETAIL: "GET", PAYMENT: "GET"}


class Vendor:
    """The vendor, as an ASGI application.

    Attributes:
        calls: how often each of the four paths was called, whatever came of it.
        desk: the faults that stand.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self.calls = Counter(dict.fromkeys(EVERYWHERE, 0))
        self.desk = FaultDesk(options.standing_faults())
        self._options = options
        self._clock = clock
        self._gate = Gate(options, clock)
        self._ledger = Ledger(orders=options.orders, seed=options.seed, clock=clock)
        self._second = 0
        self._calls_this_second = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        path = request.url.path
        if _METHODS.get(path) != request.method:
            await self._refuse(answers.NO_SUCH_API, request)(scope, receive, send)
            return
        self.calls[path] += 1
        if self._is_over_rate():
            await answers.throttled(None)(scope, receive, send)
            return
        hits = self.desk.take(path)
        self._happen(hits)
        seconds = sum(fault.value or 0 for fault, _ in hits if fault.kind == "latency")
        if seconds and await self._left_within(seconds, receive):
            return
        match hits[-1][0].kind if hits else "":
            case "hang":
                await connection.left(receive)
            case "reset":
                await connection.reset(scope, receive)
            case "half_body":
                answer = self._answer(request, body, hits)
                await connection.half(answer, scope, receive, send)
            case _:
                await self._answer(request, body, hits)(scope, receive, send)

    def _is_over_rate(self) -> bool:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._calls_this_second = second, 0
        self._calls_this_second += 1
        return 0 < self._options.max_calls_per_second < self._calls_this_second

    def _happen(self, hits: list[tuple[Fault, int]]) -> None:
        for fault, ordinal in hits:
            if fault.kind == "revoke_tokens":
                self._gate.revoke_tokens()
            elif fault.kind == "arrivals" and ordinal % fault.number == 0:
                self._ledger.arrive()

    async def _left_within(self, seconds: float, receive: Receive) -> bool:
        """Wait, and say whether the caller left meanwhile: nobody waits for one who has gone."""
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        leave = asyncio.ensure_future(connection.left(receive))
        try:
            await asyncio.wait((pause, leave), return_when=asyncio.FIRST_COMPLETED)
            return leave.done()
        finally:
            pause.cancel()
            leave.cancel()

    def _answer(self, request: Request, body: bytes, hits: list[tuple[Fault, int]]) -> Response:
        # One that answers is the last to hit.
        last = hits[-1][0] if hits else None
        if last and last.kind == "status":
            refusal = Refusal(last.number, last.api_code, "沙箱故障", "A fault of the sandbox")
            return self._refuse(refusal, request)
        if last and last.kind == "throttle":
            return answers.throttled(None if last.value is None else last.number)
        if last and last.kind == "html":
            return answers.html_page(last.number)
        try:
            data = self._operate(request, body)
        except Refused as refused:
            return self._refuse(refused.refusal, request)
        kinds = {fault.kind for fault, _ in hits}
        if isinstance(data, dict) and "odd_rows" in kinds:
            data["list"] = odd(data["list"])
        if isinstance(data, dict) and "list_object" in kinds:
            data["list"] = next(iter(data["list"]), {})
        return answers.success(data, english=_speaks_english(request.headers))

    def _operate(self, request: Request, body: bytes) -> dict[str, Any] | None:
        path, params = request.url.path, request.query_params
        if path == GRANT:
            return self._gate.issue(_json(body))
        self._gate.admit(request.method, path, params, request.headers)
        if path == ORDERS:
            page = _count(params, "page", 1, None)
            limit = _count(params, "limit", 10, MOST_ROWS)
            rows = self._ledger.rows((page - 1) * limit, limit)
            return {"totalCount": str(self._ledger.total), "list": rows}
        order_no = params.get("orderNo")
        if not order_no:
            raise Refused(answers.bad_argument("orderNo 必填", "orderNo is required"))
        found = self._ledger.find(order_no) if path == DETAIL else self._ledger.payment(order_no)
        return found if found is not None else _absent(self._options.unknown_order)

    @staticmethod
    def _refuse(refusal: Refusal, request: Request) -> Response:
        return answers.failure(refusal, english=_speaks_english(request.headers))


def _absent(unknown_order: UnknownOrder) -> dict[str, Any] | None:
    if unknown_order == "404":
        raise Refused(answers.ORDER_ABSENT)
    if unknown_order == "422":
        raise Refused(answers.ORDER_INVALID)
    return {} if unknown_order == "empty" else None


def _count(params: Mapping[str, str], name: str, default: int, most: int | None) -> int:
    text = params.get(name, str(default))
    number = int(text) if _COUNT.fullmatch(text) else 0
    if number < 1 or (most is not None and number > most):
        span = "大于等于 1" if most is None else f"1 到 {most}"
        to = "at least 1" if most is None else f"1 to {most}"
        raise Refused(answers.bad_argument(f"{name} 必须{span}", f"{name} must be {to}"))
    return number


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(answers.bad_argument("请求体不是 JSON", "The body is not JSON")) from None


def _speaks_english(headers: Mapping[str, str]) -> bool:
    language = headers.get("x-authing-lang") or headers.get("x-genauth-lang") or "zh-CN"
    return language.lower().startswith("en")
