"""Ten minutes without the upstream, and the recovery."""

import asyncio

import httpx
import pytest

from app.sandbox.options import Options
from tests.support.proxy import Proxy

TTL, STEP = 60, 15
OUTAGE = range(0, 600, STEP)

PAGES = (
    "/v1/orders?limit=50",
    "/v1/orders?page=2&limit=50",
    "/v1/orders?page=3&limit=30",
    "/v1/orders?page=7&limit=11",
    "/v1/orders?page=1000&limit=50",
)


async def get_all(proxy: Proxy, paths: list[str], **headers: str) -> list[httpx.Response]:
    """Request all paths concurrently, while time passes."""
    responses = asyncio.gather(*(proxy.get(path, **headers) for path in paths))
    while not responses.done():
        await proxy.clock.advance(0.1)
    return await responses


async def fill_cache(proxy: Proxy) -> list[str]:
    """Request pages, windows of two blocks, a page past the end and one order; return the paths."""
    last = (await Proxy(proxy.options).get("/v1/orders?page=100&limit=10")).json()["data"][0]
    paths = [*PAGES, f"/v1/orders/{last['order_no']}"]
    assert {response.status_code for response in await get_all(proxy, paths)} == {200}
    return paths


async def seconds_until_fresh(proxy: Proxy, paths: list[str]) -> float:
    """Request `paths` every second until all responses are fresh; return the seconds."""
    started = proxy.clock.monotonic()
    while (waited := proxy.clock.monotonic() - started) < 2 * TTL:
        responses = await get_all(proxy, paths)
        assert {response.status_code for response in responses} == {200}
        if {response.headers["x-freshness"] for response in responses} == {"fresh"}:
            break
        await proxy.clock.advance(1)
    return waited


@pytest.fixture
def proxy() -> Proxy:
    return Proxy(Options(orders=1000))


async def test_cached_responses_survive_a_ten_minute_outage_unchanged(proxy: Proxy):
    paths = await fill_cache(proxy)
    before = [response.headers["etag"] for response in await get_all(proxy, paths)]
    proxy.transport.connected = False
    for seconds in OUTAGE:
        headers = {"Cache_Control": "no-cache"} if seconds % 60 == 0 else {}
        responses = await get_all(proxy, paths, **headers)
        assert {response.status_code for response in responses} == {200}
        assert [response.headers["etag"] for response in responses] == before
        await proxy.clock.advance(STEP)
    assert {response.headers["x-freshness"] for response in responses} == {"stale-if-error"}
    proxy.transport.connected = True
    assert await seconds_until_fresh(proxy, paths) <= TTL


async def test_cached_responses_survive_changing_faults(proxy: Proxy):
    paths = await fill_cache(proxy)
    faults = ("html=502", "status=500", "throttle=30", "status=403", "revoke_tokens", "html=200")
    for number, _ in enumerate(OUTAGE):
        proxy.sandbox.inject(faults[number % len(faults)])
        responses = await get_all(proxy, paths)
        assert {response.status_code for response in responses} == {200}
        await proxy.clock.advance(STEP)
    proxy.sandbox.inject()
    assert await seconds_until_fresh(proxy, paths) <= TTL
