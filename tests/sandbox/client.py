"""A client of a sandbox, in process by default, with the sandbox's own credential."""

from collections.abc import Mapping
from typing import Any, Self

import httpx

from app.clock import Clock
from app.sandbox.app import Sandbox
from app.sandbox.faults import ORDERS, TOKEN
from app.sandbox.options import Options


class SandboxClient:
    """Calls `sandbox` in process, or its server at `base_url`."""

    def __init__(self, sandbox: Sandbox, *, base_url: str = "") -> None:
        self.sandbox = sandbox
        self.options = sandbox.options
        self.http = httpx.AsyncClient(
            transport=None if base_url else httpx.ASGITransport(sandbox),
            base_url=base_url or "http://sandbox",
            trust_env=False,
        )
        self.headers: dict[str, str] = {}

    @classmethod
    async def logged_in(cls, options: Options, clock: Clock) -> Self:
        """Return a client of a new sandbox, with a token."""
        client = cls(Sandbox(options, clock=clock))
        await client.log_in()
        return client

    async def request_token(self, **changes: object) -> dict[str, Any]:
        """Return the envelope of a token request; `changes` replace fields of its body."""
        body = {
            "accessKeyId": self.options.access_key_id,
            "accessKeySecret": self.options.access_key_secret,
        }
        return self._envelope(await self.http.post(TOKEN, json={**body, **changes}))

    async def log_in(self) -> None:
        token = (await self.request_token())["data"]["access_token"]
        self.headers = {
            "authorization": f"Bearer {token}",
            "x-authing-userpool-id": self.options.pool_id,
        }

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, **params: Any
    ) -> dict[str, Any]:
        """Return the envelope; `headers` replace those of the login."""
        return self._envelope(await self.get_response(path, headers=headers, **params))

    async def get_response(
        self, path: str, *, headers: Mapping[str, str] | None = None, **params: Any
    ) -> httpx.Response:
        return await self.http.get(
            path,
            params={name: str(value) for name, value in params.items()},
            headers=self.headers if headers is None else dict(headers),
        )

    async def rows(self, **params: Any) -> list[dict[str, Any]]:
        """Return the rows of one page of the list."""
        rows: list[dict[str, Any]] = (await self.get(ORDERS, **params))["data"]["list"]
        return rows

    @staticmethod
    def _envelope(response: httpx.Response) -> dict[str, Any]:
        assert response.status_code == 200
        assert response.headers["x-sandbox"] == "true"
        body: dict[str, Any] = response.json()
        return body
