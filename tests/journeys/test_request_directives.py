"""What callers get that say in Cache-Control which answers they accept."""

import httpx
import pytest

from tests.support.proxy import Proxy


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


def cache_status(response: httpx.Response) -> str:
    return response.headers["cache-status"].removeprefix("orders-bff; ")


async def test_an_answer_older_than_max_age_is_fetched_again(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(10)
    young = await proxy.get("/v1/orders", Cache_Control="max-age=10")
    refetched = await proxy.get("/v1/orders", Cache_Control="max-age=9")
    assert cache_status(young) == "hit; ttl=50"
    assert cache_status(refetched) == "fwd=request; stored"
    assert proxy.calls() == 2


async def test_an_answer_that_is_not_fresh_for_long_enough_is_fetched_again(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(10)
    response = await proxy.get("/v1/orders", Cache_Control="min-fresh=51")
    assert cache_status(response) == "fwd=request; stored"
    again = await proxy.get("/v1/orders", Cache_Control="min-fresh=100000")
    assert cache_status(again) == "hit; ttl=60"  # it is as young as it can be


async def test_a_stale_answer_is_not_served_beyond_max_stale(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(100)
    refetched = await proxy.get("/v1/orders", Cache_Control="max-stale=39")
    assert cache_status(refetched) == "fwd=request; stored"


async def test_an_old_answer_is_served_without_waiting_to_a_caller_that_accepts_it(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(500)
    response = await proxy.get("/v1/orders", Cache_Control="max-stale")
    assert cache_status(response) == "hit; ttl=-440"
    await proxy.clock.advance(1)
    assert cache_status(await proxy.get("/v1/orders")) == "hit; ttl=59"


async def test_beyond_stale_if_error_the_problem_is_returned(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(100)
    proxy.sandbox.inject("status=500")
    accepted = await proxy.get("/v1/orders", Cache_Control="no-cache, stale-if-error=40")
    refused = await proxy.get("/v1/orders", Cache_Control="no-cache, stale-if-error=39")
    assert cache_status(accepted) == "fwd=request; ttl=-40; detail=upstream_failed"
    assert (refused.status_code, refused.json()["code"]) == (502, "upstream_failed")


async def test_while_refreshes_fail_every_stale_answer_says_so(proxy: Proxy):
    number = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    await proxy.clock.advance(70)
    proxy.sandbox.inject("status=500")
    first = await proxy.get("/v1/orders")
    await proxy.clock.advance(1)
    second = await proxy.get("/v1/orders")
    order = await proxy.get(f"/v1/orders/{number}", Cache_Control="max-stale")
    assert cache_status(first) == "hit; ttl=-10"
    assert cache_status(second) == "hit; ttl=-11; detail=upstream_failed"
    assert cache_status(order) == "hit; ttl=-11; detail=upstream_failed"

    await proxy.clock.advance(1)  # the refreshes that have begun fail, too
    proxy.sandbox.inject()
    await proxy.clock.advance(5)
    await proxy.get("/v1/orders")
    await proxy.clock.advance(1)
    assert cache_status(await proxy.get("/v1/orders")) == "hit; ttl=59"


@pytest.mark.parametrize(
    ("directives", "status"),
    [
        ("only-if-cached", 200),
        ("only-if-cached, max-stale=40", 200),
        ("only-if-cached, max-stale=39", 504),
        ("only-if-cached, max-age=50", 504),
        ("only-if-cached, no-cache", 504),
    ],
)
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/{number}"])
async def test_only_if_cached_serves_what_the_other_directives_accept(
    proxy: Proxy, path: str, directives: str, status: int
):
    number = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    await proxy.clock.advance(100)
    response = await proxy.get(path.format(number=number), Cache_Control=directives)
    assert response.status_code == status
    assert proxy.calls() == 1


async def test_an_order_that_a_directive_refuses_is_fetched_by_its_number(proxy: Proxy):
    number = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    await proxy.clock.advance(20)
    path = f"/v1/orders/{number}"
    assert cache_status(await proxy.get(path, Cache_Control="max-age=20")) == "hit; ttl=40"
    refetched = await proxy.get(path, Cache_Control="max-age=19")
    assert cache_status(refetched) == "fwd=uri-miss; stored"
    proxy.sandbox.inject("status=500")
    await proxy.clock.advance(150)
    refused = await proxy.get(path, Cache_Control="no-cache, stale-if-error=5")
    assert refused.json()["code"] == "upstream_failed"
