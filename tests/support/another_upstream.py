"""A second implementation of the upstream API, which differs wherever the documentation allows it.

Numbers are JSON numbers, request ids are only in headers, the HTTP status repeats the statusCode,
payments are members of the envelope, messages are Chinese, there are undocumented fields; each
response is chunked, compressed, and the last one of its connection. Shares no code with the
sandbox.
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
CHUNK_BYTES = 97
"""Size of a chunk, so that chunks end in the middle of JSON tokens."""

Reply = tuple[int, Mapping[str, str], str]
"""HTTP status, further headers, body."""


class AnotherUpstream:
    """Serves the orders of `ScriptedUpstream` in another form.

    Attributes:
        base_url: where it listens.
        paths: the path of each call, in order.
        next_errors: (HTTP status and statusCode, headers) for the next calls to the list.
    """

    def __init__(self, orders: int = 137) -> None:
        self.base_url = ""
        self.paths: list[str] = []
        self.next_errors: list[tuple[int, dict[str, str]]] = []
        self._orders = [wire_order(number) for number in range(orders, 0, -1)]
        self._tokens: set[str] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["AnotherUpstream"]:
        """Listen on a free port until the end of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.base_url = f"http://{host}:{port}"
        async with server:
            yield self

    def revoke_tokens(self) -> None:
        """Reject all tokens issued until now."""
        self._tokens.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status, extra, text = self._respond(line.split(" ")[1], headers, body)
        writer.write(_encode(status, extra, text))
        await writer.drain()
        writer.close()

    def _respond(self, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        path = urlsplit(target).path
        self.paths.append(path)
        if path == "/api/v3/get-management-token":
            return self._token(json.loads(body))
        if headers["authorization"].removeprefix("Bearer ") not in self._tokens:
            return _failure(401, "未登录或登录已过期")
        if path == "/api/v3/get-orders" and self.next_errors:
            status, extra = self.next_errors.pop(0)
            return _failure(status, "您的请求已超过最大数量限制", extra)
        params = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        if path == "/api/v3/get-orders":
            return self._list(int(params["page"]), int(params["limit"]))
        return self._object(path, params)

    def _object(self, path: str, params: Mapping[str, str]) -> Reply:
        found = [row for row in self._orders if row["orderNo"] == params["orderNo"]]
        if not found:
            return _failure(404, "订单不存在")
        if path == "/api/v3/get-order-detail":
            return _success(f'"data":{_to_json(found[0])}')
        # Members of the envelope, as in the first versions of the API.
        return _success(_to_json(wire_payment(params["orderNo"]))[1:-1])

    def _token(self, body: Mapping[str, str]) -> Reply:
        if body != {"accessKeyId": KEY_ID, "accessKeySecret": KEY_SECRET}:
            return _failure(403, "用户名或密码错误")
        # Encoded in base64url with `-` and `_`, and without padding.
        claims = {"scoped_userpool_id": POOL_ID, "name": "ÿ~ÿ?", "jti": str(uuid.uuid4())}
        payload = base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode())
        token = f"e30.{payload.decode().rstrip('=')}.sig"
        self._tokens.add(token)
        return _success(f'"data":{{"access_token":"{token}","expires_in":"7200","rt":null}}')

    def _list(self, page: int, limit: int) -> Reply:
        rows = self._orders[(page - 1) * limit : page * limit]
        items = "[" + ",".join(_to_json(row) for row in rows) + "]" if rows else "null"
        return _success(f'"data":{{"totalCount":{len(self._orders)},"list":{items},"hasNext":1}}')


def _to_json(row: Mapping[str, Any]) -> str:
    """Return a row as JSON with numbers instead of numeric text, digit for digit."""
    text = json.dumps({**row, "tenantId": None, "tags": [], "_v": 3}, ensure_ascii=False)
    return re.sub(rf'"({"|".join(NUMBERS)})": "([0-9.]+)"', r'"\1": \2', text)


def _success(members: str) -> Reply:
    return 200, {}, f'{{{members},"statusCode":200,"message":"","cost":0.3}}'


def _failure(status: int, message: str, extra: Mapping[str, str] | None = None) -> Reply:
    text = json.dumps({"message": message, "statusCode": status}, ensure_ascii=False)
    return status, extra or {}, text


def _encode(status: int, extra: Mapping[str, str], text: str) -> bytes:
    body = gzip.compress(text.encode())
    chunks = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
    headers = {
        "content-type": "application/json; charset=UTF-8",
        "CONTENT-ENCODING": "gzip",
        "Transfer-Encoding": "chunked",
        "X-Request-ID": str(uuid.uuid4()),
        "Connection": "close",
        **extra,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    coded = b"".join(b"%x;part\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return f"HTTP/1.1 {status} \r\n{head}\r\n".encode() + coded
