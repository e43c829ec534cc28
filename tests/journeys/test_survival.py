"""What callers get while the upstream is slow, throttling, failing or away; and after it."""

import asyncio
import logging
from collections.abc import Coroutine

import httpx
import pytest

from tests.support.clock import settle
from tests.support.proxy import DETAIL, Proxy, cache_status, problem


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


async def answered(proxy: Proxy, asking: Coroutine[None, None, httpx.Response]) -> httpx.Response:
    """The answer, and time passes until it is there: so much and no more than is allowed."""
    task = asyncio.ensure_future(asking)
    await settle()
    for _ in range(34):
        if task.done():
            break
        await proxy.clock.advance(0.25)
    assert task.done(), "no answer within the deadline and half a second"
    return task.result()


async def test_retry_after_tells_when_we_ask_again(proxy: Proxy):
    proxy.sandbox.inject("html=502,path=get-orders")
    told = []
    for pause in (0, 0.5, 0.5, 0.5, 1.5):
        await proxy.clock.advance(pause)
        response = await proxy.get("/v1/orders")
        told.append((problem(response)["code"], response.headers["retry-after"]))
    assert told == [
        ("upstream_failed", "1"),
        ("upstream_failed", "1"),
        ("upstream_failed", "2"),
        ("upstream_failed", "2"),
        ("upstream_unavailable", "3"),
    ]


