"""The baselines, each served by uvicorn with the same parser and event loop as the proxy.

bare     an ASGI application that sends the same bytes: the lower bound of the cost of a hit
forward  an ASGI application that sends the upstream's bytes on: the lower bound of a miss
naive    FastAPI, httpx, a TTLCache and a response_model: the usual first implementation
"""

import sys
from typing import Annotated, Any

import httpx
import uvicorn
from cachetools import TTLCache
from fastapi import FastAPI, Header, HTTPException, Query
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send


def bare(body: bytes) -> ASGIApp:
    """Return an application that sends `body` for every request."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return app


class Upstream:
    """Calls the list of an upstream with a token that is requested once."""

    def __init__(self, base_url: str, key_id: str, secret: str, pool_id: str) -> None:
        self._client = httpx.AsyncClient(base_url=base_url)
        self._credential = {"accessKeyId": key_id, "accessKeySecret": secret}
        self._pool_id = pool_id
        self._headers: dict[str, str] | None = None

    async def list_orders(self, page: int, limit: int) -> httpx.Response:
        """Return the response for one page."""
        if self._headers is None:
            path = "/api/v3/get-management-token"
            response = await self._client.post(path, json=self._credential)
            token = response.json()["data"]["access_token"]
            self._headers = {
                "Authorization": f"Bearer {token}",
                "x-authing-userpool-id": self._pool_id,
            }
        params = {"page": page, "limit": limit}
        return await self._client.get("/api/v3/get-orders", params=params, headers=self._headers)


def forward(upstream: Upstream) -> ASGIApp:
    """Return an application that requests each page from the upstream and sends its bytes."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            page = httpx.QueryParams(scope["query_string"].decode()).get("page")
            body = (await upstream.list_orders(int(page), 50)).content if page else b""
            headers = [(b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return app


class PackageName(BaseModel):
    """As in the proxy."""

    en: str | None = None
    zh: str | None = None


class Order(BaseModel):
    """As in the proxy."""

    order_no: str
    package_name: PackageName
    unit_price: str
    quantity: int
    actual_amount: str
    status: str
    type: str
    source: str
    created_at: str


class Page(BaseModel):
    """As in the proxy, but only the total of `meta`."""

    data: list[Order]
    total: int


def naive(upstream: Upstream, caller_key: str) -> FastAPI:
    """Return a proxy that caches each combination of page and limit."""
    app = FastAPI()
    cache: TTLCache[tuple[int, int], dict[str, Any]] = TTLCache(maxsize=1024, ttl=3600)

    async def fetch(page: int, limit: int) -> dict[str, Any]:
        data = (await upstream.list_orders(page, limit)).json()["data"]
        return {"data": [_order(row) for row in data["list"]], "total": int(data["totalCount"])}

    @app.get("/v1/orders", response_model=Page)
    async def orders(
        page: Annotated[int, Query(ge=1)] = 1,
        limit: Annotated[int, Query(ge=1, le=50)] = 10,
        x_api_key: Annotated[str, Header()] = "",
    ) -> dict[str, Any]:
        if x_api_key != caller_key:
            raise HTTPException(401)
        if (page, limit) not in cache:
            cache[page, limit] = await fetch(page, limit)
        return cache[page, limit]

    return app


def _order(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "order_no": row["orderNo"],
        "package_name": {"en": row["goodsNameEn"], "zh": row["goodsName"]},
        "unit_price": row["goodsUnitPrice"],
        "quantity": row["quantity"],
        "actual_amount": row["actualAmount"],
        "status": row["status"],
        "type": row["orderType"],
        "source": row["source"],
        "created_at": row["createTime"],
    }


def main() -> None:
    """Serve `bare FILE PORT` or `forward|naive UPSTREAM KEY_ID SECRET POOL_ID CALLER_KEY PORT`."""
    name, *arguments, port = sys.argv[1:]
    if name == "bare":
        with open(arguments[0], "rb") as file:  # noqa: PTH123  a small file, read once
            app: Any = bare(file.read())
    else:
        *upstream, caller_key = arguments
        client = Upstream(*upstream)
        app = forward(client) if name == "forward" else naive(client, caller_key)
    uvicorn.run(app, port=int(port), http="httptools", access_log=name == "naive", log_level="info")


if __name__ == "__main__":
    main()
