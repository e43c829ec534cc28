"""Responses while the upstream is slow, rate limiting, failing or unreachable, and afterwards."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta

import httpx
import pytest

from tests.support.clock import settle
from tests.support.proxy import DETAIL, Proxy, cache_status, problem


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


async def within_deadline(
    proxy: Proxy, request: Coroutine[None, None, httpx.Response]
) -> httpx.Response:
    """Return the response. Fail if it takes longer than the deadline and half a second."""
    task = asyncio.ensure_future(request)
    await settle()
    for _ in range(34):
        if task.done():
            break
        await proxy.clock.advance(0.25)
    assert task.done(), "no response within the deadline and half a second"
    return task.result()


async def test_retry_after_says_when_the_proxy_calls_again(proxy: Proxy):
    proxy.sandbox.inject("html=502,path=get-orders")
    problems = []
    for seconds in (0, 0.5, 0.5, 0.5, 1.5):
        await proxy.clock.advance(seconds)
        response = await proxy.get("/v1/orders")
        problems.append((problem(response)["code"], response.headers["retry-after"]))
    assert problems == [
        ("upstream_failed", "1"),
        ("upstream_failed", "1"),
        ("upstream_failed", "2"),
        ("upstream_failed", "2"),
        ("upstream_unavailable", "3"),
    ]


async def test_a_throttling_upstream_is_not_called_before_its_retry_after(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(6)
    proxy.sandbox.inject("throttle=20,path=get-orders")
    cached = await proxy.get("/v1/orders", Cache_Control="no-cache")
    assert cache_status(cached).endswith("detail=upstream_throttled")
    assert proxy.calls() == 2
    await proxy.clock.advance(4)
    uncached = await proxy.get("/v1/orders?page=2&limit=50")
    assert (problem(uncached)["code"], uncached.headers["retry-after"]) == (
        "upstream_throttled",
        "16",
    )
    await proxy.clock.advance(15)
    assert proxy.calls() == 2


async def test_while_the_circuit_is_open_cached_responses_are_served_without_a_call(proxy: Proxy):
    for page in (1, 3):
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    await proxy.clock.advance(400)
    proxy.sandbox.inject("html=502")
    assert (await proxy.get("/v1/orders?page=1&limit=50")).headers[
        "x-freshness"
    ] == "stale-if-error"
    await proxy.clock.advance(1)
    await proxy.get("/v1/orders?page=1&limit=50")  # fails once more after its backoff
    calls = proxy.all_calls
    cached = await proxy.get("/v1/orders?page=3&limit=50")
    assert cache_status(cached).endswith("detail=upstream_unavailable")
    uncached = await proxy.get("/v1/orders?page=2&limit=50")
    assert (uncached.status_code, problem(uncached)["code"]) == (503, "upstream_unavailable")
    assert uncached.headers["retry-after"] == "5"
    assert proxy.all_calls == calls


async def test_cached_pages_survive_a_ten_minute_outage_and_are_fresh_a_minute_later(proxy: Proxy):
    for page in (1, 2):
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    proxy.sandbox.inject("html=503")
    for _ in range(120):
        await proxy.clock.advance(5)
        for page in (1, 2):
            response = await within_deadline(proxy, proxy.get(f"/v1/orders?page={page}&limit=50"))
            assert response.status_code == 200
    assert proxy.all_calls < 120 * 2 + 20
    proxy.sandbox.inject()
    for _ in range(12):
        await proxy.clock.advance(5)
        for page in (1, 2):
            response = await within_deadline(proxy, proxy.get(f"/v1/orders?page={page}&limit=50"))
    assert response.headers["x-freshness"] == "fresh"


SLOW = {
    "uncached page": ("/v1/orders", "latency=30"),
    "slow token": ("/v1/orders", "latency=30,path=get-management-token"),
    "uncached order": ("/v1/orders/A1", "latency=30"),
    "slow failure": ("/v1/orders", "latency=3", "status=500"),
    "endless throttling": ("/v1/orders", "throttle"),
    "retry-after just below the deadline": ("/v1/orders", "throttle=7"),
    "slow rejection of the token": ("/v1/orders", "latency=3", "status=401,api_code=2020"),
}


@pytest.mark.parametrize("case", SLOW)
async def test_no_response_takes_longer_than_the_deadline(proxy: Proxy, case: str):
    path, *faults = SLOW[case]
    proxy.sandbox.inject(*faults)
    assert (await within_deadline(proxy, proxy.get(path))).status_code in (502, 503, 504)


async def test_a_window_that_needs_several_fetches_has_one_deadline(proxy: Proxy):
    """The token, block 0 and then two more blocks are fetched in turn, each slowly."""
    proxy.sandbox.inject("latency=3")
    response = await within_deadline(proxy, proxy.get("/v1/orders?page=4&limit=30"))
    assert problem(response)["code"] == "upstream_timeout"


async def test_an_inconsistent_window_that_cannot_be_refetched_in_time_is_marked(proxy: Proxy):
    await proxy.get("/v1/orders?page=1&limit=50")
    await proxy.clock.advance(30)
    proxy.sandbox.inject("arrivals=1,times=1")
    await proxy.get("/v1/orders?page=2&limit=50")
    proxy.sandbox.inject("latency=30")
    response = await within_deadline(proxy, proxy.get("/v1/orders?page=2&limit=30"))
    assert response.status_code == 200
    assert response.json()["meta"]["inconsistent"]


async def test_unexpected_values_are_served_and_each_kind_is_logged_once(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    proxy.sandbox.inject("odd_rows")
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        for seconds in (0, 60):
            await proxy.clock.advance(seconds)
            page = await proxy.get("/v1/orders?limit=50", Cache_Control="no-cache")
            assert len(page.json()["data"]) == 50
    logged = [getattr(record, "fields", None) for record in caplog.records]
    assert {"what": "unknown value", "where": "order", "name": "status"} in logged
    assert len(logged) == len({str(fields) for fields in logged}) > 3


async def test_foreground_calls_precede_background_refreshes():
    proxy = Proxy(upstream={"max_concurrency": 1})
    for page in (1, 3):
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    await proxy.clock.advance(70)
    proxy.sandbox.inject("latency=1")
    requests = [asyncio.ensure_future(proxy.get("/v1/orders?page=2&limit=50"))]
    await settle()
    for page in (1, 3):  # stale: served immediately, refreshed in the background
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    await settle()
    requests.append(asyncio.ensure_future(proxy.get("/v1/orders/A1")))
    await proxy.clock.advance(1.5)
    assert (proxy.calls(), proxy.calls(DETAIL)) == (3, 1)
    await proxy.clock.advance(10)
    assert [(await request).status_code for request in requests] == [200, 404]
    assert proxy.calls() == 5


async def test_the_circuit_is_open_no_longer_than_the_ttl():
    proxy = Proxy(cache={"ttl": 2})
    proxy.sandbox.inject("latency=9,path=get-order-detail")
    orders = [asyncio.create_task(proxy.get(f"/v1/orders/A{number}")) for number in range(5)]
    await proxy.clock.advance(9)
    await asyncio.gather(*orders)
    rejected = await proxy.get("/v1/orders/A5")
    assert (problem(rejected)["code"], rejected.headers["retry-after"]) == (
        "upstream_unavailable",
        "2",
    )


@pytest.mark.parametrize("fault", ["status=500", "html=502"])
async def test_orders_that_fail_upstream_do_not_make_pages_fail(fault: str):
    proxy = Proxy()
    proxy.sandbox.inject(f"{fault},path=get-order-detail")
    for number in range(20):
        assert (await proxy.get(f"/v1/orders/A{number}")).status_code in (502, 503)
    assert (await proxy.get("/v1/orders?page=2&limit=50")).headers["x-freshness"] == "fresh"


async def test_every_response_from_blocks_has_the_effective_ttl():
    proxy = Proxy(upstream={"refresh_rate": 0.03})
    await proxy.get("/v1/orders/summary")
    await proxy.get("/v1/orders")
    await proxy.clock.advance(75)
    for target in ("", "?page=2", "?status=paid", "/summary"):  # two are in the response cache
        response = await proxy.get(f"/v1/orders{target}")
        assert cache_status(response) == "hit; ttl=25"
        assert response.headers["x-freshness"] == "fresh"
    number = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    order = await proxy.get(f"/v1/orders/{number}")
    assert cache_status(order) == "hit; ttl=25"
    assert proxy.calls() == 4


async def test_after_the_machine_was_suspended_answers_are_as_old_as_the_wall_clock_says():
    proxy = Proxy()
    await proxy.get("/v1/orders")
    proxy.clock.wall_offset = timedelta(hours=8)
    proxy.transport.connected = False
    response = await within_deadline(proxy, proxy.get("/v1/orders"))
    assert (response.headers["x-freshness"], response.headers["age"]) == ("stale-if-error", "28800")
    proxy.transport.connected = True
    await proxy.clock.advance(10)
    response = await within_deadline(proxy, proxy.get("/v1/orders"))
    assert response.headers["x-freshness"] == "fresh"
    assert int(response.headers["age"]) <= 10
