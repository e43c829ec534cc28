"""One upstream answer with an absurd total changes no answer of the proxy."""

import httpx
import pytest

from app.main import create_app
from app.settings import load
from app.upstream.client import ORDERS_PATH
from tests.support.clock import ManualClock, settle
from tests.support.upstream import KEY_ID, KEY_SECRET, ScriptedUpstream, success


class Journey:
    """The proxy in front of an upstream of 137 orders, one answer of which states another total."""

    def __init__(self) -> None:
        self.upstream = ScriptedUpstream()
        self.clock = ManualClock()
        self._stated: list[str] = []
        settings = load(
            {"ORDERS_CALLERS__ANONYMOUS": "true"},
            upstream={
                "base_url": "https://upstream.example",
                "access_key_id": KEY_ID,
                "access_key_secret": KEY_SECRET,
            },
            cache={"ttl": 5},
        )
        self.app = create_app(settings, transport=self.upstream.transport, clock=self.clock)
        self.upstream.respond_with(self._script)

    def state_once(self, total: str) -> None:
        """State `total` in the next answer."""
        self._stated.append(total)

    def _script(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path != ORDERS_PATH or not self._stated:
            return None
        return success({"totalCount": self._stated.pop(), "list": self.upstream.orders[:50]})

    async def get(self, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)


@pytest.mark.parametrize("total", ["1000000", "50000000"])
async def test_on_a_cold_start_a_total_that_is_stated_once_is_not_believed(total: str):
    journey = Journey()
    journey.state_once(total)
    assert (await journey.get("/v1/orders")).json()["meta"]["total"] == 137
    summary = await journey.get("/v1/orders/summary")
    assert summary.json()["data"]["count"] == 137


@pytest.mark.parametrize("total", ["1000000", "0"])
async def test_a_refresh_that_states_another_total_once_changes_nothing(total: str):
    journey = Journey()
    await journey.get("/v1/orders/summary")
    await journey.clock.advance(6)
    journey.state_once(total)
    await journey.get("/v1/orders")
    await settle()
    page = await journey.get("/v1/orders")
    assert page.json()["meta"]["total"] == 137
    assert page.headers["cache-status"] == "orders-bff; hit; ttl=5"
    await journey.clock.advance(6)
    assert (await journey.get("/v1/orders/summary")).json()["data"]["count"] == 137


@pytest.mark.parametrize("total", ["5000000000", "1000000000000", "1" * 13, "9" * 5000])
async def test_a_total_beyond_the_bound_is_malformed(total: str):
    journey = Journey()
    journey.state_once(total)
    problem = (await journey.get("/v1/orders/summary")).json()
    assert problem["code"] == "upstream_malformed"


async def test_a_list_that_is_too_large_is_still_served_by_page():
    journey = Journey()
    for _ in range(2):
        journey.state_once("1000000")
    page = await journey.get("/v1/orders")
    assert (page.status_code, page.json()["meta"]["total"]) == (200, 1_000_000)
    assert (await journey.get("/v1/orders/summary")).json()["code"] == "list_too_large"
