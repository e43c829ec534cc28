"""The whole proxy between a caller and a sandbox, without sockets, on a clock that a test winds."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from app.main import create_app
from app.sandbox.app import Sandbox
from app.sandbox.options import Options
from app.settings import load
from tests.support.clock import ManualClock

LIST = "/api/v3/get-orders"
DETAIL = "/api/v3/get-order-detail"
PAYMENT = "/api/v3/get-order-pay-detail"
TOKEN = "/api/v3/get-management-token"


class Line(httpx.ASGITransport):
    """The way to the upstream. Cut, it brings nothing through."""

    cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a call, or fail as a network does."""
        if self.cut:
            raise httpx.ConnectError("cut")
        return await super().handle_async_request(request)


class Proxy:
    """The app, its upstream, and a caller's side of it."""

    def __init__(
        self,
        options: Options | None = None,
        environ: Mapping[str, str] | None = None,
        **groups: Any,
    ) -> None:
        self.clock = ManualClock()
        self.options = options or Options()
        self.sandbox = Sandbox(self.options, clock=self.clock)
        self.line = Line(self.sandbox)
        upstream = {
            "base_url": "http://127.0.0.1:9",
            "access_key_id": self.options.access_key_id,
            "access_key_secret": self.options.access_key_secret,
        }
        self.settings = load(
            environ or {"ORDERS_CALLERS__ANONYMOUS": "true"},
            upstream=upstream | groups.pop("upstream", {}),
            **groups,
        )
        self.app = create_app(
            self.settings, transport=self.line, clock=self.clock, chance=lambda: 0.0
        )

    async def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """One request; header names with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as caller:
            return await caller.request(method, path, headers=sent)

    def calls(self, path: str = LIST) -> int:
        """How often the upstream was asked."""
        return self.sandbox.calls.get(path, 0)

    @property
    def all_calls(self) -> int:
        """How often the upstream was asked anything."""
        return sum(self.sandbox.calls.values())


def members(cache_status: str) -> str:
    """The parameters of our Cache-Status member."""
    return cache_status.removeprefix("orders-bff; ")


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem that a response is."""
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    told: dict[str, Any] = json.loads(response.content)
    assert told["request_id"] == response.headers["x-request-id"]
    assert told["status"] == response.status_code
    return told
