"""An upstream that a test scripts. It speaks the protocol, and fails on demand."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any

from pydantic import SecretStr

from app.clock import Clock
from app.http import MockTransport, Request, Response
from app.upstream.client import (
    ORDER_PATH,
    ORDERS_PATH,
    PAYMENT_PATH,
    UpstreamClient,
    create_upstream_client,
)
from app.upstream.credentials import TOKEN_PATH
from app.upstream.signature import SCHEME_WORD, Brand, authorization, string_to_sign

POOL_ID = "6250f12d5d0000009bcfc784"
KEY_ID = "6250f12d5d0000009bcfc784"
KEY_SECRET = "4ae78d3e579a6d0000001aeca7b1e29e"

_TYPES = ("New", "Upgrade", "Renew", "Overdue_Correct", "Overflowed_Correct")
_SOURCES = ("Licence", "Offline", "Eadmin", "SelfHelp", "Cdkey")


def wire_order(number: int) -> dict[str, Any]:
    """The order `number`, from 1, as the upstream sends it."""
    created = datetime(2022, 9, 25) + timedelta(seconds=number)  # noqa: DTZ001  upstream's have none
    return {
        "orderNo": f"20220925{number:07d}",
        "goodsName": "企业版",
        "goodsNameEn": "Enterprise",
        "goodsUnitPrice": "199.00",
        "quantity": str(number % 3 + 1),
        "actualAmount": f"{199 * (number % 3 + 1)}.00",
        "status": str(number % 5 + 1),
        "orderType": _TYPES[number % 5],
        "createTime": f"{created:%Y-%m-%d %H:%M:%S}",
        "source": _SOURCES[number % 5],
    }


def wire_payment(order_no: str) -> dict[str, Any]:
    """The payment of an order, as the upstream sends it."""
    return {
        "orderNo": order_no,
        "channelOrderNo": "Mock22e7ecfd-745d-46ad-b563-ef4db5719bfb",
        "paidAmount": "7.9",
        "paidTime": "2022-08-09 11:59:46",
        "paidAccountNo": "62bec1591aeb41ad3f1a6503",
        "payStatus": "3",
        "createTime": "2022-08-09 11:59:20",
        "payType": "Alipay",
    }


def jwt(claims: Mapping[str, object]) -> str:
    """A token with `claims`, whose signature nobody checks."""
    parts = ({"alg": "HS256"}, claims, {"signed": "by nobody"})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(part.decode().rstrip("=") for part in encoded)


def success(data: object, **more: object) -> Response:
    """An envelope that says 200, with a requestId of its own."""
    envelope = {"statusCode": 200, "message": "", "requestId": str(uuid.uuid4()), "data": data}
    return Response(200, json=envelope | more)


def failure(
    status_code: int,
    api_code: int | None = None,
    *,
    http_status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An envelope that tells a failure; its message is one that must go nowhere."""
    envelope: dict[str, object] = {
        "statusCode": status_code,
        "message": "duplicate key value violates unique constraint",
        "requestId": str(uuid.uuid4()),
    }
    if api_code is not None:
        envelope["apiCode"] = api_code
    return Response(http_status, json=envelope, headers=headers)


@dataclass(frozen=True, slots=True)
class Asked:
    """One call, as it came in. Header names are in lower case."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Gate:
    """Holds answers back until it is released. `held` counts who waits at it.

    `left` is how many it takes yet.
    """

    path: str | None
    left: float
    held: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let every answer go, those to come as well."""
        self._open.set()

    def takes(self, path: str) -> bool:
        """Whether this call is held back; one less from then on."""
        taken = self.left > 0 and _matches(self.path, path)
        self.left -= taken
        return taken

    async def passed(self) -> None:
        """Wait for the release."""
        self.held += 1
        await self._open.wait()
        self.held -= 1


@dataclass(slots=True)
class _Fault:
    path: str | None
    times: int
    fault: Callable[[Request], Response]


