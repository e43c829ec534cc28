"""An upstream of another hand: the same protocol, with the other choice wherever it leaves one.

Numbers are JSON numbers, ids stand in headers alone, the HTTP status repeats the statusCode,
payments are flat, messages are Chinese, there are fields that nobody documented; every answer is
chunked, in gzip, and ends its connection. It shares no code with the sandbox.
"""

import asyncio
import base64
import gzip
import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.upstream import KEY_ID, KEY_SECRET, POOL_ID, wire_order, wire_payment

NUMBERS = ("goodsUnitPrice", "quantity", "actualAmount", "status", "paidAmount", "payStatus")
PARSE_CHUNK_BYTES = 97
"""Bytes of one chunk: no piece of JSON ends where a chunk does."""

Answer = tuple[int, Mapping[str, str], str]


class AnotherUpstream:
    """The list of `ScriptedUpstream`, told in another way.

    Attributes:
        base_url: where it answers.
        asked: the path of each call, in order.
        refusals: (HTTP status and statusCode, headers) of the next calls to the list.
    """

    def __init__(self, orders: int = 137) -> None:
        self.base_url = ""
        self.asked: list[str] = []
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self._orders = [wire_order(number) for number in range(orders, 0, -1)]
        self._tokens: set[str] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["AnotherUpstream"]:
        """Answer on a free port, until the end of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.base_url = f"http://{host}:{port}"
        async with server:
            yield self

    def revoke_tokens(self) -> None:
        """Refuse every token given until now."""
        self._tokens.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status, more, text = self._answer(line.split(" ")[1], headers, body)
        writer.write(_packed(status, more, text))
        await writer.drain()
        writer.close()

    def _answer(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path = urlsplit(target).path
        self.asked.append(path)
        if path == "/api/v3/get-management-token":
            return self._token(json.loads(body))
        if headers["authorization"].removeprefix("Bearer ") not in self._tokens:
            return _failure(401, "未登录或登录已过期")
        if path == "/api/v3/get-orders" and self.refusals:
            status, more = self.refusals.pop(0)
            return _failure(status, "您的请求已超过最大数量限制", more)
        params = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        if path == "/api/v3/get-orders":
            return self._list(int(params["page"]), int(params["limit"]))
        return self._about_one(path, params)

    def _about_one(self, path: str, params: Mapping[str, str]) -> Answer:
        found = [one for one in self._orders if one["orderNo"] == params["orderNo"]]
        if not found:
            return _failure(404, "订单不存在")
        if path == "/api/v3/get-order-detail":
            return _success(f'"data":{_numbered(found[0])}')
        # Flat, as the first versions had it.
        return _success(_numbered(wire_payment(params["orderNo"]))[1:-1])

    def _token(self, sent: Mapping[str, str]) -> Answer:
        if sent != {"accessKeyId": KEY_ID, "accessKeySecret": KEY_SECRET}:
            return _failure(403, "用户名或密码错误")
        # Bytes whose base64url has `-` and `_` in it, and no padding.
        claims = {"scoped_userpool_id": POOL_ID, "name": "ÿ~ÿ?", "jti": str(uuid.uuid4())}
        payload = base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode())
        token = f"e30.{payload.decode().rstrip('=')}.sig"
        self._tokens.add(token)
        return _success(f'"data":{{"access_token":"{token}","expires_in":"7200","rt":null}}')

    def _list(self, page: int, limit: int) -> Answer:
        rows = self._orders[(page - 1) * limit : page * limit]
        told = "[" + ",".join(_numbered(row) for row in rows) + "]" if rows else "null"
        return _success(f'"data":{{"totalCount":{len(self._orders)},"list":{told},"hasNext":1}}')


def _numbered(row: Mapping[str, Any]) -> str:
    """A row as JSON in which what looks like a number is one, digit for digit."""
    text = json.dumps({**row, "tenantId": None, "tags": [], "_v": 3}, ensure_ascii=False)
    return re.sub(rf'"({"|".join(NUMBERS)})": "([0-9.]+)"', r'"\1": \2', text)


def _success(members: str) -> Answer:
    return 200, {}, f'{{{members},"statusCode":200,"message":"","cost":0.3}}'


def _failure(status: int, message: str, more: Mapping[str, str] | None = None) -> Answer:
    text = json.dumps({"message": message, "statusCode": status}, ensure_ascii=False)
    return status, more or {}, text


def _packed(status: int, more: Mapping[str, str], text: str) -> bytes:
    packed = gzip.compress(text.encode())
    pieces = [
        packed[at : at + PARSE_CHUNK_BYTES] for at in range(0, len(packed), PARSE_CHUNK_BYTES)
    ]
    headers = {
        "content-type": "application/json; charset=UTF-8",
        "CONTENT-ENCODING": "gzip",
        "Transfer-Encoding": "chunked",
        "X-Request-ID": str(uuid.uuid4()),
        "Connection": "close",
        **more,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    chunks = b"".join(b"%x;part\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return f"HTTP/1.1 {status} \r\n{head}\r\n".encode() + chunks
