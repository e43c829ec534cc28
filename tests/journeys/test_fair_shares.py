"""One caller with many requests at once does not make the others wait, through the whole proxy."""

import asyncio
import json
from hashlib import sha256

from tests.support.clock import settle
from tests.support.proxy import DETAIL, LIST, Proxy

POLITE, GREEDY = "obff_" + "p" * 32, "obff_" + "g" * 32


def slow_proxy() -> Proxy:
    """Return a proxy that makes one call at a time, each of which takes a second."""
    entries = [
        {"name": name, "sha256": sha256(key.encode()).hexdigest(), "scopes": ["orders:read"]}
        for name, key in (("polite", POLITE), ("greedy", GREEDY))
    ]
    environ = {
        "ORDERS_CALLERS__API_KEYS": json.dumps(entries),
        "ORDERS_CALLERS__DETAIL_RATE": "0",
    }
    proxy = Proxy(environ=environ, upstream={"max_concurrency": 1, "deadline": 100})
    proxy.sandbox.inject("latency=1,path=get-orders", "latency=1,path=get-order-detail")
    return proxy


def numbers_in_order(proxy: Proxy) -> list[str]:
    """Return the order numbers that were requested from the upstream; `list` for the list."""
    calls = [url for url in proxy.transport.urls if url.path in (LIST, DETAIL)]
    return [url.params.get("orderNo", "list") for url in calls]


async def test_unknown_numbers_of_one_caller_do_not_delay_the_lookups_of_another() -> None:
    proxy = slow_proxy()
    greedy = [
        asyncio.create_task(proxy.get(f"/v1/orders/{number}", x_api_key=GREEDY))
        for number in range(1000, 1040)
    ]
    await settle()
    polite = [
        asyncio.create_task(proxy.get(path, x_api_key=POLITE))
        for path in ("/v1/orders/7", "/v1/orders/8", "/v1/orders")
    ]
    await proxy.clock.advance(60)
    assert {response.status_code for response in await asyncio.gather(*greedy)} == {404}
    assert [response.status_code for response in await asyncio.gather(*polite)] == [404, 404, 200]
    numbers = numbers_in_order(proxy)
    assert numbers.index("7") <= 3
    assert numbers.index("8") <= 6
    assert numbers.index("list") <= 3


async def test_unknown_numbers_of_one_caller_do_not_delay_the_refresh_of_the_list() -> None:
    proxy = slow_proxy()
    first = asyncio.create_task(proxy.get("/v1/orders", x_api_key=POLITE))
    await proxy.clock.advance(70)
    assert (await first).status_code == 200
    greedy = [
        asyncio.create_task(proxy.get(f"/v1/orders/{number}", x_api_key=GREEDY))
        for number in range(1000, 1040)
    ]
    await settle()
    stale = await proxy.get("/v1/orders", x_api_key=GREEDY)
    assert stale.headers["x-freshness"] == "stale"
    await proxy.clock.advance(60)
    await asyncio.gather(*greedy)
    assert numbers_in_order(proxy)[1:].index("list") <= 4