class ScriptedUpstream:
    """The upstream of one test.

    `orders` is the list as it is now, first row first: change it to shift the list. `asked`
    holds every call. A held answer was made when it was asked for, so a change of the list
    while it is held is not in it. Where a path may be named and is not, every path but the
    token call's is meant. `keys` are the secrets by access key id, `pools` the pools of those
    that are not of `pool_id`.

    Args:
        orders: how many orders there are.
    """

    def __init__(self, orders: int = 137) -> None:
        self.orders = [wire_order(number) for number in range(orders, 0, -1)]
        self.asked: list[Asked] = []
        self.expires_in: object = 7200
        self.pool_id = POOL_ID
        self.keys = {KEY_ID: KEY_SECRET}
        self.pools: dict[str, str] = {}
        self.transport = MockTransport(self._handle)
        self._tokens: dict[str, str] = {}
        self._faults: list[_Fault] = []
        self._gates: list[Gate] = []
        self._script: Callable[[Request], Response | None] = lambda _: None

    def asked_for(self, path: str) -> list[Asked]:
        """The calls to `path`, in order."""
        return [one for one in self.asked if one.path == path]

    def fail_next(
        self,
        status_code: int = 500,
        api_code: int | None = None,
        *,
        http_status: int = 200,
        headers: Mapping[str, str] | None = None,
        error: Exception | None = None,
        path: str | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next calls with a failure, or break with `error`, a transport's exception."""

        def fault(_: Request) -> Response:
            if error:
                raise error
            return failure(status_code, api_code, http_status=http_status, headers=headers)

        self._faults.append(_Fault(path, times, fault))

    def answer_with(self, script: Callable[[Request], Response | None]) -> None:
        """From now on answer what `script` makes of a call; as usual where that is None."""
        self._script = script

    def hold(self, path: str | None = None, *, times: float = inf) -> Gate:
        """Hold back the answers to the next calls."""
        gate = Gate(path, times)
        self._gates.append(gate)
        return gate

    def revoke_tokens(self) -> None:
        """Refuse every token given until now."""
        self._tokens.clear()

    def key_of(self, asked: Asked) -> str:
        """The access key id that a call was made with."""
        _, _, proof = asked.headers["authorization"].partition(" ")
        return self._tokens.get(proof) or proof.partition(":")[0]

    async def _handle(self, request: Request) -> Response:
        path = request.url.path
        headers = dict(request.headers)
        self.asked.append(Asked(path, dict(request.url.params), headers, request.content))
        gates = [gate for gate in self._gates if gate.takes(path)]
        try:
            answer = self._answer(request)
        finally:
            for gate in gates:
                await gate.passed()
        return _unread(answer)

    def _answer(self, request: Request) -> Response:
        for fault in self._faults:
            if fault.times and _matches(fault.path, request.url.path):
                fault.times -= 1
                return fault.fault(request)
        scripted = self._script(request)
        if scripted is not None:
            return scripted
        if request.url.path == TOKEN_PATH:
            return self._token(json.loads(request.content))
        return self._answer_question(request)

    def _answer_question(self, request: Request) -> Response:
        if not self._admits(request):
            return failure(401, 2020)
        path, params = request.url.path, request.url.params
        if path == ORDERS_PATH:
            return self._list(int(params["page"]), int(params["limit"]))
        known = next((one for one in self.orders if one["orderNo"] == params["orderNo"]), None)
        if path == ORDER_PATH:
            return success(known)
        assert path == PAYMENT_PATH
        return success(known and wire_payment(params["orderNo"]))

    def _token(self, key: Mapping[str, str]) -> Response:
        key_id = key["accessKeyId"]
        if self.keys.get(key_id) != key["accessKeySecret"]:
            return failure(403, 2333)
        token = jwt({"scoped_userpool_id": self._pool(key_id), "jti": str(uuid.uuid4())})
        self._tokens[token] = key_id
        return success({"access_token": token, "expires_in": self.expires_in})

    def _admits(self, request: Request) -> bool:
        scheme, _, proof = request.headers.get("authorization", "").partition(" ")
        for brand, word in SCHEME_WORD.items():
            if scheme == word:
                return f"{scheme} {proof}" in self._signatures(request, brand)
        pools = {request.headers.get(f"x-{brand}-userpool-id") for brand in SCHEME_WORD}
        key_id = self._tokens.get(proof, "")
        return scheme == "Bearer" and key_id in self.keys and pools == {self._pool(key_id)}

    def _pool(self, key_id: str) -> str:
        return self.pools.get(key_id, self.pool_id)

    def _signatures(self, request: Request, brand: Brand) -> list[str]:
        """What each of the keys would sign the call with."""
        path, params = request.url.path, dict(request.url.params)
        text = string_to_sign("GET", path, params, dict(request.headers), brand)
        return [authorization(key_id, secret, text, brand) for key_id, secret in self.keys.items()]

    def _list(self, page: int, limit: int) -> Response:
        rows = self.orders[(page - 1) * limit : page * limit]
        return success({"totalCount": str(len(self.orders)), "list": rows})


def client_of(upstream: ScriptedUpstream, clock: Clock, **config: Any) -> UpstreamClient:
    """A client of `upstream`, with the defaults of the settings where `knobs` says nothing.

    Each question is tried once, unless `tries` says otherwise; without jitter.
    """
    defaults: dict[str, Any] = {
        "base_url": "https://upstream.example",
        "access_key_id": SecretStr(KEY_ID),
        "access_key_secret": SecretStr(KEY_SECRET),
        "scheme": "token",
        "brand": "genauth",
        "pool_id": None,
        "ca_file": None,
        "proxy": None,
        "connect_timeout": 2,
        "read_timeout": 5,
        "deadline": 8,
        "max_concurrency": 8,
        "max_rate": 50,
        "breaker_pause": 5.0,
        "chance": lambda: 0.0,
        "tries": 1,
        "clock": clock,
        "transport": upstream.transport,
    }
    return create_upstream_client(**defaults | config)


def _unread(answer: Response) -> Response:
    """The answer as a network would bring it: a response made from text counts as read already."""
    if not answer.is_stream_consumed:
        return answer
    return Response(answer.status_code, headers=answer.headers, content=_pieces(answer.content))


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _matches(named: str | None, path: str) -> bool:
    return path == named if named else path != TOKEN_PATH
