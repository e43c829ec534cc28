"""One who asks a sandbox, in process and without a socket, with the sandbox's own credential."""

from collections.abc import Mapping
from typing import Any, Self

import httpx

from app.clock import Clock
from app.sandbox import Options, Sandbox, create_sandbox
from app.sandbox.faults import DETAIL, GRANT, ORDERS, PAYMENT

__all__ = ["DETAIL", "GRANT", "ORDERS", "PAYMENT", "Asker"]


class Asker:
    """Asks `sandbox`, or a server at `base_url`."""

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
    async def admitted(cls, options: Options, clock: Clock) -> Self:
        asker = cls(create_sandbox(options, clock=clock))
        await asker.log_in()
        return asker

    async def grant(self, **changed: object) -> dict[str, Any]:
        """Ask for a token; the envelope."""
        question = {
            "accessKeyId": self.options.access_key_id,
            "accessKeySecret": self.options.access_key_secret,
        }
        return self._envelope(await self.http.post(GRANT, json={**question, **changed}))

    async def log_in(self) -> None:
        token = (await self.grant())["data"]["access_token"]
        self.headers = {
            "authorization": f"Bearer {token}",
            "x-authing-userpool-id": self.options.pool_id,
        }

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, **params: Any
    ) -> dict[str, Any]:
        """The envelope of one question."""
        return self._envelope(await self.answer(path, headers=headers, **params))

    async def answer(
        self, path: str, *, headers: Mapping[str, str] | None = None, **params: Any
    ) -> httpx.Response:
        asked = {name: str(value) for name, value in params.items()}
        return await self.http.get(
            path, params=asked, headers=self.headers if headers is None else dict(headers)
        )

    async def rows(self, **params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.get(ORDERS, **params))["data"]["list"]
        return rows

    @staticmethod
    def _envelope(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200
        assert answer.headers["x-sandbox"] == "true"
        body: dict[str, Any] = answer.json()
        return body
