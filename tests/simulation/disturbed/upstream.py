"""An upstream for which one thing goes wrong, as the network below the HTTP client."""

import base64
import json
from collections.abc import AsyncIterator
from itertools import count
from random import Random
from typing import Any

import httpx

from app.clock import Clock
from app.upstream.client import ORDERS_PATH
from app.upstream.credentials import TOKEN_PATH
from tests.simulation.disturbed.plan import Disturbance, DisturbedPlan
from tests.simulation.loop import START
from tests.simulation.plan import BLOCK_SIZE

GOOD_KEY, WRONG_KEY = "good", "wrong"
POOL, OTHER_POOL = "pool", "other"
DAY = 86_400

Response = tuple[dict[str, Any], dict[str, str]]
"""The envelope, and the headers."""


class DisturbedUpstream(httpx.AsyncBaseTransport):
    """The upstream of one world.

    Attributes:
        order_numbers: the list.
        calls: the times of the calls for a page.
        pools: of the tokens of the calls for a page.
    """

    def __init__(self, plan: DisturbedPlan, clock: Clock, rng: Random) -> None:
        self._plan = plan
        self._clock = clock
        self._rng = rng
        self._token_numbers = count(1)
        self._token_pools: dict[str, str] = {}
        self._has_paused = False
        self.order_numbers = [f"n{number}" for number in range(plan.size)]
        self.calls: list[float] = []
        self.pools: set[str] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        latency = self._rng.choice(self._plan.latencies)
        if latency:
            await self._clock.sleep(latency)
        match request.url.path:
            case path if path == TOKEN_PATH:
                envelope, headers = self._issue_token(
                    str(json.loads(request.content)["accessKeyId"])
                )
            case path if path == ORDERS_PATH:
                token = request.headers["authorization"].removeprefix("Bearer ")
                envelope, headers = self._page(token, int(request.url.params["page"]))
            case _:
                envelope, headers = self._order(request.url.params["orderNo"])
        return httpx.Response(200, headers=headers, content=_stream(json.dumps(envelope).encode()))

    def _disturbs(self, disturbance: Disturbance) -> bool:
        is_active = self._clock.monotonic() >= START + self._plan.starts_at
        return is_active and self._plan.disturbance is disturbance

    def _issue_token(self, key: str) -> Response:
        if key == WRONG_KEY:
            return {"statusCode": 403, "apiCode": 2333}, {}
        pool = OTHER_POOL if self._disturbs(Disturbance.OTHER_POOL) else POOL
        claims = base64.b64encode(json.dumps({"scoped_userpool_id": pool}).encode()).decode()
        token = f"{key}-{next(self._token_numbers)}.{claims.rstrip('=')}.s"
        self._token_pools[token] = pool
        data = {"access_token": token, "expires_in": self._plan.token_lifetime}
        return {"statusCode": 200, "data": data}, {}

    def _page(self, token: str, page: int) -> Response:
        self.calls.append(self._clock.monotonic())
        if self._disturbs(Disturbance.LONG_PAUSE) and not self._has_paused:
            self._has_paused = True
            return {"statusCode": 429}, {"retry-after": f"{DAY}"}
        pool = self._token_pools[token]
        self.pools.add(pool)
        numbers = self.order_numbers[(page - 1) * BLOCK_SIZE : page * BLOCK_SIZE]
        rows = [{"orderNo": number if pool == POOL else f"other-{number}"} for number in numbers]
        data = {"totalCount": len(self.order_numbers), "list": rows}
        return {"statusCode": 200, "requestId": f"p{len(self.calls)}", "data": data}, {}

    def _order(self, order_no: str) -> Response:
        if self._disturbs(Disturbance.FAILING_ORDERS):
            return {"statusCode": 500}, {}
        if self._disturbs(Disturbance.OTHER_ORDER):
            return {"statusCode": 200, "data": {"orderNo": f"{order_no}0"}}, {}
        return {"statusCode": 404}, {}


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    yield body
