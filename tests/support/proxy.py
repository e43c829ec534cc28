"""The complete proxy in front of a sandbox, without sockets, on a manual clock."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from app.main import create_app
from app.sandbox.app import Sandbox
from app.sandbox.options import Options
from app.settings import load
from tests.support.clock import ManualClock
from tests.support.run import run_inline

LIST = "/api/v3/get-orders"
DETAIL = "/api/v3/get-order-detail"
PAYMENT = "/api/v3/get-order-pay-detail"
TOKEN = "/api/v3/get-management-token"


class SandboxTransport(httpx.ASGITransport):
    """A transport to the sandbox that can be disconnected, and records what was called."""

    connected = True
    closed = False

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.urls: list[httpx.URL] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; raise `ConnectError` while disconnected."""
        self.urls.append(request.url)
        if not self.connected:
            raise httpx.ConnectError("disconnected")
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        """Record that the transport was closed."""
        self.closed = True


class Proxy:
    """The application with its sandbox, and requests to it.

    One that is created `beside` another has the same sandbox and clock.
    """

    def __init__(
        self,
        options: Options | None = None,
        environ: Mapping[str, str] | None = None,
        issuer_transport: httpx.AsyncBaseTransport | None = None,
        *,
        beside: "Proxy | None" = None,
        **groups: Any,
    ) -> None:
        self.clock: ManualClock = beside.clock if beside else ManualClock()
        self.options: Options = options or (beside.options if beside else Options())
        self.sandbox: Sandbox = (
            beside.sandbox if beside else Sandbox(self.options, clock=self.clock)
        )
        self.transport = SandboxTransport(self.sandbox)
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
            self.settings,
            transport=self.transport,
            issuer_transport=issuer_transport,
            clock=self.clock,
            random=lambda: 0.0,
            run_in_thread=run_inline,
        )

    async def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Send one request. In header names, `_` stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=named)

    def calls(self, path: str = LIST) -> int:
        """Return how many calls the upstream received for `path`."""
        return self.sandbox.calls.get(path, 0)

    @property
    def all_calls(self) -> int:
        """How many calls the upstream received."""
        return sum(self.sandbox.calls.values())


def cache_status(response: httpx.Response) -> str:
    """Return the parameters of the proxy's member of Cache-Status."""
    value: str = response.headers["cache-status"]
    return value.removeprefix("orders-bff; ")


def problem(response: httpx.Response) -> dict[str, Any]:
    """Return the problem document of a response, after checking its common parts."""
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    document: dict[str, Any] = json.loads(response.content)
    assert document["request_id"] == response.headers["x-request-id"]
    assert document["status"] == response.status_code
    return document
