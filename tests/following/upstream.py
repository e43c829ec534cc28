"""A list of orders that changes at random, served like the upstream serves its own."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PAGE_SIZE = 50
CLAIMS = base64.b64encode(b'{"scoped_userpool_id":"pool"}').decode().rstrip("=")


@dataclass
class ChangingList:
    """The list, and all that it ever was.

    Attributes:
        inserts: where new orders appear: front, back or anywhere.
        versions: the order numbers of each version; the current one is the last.
        prices: of each order; a changed order has another one.
        answers: for each answer, by its request id, the versions before and after it was sent.
    """

    rng: Random
    inserts: str
    size: int
    versions: list[tuple[str, ...]] = field(default_factory=list)
    prices: dict[str, int] = field(default_factory=dict)
    removed_in: dict[str, int] = field(default_factory=dict)
    answers: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.versions.append(tuple(self._new_number() for _ in range(self.size)))

    @property
    def version(self) -> int:
        """The number of the current version."""
        return len(self.versions) - 1

    def change(self) -> None:
        """Change the list in one to four ways at once."""
        kinds = self.rng.choice(
            ("add remove", "remove add", "add", "remove", "move", "edit", "add add remove remove")
        )
        for kind in kinds.split():
            getattr(self, f"_{kind}")()

    def _add(self) -> None:
        self._insert(list(self.versions[-1]), self._new_number())

    def _remove(self) -> None:
        orders = list(self.versions[-1])
        if len(orders) > self.size // 2:
            number = orders.pop(self.rng.randrange(len(orders)))
            self.removed_in[number] = len(self.versions)
            self.versions.append(tuple(orders))

    def _move(self) -> None:
        orders = list(self.versions[-1])
        self._insert(orders, orders.pop(self.rng.randrange(len(orders))))

    def _edit(self) -> None:
        self.prices[self.rng.choice(self.versions[-1])] += 1

    def _insert(self, orders: list[str], number: str) -> None:
        end = {"front": 0, "back": len(orders)}
        orders.insert(end.get(self.inserts, self.rng.randrange(len(orders) + 1)), number)
        self.versions.append(tuple(orders))

    def _new_number(self) -> str:
        number = f"20260101{len(self.prices):08}"
        self.prices[number] = 0
        return number


class Upstream:
    """The server of a list.

    Attributes:
        calls: how many pages were requested.
    """

    def __init__(self, orders: ChangingList, *, latency: float) -> None:
        self._orders = orders
        self._latency = latency
        self.calls = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve the list on a free port of the loopback interface; yield the origin."""
        app = Starlette(
            routes=[
                Route("/api/v3/get-management-token", self._token, methods=["POST"]),
                Route("/api/v3/get-orders", self._page),
            ]
        )
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving

    async def _token(self, _: Request) -> JSONResponse:
        data = {"access_token": f"a.{CLAIMS}.c", "expires_in": 7200}
        return JSONResponse({"statusCode": 200, "data": data})

    async def _page(self, request: Request) -> JSONResponse:
        self.calls += 1
        request_id, first = f"r{self.calls}", self._orders.version
        await asyncio.sleep(self._latency * self._orders.rng.random())
        page = int(request.query_params["page"])
        numbers = self._orders.versions[-1]
        rows = [self._row(number) for number in numbers[(page - 1) * PAGE_SIZE :][:PAGE_SIZE]]
        data = {"totalCount": len(numbers), "list": rows}
        body = json.dumps({"statusCode": 200, "requestId": request_id, "data": data})
        await asyncio.sleep(self._latency * self._orders.rng.random())
        self._orders.answers[request_id] = first, self._orders.version
        return JSONResponse(json.loads(body))

    def _row(self, number: str) -> dict[str, object]:
        price = self._orders.prices[number]
        return {"orderNo": number, "actualAmount": f"{price}.00", "status": 2}
