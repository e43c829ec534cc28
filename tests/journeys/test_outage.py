"""Ten minutes without an upstream, and its return, on a clock that is wound."""

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


async def ask_all(proxy: Proxy, paths: list[str], **headers: str) -> list[httpx.Response]:
    """The answers to callers who ask all of it at once; time passes while they wait."""
    asking = asyncio.gather(*(proxy.get(path, **headers) for path in paths))
    while not asking.done():
        await proxy.clock.advance(0.1)
    return await asking


async def everything_held(proxy: Proxy) -> list[str]:
    """Pages, windows of two blocks, a page past the end, and one order asked for by number."""
    last = (await Proxy(proxy.options).get("/v1/orders?page=100&limit=10")).json()["data"][0]
    paths = [*PAGES, f"/v1/orders/{last['order_no']}"]
    assert {answer.status_code for answer in await ask_all(proxy, paths)} == {200}
    return paths


async def fresh_after(proxy: Proxy, paths: list[str]) -> float:
    """Seconds until every one of `paths` is fresh, asked for again and again."""
    started = proxy.clock.monotonic()
    while (waited := proxy.clock.monotonic() - started) < 2 * TTL:
        answers = await ask_all(proxy, paths)
        assert {answer.status_code for answer in answers} == {200}
        if {answer.headers["x-freshness"] for answer in answers} == {"fresh"}:
            break
        await proxy.clock.advance(1)
    return waited


@pytest.fixture
def proxy() -> Proxy:
    return Proxy(Options(orders=1000))


async def test_ten_minutes_of_outage_are_no_error_for_anything_held(proxy: Proxy):
    paths = await everything_held(proxy)
    before = [answer.headers["etag"] for answer in await ask_all(proxy, paths)]
    proxy.transport.connected = False
    for second in OUTAGE:
        headers = {"Cache_Control": "no-cache"} if second % 60 == 0 else {}
        answers = await ask_all(proxy, paths, **headers)
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.headers["etag"] for answer in answers] == before
        await proxy.clock.advance(STEP)
    assert {answer.headers["x-freshness"] for answer in answers} == {"stale-if-error"}
    proxy.transport.connected = True
    assert await fresh_after(proxy, paths) <= TTL


async def test_whatever_fails_in_turn_what_is_held_is_served(proxy: Proxy):
    paths = await everything_held(proxy)
    faults = ("html=502", "status=500", "throttle=30", "status=403", "revoke_tokens", "html=200")
    for at, _ in enumerate(OUTAGE):
        proxy.sandbox.inject(faults[at % len(faults)])
        answers = await ask_all(proxy, paths)
        assert {answer.status_code for answer in answers} == {200}
        await proxy.clock.advance(STEP)
    proxy.sandbox.inject()
    assert await fresh_after(proxy, paths) <= TTL