async def test_a_throttling_upstream_is_not_called_before_it_said(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(6)
    proxy.sandbox.inject("throttle=20,path=get-orders")
    held = await proxy.get("/v1/orders", Cache_Control="no-cache")
    assert cache_status(held).endswith("detail=upstream_throttled")
    assert proxy.calls() == 2
    await proxy.clock.advance(4)
    cold = await proxy.get("/v1/orders?page=2&limit=50")
    assert (problem(cold)["code"], cold.headers["retry-after"]) == ("upstream_throttled", "16")
    await proxy.clock.advance(15)
    assert proxy.calls() == 2


async def test_while_the_upstream_is_left_in_peace_what_is_held_is_served_at_once(proxy: Proxy):
    for page in (1, 2):
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    await proxy.clock.advance(400)
    proxy.sandbox.inject("html=502")
    assert (await proxy.get("/v1/orders?page=1&limit=50")).headers[
        "x-freshness"
    ] == "stale-if-error"
    await proxy.get("/v1/orders/A1")
    calls = proxy.all_calls
    kept = await proxy.get("/v1/orders?page=2&limit=50")
    assert cache_status(kept).endswith("detail=upstream_unavailable")
    cold = await proxy.get("/v1/orders?page=3&limit=50")
    assert (cold.status_code, problem(cold)["code"]) == (503, "upstream_unavailable")
    assert cold.headers["retry-after"] == "5"
    assert proxy.all_calls == calls


async def test_ten_minutes_of_outage_cost_no_answer_that_is_held_and_end_within_a_ttl(proxy: Proxy):
    for page in (1, 2):
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    proxy.sandbox.inject("html=503")
    for _ in range(120):
        await proxy.clock.advance(5)
        for page in (1, 2):
            held = await answered(proxy, proxy.get(f"/v1/orders?page={page}&limit=50"))
            assert held.status_code == 200
    during = proxy.all_calls
    assert during < 120 * 2 + 20
    proxy.sandbox.inject()
    for _ in range(12):
        await proxy.clock.advance(5)
        for page in (1, 2):
            held = await answered(proxy, proxy.get(f"/v1/orders?page={page}&limit=50"))
    assert held.headers["x-freshness"] == "fresh"


SLOW = {
    "a cold page": ("/v1/orders", "latency=30"),
    "a token that does not come": ("/v1/orders", "latency=30,path=get-management-token"),
    "an order": ("/v1/orders/A1", "latency=30"),
    "a failure, slowly": ("/v1/orders", "latency=3", "status=500"),
    "a throttling without an end": ("/v1/orders", "throttle"),
    "a time to wait that just fits": ("/v1/orders", "throttle=7"),
    "a refused token, slowly": ("/v1/orders", "latency=3", "status=401,api_code=2020"),
}


@pytest.mark.parametrize("case", SLOW)
async def test_no_answer_begins_later_than_the_deadline(proxy: Proxy, case: str):
    path, *faults = SLOW[case]
    proxy.sandbox.inject(*faults)
    assert (await answered(proxy, proxy.get(path))).status_code in (502, 503, 504)


async def test_a_window_that_needs_several_turns_has_one_deadline(proxy: Proxy):
    """Token, probe, then two blocks more, each of them slow: a caller waits once, not thrice."""
    proxy.sandbox.inject("latency=3")
    response = await answered(proxy, proxy.get("/v1/orders?page=4&limit=30"))
    assert problem(response)["code"] == "upstream_timeout"


async def test_a_shifted_window_that_cannot_be_read_again_in_time_says_so(proxy: Proxy):
    await proxy.get("/v1/orders?page=1&limit=50")
    await proxy.clock.advance(30)
    proxy.sandbox.inject("arrivals=1,times=1")
    await proxy.get("/v1/orders?page=2&limit=50")
    proxy.sandbox.inject("latency=30")
    response = await answered(proxy, proxy.get("/v1/orders?page=2&limit=30"))
    assert response.status_code == 200
    assert response.json()["meta"]["inconsistent"]


async def test_what_is_outside_of_what_we_know_is_served_and_told_once(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    proxy.sandbox.inject("odd_rows")
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        for pause in (0, 60):
            await proxy.clock.advance(pause)
            page = await proxy.get("/v1/orders?limit=50", Cache_Control="no-cache")
            assert len(page.json()["data"]) == 50
    told = [getattr(line, "fields", None) for line in caplog.records]
    assert {"what": "unknown value", "where": "order", "name": "status"} in told
    assert len(told) == len({str(facts) for facts in told}) > 3


async def test_a_refresh_behind_lets_a_caller_in_front_go_first():
    proxy = Proxy(upstream={"max_concurrency": 1})
    for page in (1, 2):
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    await proxy.clock.advance(70)
    proxy.sandbox.inject("latency=1")
    asking = [asyncio.ensure_future(proxy.get("/v1/orders?page=3&limit=50"))]
    await settle()
    for page in (1, 2):  # stale: served at once, and refreshed behind
        await proxy.get(f"/v1/orders?page={page}&limit=50")
    await settle()
    asking.append(asyncio.ensure_future(proxy.get("/v1/orders/A1")))
    await proxy.clock.advance(1.5)
    assert (proxy.calls(), proxy.calls(DETAIL)) == (3, 1)
    await proxy.clock.advance(10)
    assert [(await one).status_code for one in asking] == [200, 404]
    assert proxy.calls() == 5


async def test_an_upstream_is_left_in_peace_no_longer_than_the_ttl():
    proxy = Proxy(cache={"ttl": 2})
    proxy.sandbox.inject("html=502,path=get-order-detail")
    for number in ("A1", "A2"):
        await proxy.get(f"/v1/orders/{number}")
    refused = await proxy.get("/v1/orders/A3")
    assert (problem(refused)["code"], refused.headers["retry-after"]) == (
        "upstream_unavailable",
        "2",
    )


async def test_the_ttl_in_force_is_told_by_every_answer_that_rests_on_it():
    proxy = Proxy(upstream={"refresh_rate": 0.03})
    await proxy.get("/v1/orders")
    await proxy.get("/v1/orders/summary")
    await proxy.clock.advance(75)
    for question in ("", "?page=2", "?status=paid", "/summary"):  # some of them were prepared
        response = await proxy.get(f"/v1/orders{question}")
        assert cache_status(response) == "hit; ttl=25"
        assert response.headers["x-freshness"] == "fresh"
    number = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    order = await proxy.get(f"/v1/orders/{number}")
    assert cache_status(order) == "hit; ttl=25"
    assert proxy.calls() == 3
