"""A scripted upstream: implements the API in memory and fails on demand."""

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
    """Return the order `number`, from 1, as the upstream sends it."""
    created = datetime(2022, 9, 25) + timedelta(seconds=number)  # noqa: DTZ001  the upstream sends no zone
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
    """Return the payment of an order, as the upstream sends it."""
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
    """Return a token with `claims` and a signature that nobody checks."""
    parts = ({"alg": "HS256"}, claims, {"signature": "invalid"})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(part.decode().rstrip("=") for part in encoded)


def success(data: object, **members: object) -> Response:
    """Return a response with statusCode 200 and a unique requestId."""
    envelope = {"statusCode": 200, "message": "", "requestId": str(uuid.uuid4()), "data": data}
    return Response(200, json=envelope | members)


def failure(
    status_code: int,
    api_code: int | None = None,
    *,
    http_status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response with an error, whose message must be neither shown nor logged."""
    envelope: dict[str, object] = {
        "statusCode": status_code,
        "message": "duplicate key value violates unique constraint",
        "requestId": str(uuid.uuid4()),
    }
    if api_code is not None:
        envelope["apiCode"] = api_code
    return Response(http_status, json=envelope, headers=headers)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One call, as received. Header names are in lower case."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Gate:
    """Delays responses until it is released.

    Attributes:
        path: the calls that it delays.
        remaining: how many more it delays.
        waiting: how many it delays now.
    """

    path: str | None
    remaining: float
    waiting: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Delay no response any longer."""
        self._open.set()

    def delays(self, path: str) -> bool:
        """Return whether this call is delayed, and count it if so."""
        delayed = self.remaining > 0 and _matches(self.path, path)
        self.remaining -= delayed
        return delayed

    async def passed(self) -> None:
        """Wait for the release."""
        self.waiting += 1
        await self._open.wait()
        self.waiting -= 1


@dataclass(slots=True)
class _Fault:
    path: str | None
    times: int
    fault: Callable[[Request], Response]


class ScriptedUpstream:
    """The upstream of one test.

    A delayed response is made when its request arrives, so later changes of the list are not in
    it. Where a `path` can be given and is not, all paths except the token call's are meant.

    Args:
        orders: how many orders there are.

    Attributes:
        orders: the current list, first row first; may be changed.
        requests: all calls received.
        keys: secrets by access key id.
        pool_id: the pool of all keys that are not in `pools`.
        pools: other pools by access key id.
    """

    def __init__(self, orders: int = 137) -> None:
        self.orders = [wire_order(number) for number in range(orders, 0, -1)]
        self.requests: list[ReceivedRequest] = []
        self.expires_in: object = 7200
        self.pool_id = POOL_ID
        self.keys = {KEY_ID: KEY_SECRET}
        self.pools: dict[str, str] = {}
        self.transport = MockTransport(self._handle)
        self._tokens: dict[str, str] = {}
        self._faults: list[_Fault] = []
        self._gates: list[Gate] = []
        self._script: Callable[[Request], Response | None] = lambda _: None

    def requests_to(self, path: str) -> list[ReceivedRequest]:
        """Return the calls to `path`, in order."""
        return [request for request in self.requests if request.path == path]

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
        """Answer the next calls with an error, or raise `error`, a transport's exception."""

        def fault(_: Request) -> Response:
            if error:
                raise error
            return failure(status_code, api_code, http_status=http_status, headers=headers)

        self._faults.append(_Fault(path, times, fault))

    def respond_with(self, script: Callable[[Request], Response | None]) -> None:
        """Respond with what `script` returns for a call, or as usual if that is None."""
        self._script = script

    def hold(self, path: str | None = None, *, times: float = inf) -> Gate:
        """Delay the responses to the next calls."""
        gate = Gate(path, times)
        self._gates.append(gate)
        return gate

    def revoke_tokens(self) -> None:
        """Reject all tokens issued until now."""
        self._tokens.clear()

    def key_of(self, request: ReceivedRequest) -> str:
        """Return the access key id that a call was made with."""
        _, _, credentials = request.headers["authorization"].partition(" ")
        return self._tokens.get(credentials) or credentials.partition(":")[0]

    async def _handle(self, request: Request) -> Response:
        path = request.url.path
        headers = dict(request.headers)
        params = dict(request.url.params)
        self.requests.append(ReceivedRequest(path, params, headers, request.content))
        gates = [gate for gate in self._gates if gate.delays(path)]
        try:
            response = self._respond(request)
        finally:
            for gate in gates:
                await gate.passed()
        return _unread(response)

    def _respond(self, request: Request) -> Response:
        for fault in self._faults:
            if fault.times and _matches(fault.path, request.url.path):
                fault.times -= 1
                return fault.fault(request)
        scripted = self._script(request)
        if scripted is not None:
            return scripted
        if request.url.path == TOKEN_PATH:
            return self._token(json.loads(request.content))
        return self._respond_to_query(request)

    def _respond_to_query(self, request: Request) -> Response:
        if not self._is_authenticated(request):
            return failure(401, 2020)
        path, params = request.url.path, request.url.params
        if path == ORDERS_PATH:
            return self._list(int(params["page"]), int(params["limit"]))
        order = next((row for row in self.orders if row["orderNo"] == params["orderNo"]), None)
        if path == ORDER_PATH:
            return success(order)
        assert path == PAYMENT_PATH
        return success(order and wire_payment(params["orderNo"]))

    def _token(self, key: Mapping[str, str]) -> Response:
        key_id = key["accessKeyId"]
        if self.keys.get(key_id) != key["accessKeySecret"]:
            return failure(403, 2333)
        token = jwt({"scoped_userpool_id": self._pool(key_id), "jti": str(uuid.uuid4())})
        self._tokens[token] = key_id
        return success({"access_token": token, "expires_in": self.expires_in})

    def _is_authenticated(self, request: Request) -> bool:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        for brand, word in SCHEME_WORD.items():
            if scheme == word:
                return f"{scheme} {credentials}" in self._signatures(request, brand)
        pools = {request.headers.get(f"x-{brand}-userpool-id") for brand in SCHEME_WORD}
        key_id = self._tokens.get(credentials, "")
        return scheme == "Bearer" and key_id in self.keys and pools == {self._pool(key_id)}

    def _pool(self, key_id: str) -> str:
        return self.pools.get(key_id, self.pool_id)

    def _signatures(self, request: Request, brand: Brand) -> list[str]:
        """Return the Authorization header that each key would make for the call."""
        path, params = request.url.path, dict(request.url.params)
        text = string_to_sign("GET", path, params, dict(request.headers), brand)
        return [authorization(key_id, secret, text, brand) for key_id, secret in self.keys.items()]

    def _list(self, page: int, limit: int) -> Response:
        rows = self.orders[(page - 1) * limit : page * limit]
        return success({"totalCount": str(len(self.orders)), "list": rows})


def client_of(upstream: ScriptedUpstream, clock: Clock, **config: Any) -> UpstreamClient:
    """Return a client of `upstream`, configured by the settings' defaults and `config`.

    By default it has no retries (`max_attempts` is 1) and no jitter.
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
        "max_connection_age": 300,
        "breaker_open_seconds": 5.0,
        "random": lambda: 0.0,
        "max_attempts": 1,
        "clock": clock,
        "transport": upstream.transport,
    }
    return create_upstream_client(**defaults | config)


def _unread(response: Response) -> Response:
    """Return a response whose body is still to be read, as from a network."""
    if not response.is_stream_consumed:
        return response
    body = _stream(response.content)
    return Response(response.status_code, headers=response.headers, content=body)


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _matches(pattern: str | None, path: str) -> bool:
    return path == pattern if pattern else path != TOKEN_PATH
