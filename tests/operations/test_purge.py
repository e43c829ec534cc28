"""A purge reaches everything that is cached, and loses nothing while the upstream fails."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from app.operations.schema import PurgeResponse
from tests.support.proxy import DETAIL, LIST, Proxy, cache_status, problem

PATH = "/v1/cache/purge"
SUMMARY = "/v1/orders/summary"


@pytest.fixture(name="proxy")
def proxy_() -> Proxy:
    return Proxy(sandbox=True)


async def purge(proxy: Proxy, mode: str = "") -> dict[str, Any]:
    """Purge the cache and return the counts, after checking them against their model."""
    response = await post(proxy, mode)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    TypeAdapter(PurgeResponse).validate_python(response.json(), extra="forbid")
    data: dict[str, Any] = response.json()["data"]
    return data


async def post(proxy: Proxy, mode: str = "") -> httpx.Response:
    return await proxy.get(f"{PATH}?mode={mode}" if mode else PATH, "POST", X_CSRF="1")


async def fill(proxy: Proxy) -> str:
    """Cache all kinds of entries; return the number of an order that was looked up by itself."""
    order_no = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    await proxy.clock.advance(70)  # the block is stale, so the order is looked up
    await proxy.get(f"/v1/orders/{order_no}")
    await proxy.get(SUMMARY)
    await proxy.get("/v1/orders")
    await proxy.clock.advance(1)
    return str(order_no)


async def test_everything_is_fetched_again_after_a_purge_and_the_counts_say_what_was_purged(
    proxy: Proxy,
) -> None:
    order_no = await fill(proxy)
    paths = ("/v1/orders", f"/v1/orders/{order_no}", SUMMARY, "/v1/orders?page=99")
    for path in paths:
        await proxy.get(path)
    before = proxy.calls(LIST)
    counts = await purge(proxy)
    assert counts == {
        "mode": "expire",
        "blocks": 3,
        "single_orders": 1,
        "snapshots": 1,
        "rendered_responses": 3,
    }

    for path in paths:
        response = await proxy.get(path)
        assert response.headers["age"] == "0"
    assert proxy.calls(LIST) == before + 3
    assert cache_status(await proxy.get("/v1/orders")).startswith("hit")


async def test_an_order_that_was_looked_up_by_itself_is_looked_up_again(proxy: Proxy) -> None:
    order_no = await fill(proxy)
    await proxy.clock.advance(61)  # the blocks are stale, too
    await proxy.get(f"/v1/orders/{order_no}")
    await proxy.clock.advance(1)  # it is refreshed in the background
    before = proxy.calls(DETAIL)
    assert cache_status(await proxy.get(f"/v1/orders/{order_no}")).startswith("hit")
    await purge(proxy)
    assert cache_status(await proxy.get(f"/v1/orders/{order_no}")).startswith("fwd=stale")
    assert proxy.calls(DETAIL) == before + 1


async def test_the_next_caller_after_a_purge_waits_for_the_new_state_of_the_list(
    proxy: Proxy,
) -> None:
    total = (await proxy.get("/v1/orders")).json()["meta"]["total"]
    await proxy.get(SUMMARY)
    proxy.sandbox.inject("arrivals", "latency=1")
    await purge(proxy)
    request = asyncio.ensure_future(proxy.get("/v1/orders"))
    await proxy.clock.advance(1)
    assert (await request).json()["meta"]["total"] == total + 1


@pytest.mark.parametrize("path", ["/v1/orders", SUMMARY, "/v1/orders/{order_no}"])
async def test_what_was_cached_is_served_if_the_upstream_fails_after_a_purge(
    proxy: Proxy, path: str
) -> None:
    order_no = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    path = path.format(order_no=order_no)
    before = await proxy.get(path)
    proxy.sandbox.inject("status=500")
    await purge(proxy)

    for _ in range(3):
        response = await proxy.get(path)
        assert (response.status_code, response.json()) == (200, before.json())
        assert response.headers["x-freshness"] == "stale-if-error"
        assert "detail=upstream_failed" in cache_status(response)
        await proxy.clock.advance(6)


async def test_a_slow_upstream_delays_callers_after_a_purge_for_no_longer_than_otherwise(
    proxy: Proxy,
) -> None:
    await proxy.get("/v1/orders")
    proxy.sandbox.inject("latency=5")
    await purge(proxy)
    request = asyncio.ensure_future(proxy.get("/v1/orders"))
    await proxy.clock.advance(2)
    assert (await request).headers["x-freshness"] == "stale-if-error"


async def test_nothing_is_left_after_a_drop(proxy: Proxy) -> None:
    order_no = await fill(proxy)
    counts = await purge(proxy, "drop")
    assert (counts["mode"], counts["blocks"], counts["rendered_responses"]) == ("drop", 3, 2)
    assert "warning" not in counts
    status = (await proxy.get("/v1/status")).json()["data"]["cache"]
    for kind in ("blocks", "single_orders", "rendered_responses"):
        assert (status[kind]["entries"], status[kind]["bytes"]) == (0, 0)
    assert "snapshot" not in status
    assert "orders" not in status
    proxy.sandbox.inject("status=500")
    for path in ("/v1/orders", SUMMARY, f"/v1/orders/{order_no}"):
        assert problem(await proxy.get(path))["code"] == "upstream_failed"
    response = await proxy.get("/v1/orders", Cache_Control="only-if-cached")
    assert problem(response)["code"] == "not_in_cache"


async def test_a_drop_while_refreshes_fail_warns_in_answer_and_log(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    await proxy.get("/v1/orders")
    with caplog.at_level(logging.INFO, "orders_bff.operations"):
        await purge(proxy)
        assert caplog.records[-1].levelno == logging.INFO
        proxy.sandbox.inject("status=500")
        await proxy.get("/v1/orders")
        await proxy.clock.advance(6)
        counts = await purge(proxy, "drop")
    assert "callers get errors" in counts["warning"]
    record = caplog.records[-1]
    assert (record.levelno, record.message) == (logging.WARNING, "cache_purged")
    fields = vars(record)["fields"]
    assert (fields["caller"], fields["kind"]) == ("anonymous", "anonymous")
    assert (fields["client"], fields["mode"]) == ("127.0.0.1", "drop")


async def answered(proxy: Proxy, request: "asyncio.Future[httpx.Response]") -> httpx.Response:
    while not request.done():
        await proxy.clock.advance(0.1)
    return await request


@pytest.mark.parametrize("mode", ["expire", "drop"])
async def test_a_fetch_in_progress_answers_its_callers_but_is_not_stored(
    proxy: Proxy, mode: str
) -> None:
    proxy.sandbox.inject("latency=0.1")
    request = asyncio.ensure_future(proxy.get("/v1/orders"))
    await proxy.clock.advance(0.15)  # the token, and a part of the list call
    await purge(proxy, mode)
    assert (await answered(proxy, request)).status_code == 200
    assert (await proxy.get("/v1/status")).json()["data"]["cache"]["blocks"]["entries"] == 0

    request = asyncio.ensure_future(proxy.get("/v1/orders"))
    assert cache_status(await answered(proxy, request)) == "fwd=uri-miss; stored"


@pytest.mark.parametrize("mode", ["expire", "drop"])
async def test_a_load_of_the_list_in_progress_answers_its_callers_but_is_not_stored(
    proxy: Proxy, mode: str
) -> None:
    proxy.sandbox.inject("latency=0.1")
    request = asyncio.ensure_future(proxy.get(SUMMARY))
    await proxy.clock.advance(0.25)  # two list calls have started
    await purge(proxy, mode)
    assert (await answered(proxy, request)).json()["data"]["count"] == 137
    assert "snapshot" not in (await proxy.get("/v1/status")).json()["data"]["cache"]

    request = asyncio.ensure_future(proxy.get(SUMMARY))
    assert (await answered(proxy, request)).json()["data"]["count"] == 137


async def test_callers_after_a_purge_do_not_join_a_fetch_from_before_it(proxy: Proxy) -> None:
    proxy.sandbox.inject("latency=1", "arrivals")
    first = asyncio.ensure_future(proxy.get("/v1/orders"))
    await proxy.clock.advance(2.5)  # the token and half of the list call
    await purge(proxy)
    second = asyncio.ensure_future(proxy.get("/v1/orders"))
    await proxy.clock.advance(3)
    totals = [(await request).json()["meta"]["total"] for request in (first, second)]
    assert totals[1] > totals[0]


async def test_a_second_purge_within_the_minimum_age_is_refused_with_the_time_to_wait(
    proxy: Proxy,
) -> None:
    await proxy.get("/v1/orders")
    await purge(proxy)
    await proxy.clock.advance(1.5)
    response = await post(proxy, "drop")
    document = problem(response)
    assert (response.status_code, document["code"]) == (429, "rate_limited")
    assert response.headers["retry-after"] == "4"
    assert "4 s" in document["detail"]
    await proxy.clock.advance(3.5)
    assert (await purge(proxy, "drop"))["blocks"] == 1


@pytest.mark.parametrize("mode", ["expire", "drop"])
async def test_cursors_stay_valid_and_no_change_is_reported_because_of_a_purge(
    proxy: Proxy, mode: str
) -> None:
    cursor = (await proxy.get("/v1/orders/changes")).json()["meta"]["cursor"]
    await purge(proxy, mode)
    changes = (await proxy.get(f"/v1/orders/changes?since={cursor}")).json()
    assert (changes["data"], changes["meta"]["cursor"]) == ([], cursor)


async def test_a_purge_needs_its_scope_its_method_and_a_known_mode(proxy: Proxy) -> None:
    response = await post(Proxy())
    assert (response.status_code, problem(response)["code"]) == (403, "forbidden")
    response = await proxy.get(PATH)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    response = await post(proxy, "everything")
    assert problem(response)["errors"][0]["message"] == "must be one of expire, drop"
