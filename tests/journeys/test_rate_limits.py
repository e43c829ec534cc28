"""What a caller over a limit gets, and what all others get meanwhile."""

import json
from hashlib import sha256

import httpx

from app.sandbox.options import Options
from tests.support.proxy import DETAIL, Proxy, cache_status, problem

GOOD, GREEDY = "obff_" + "g" * 32, "obff_" + "x" * 32
FILTERED = "/v1/orders?status=paid"
EXPORT = "/v1/orders/export?format=csv"


def proxy_with(*, rate: str | None = None, orders: int = 137, **callers: str) -> Proxy:
    entries = [
        {
            "name": name,
            "sha256": sha256(key.encode()).hexdigest(),
            "scopes": ["orders:read", "payments:read"],
            **({"rate": rate} if rate and name == "greedy" else {}),
        }
        for name, key in (("good", GOOD), ("greedy", GREEDY))
    ]
    environ = {"ORDERS_CALLERS__API_KEYS": json.dumps(entries)}
    environ |= {f"ORDERS_CALLERS__{name.upper()}": value for name, value in callers.items()}
    return Proxy(Options(orders=orders), environ)


async def statuses(proxy: Proxy, path: str, key: str, count: int) -> list[int]:
    return [(await proxy.get(path, x_api_key=key)).status_code for _ in range(count)]


def rejected(response: httpx.Response) -> dict[str, object]:
    document = problem(response)
    assert response.status_code == 429
    assert document["code"] == "rate_limited"
    assert document["owner"] == "caller"
    assert document["retryable"]
    assert response.headers["retry-after"] == str(document["retry_after"])
    return document


async def an_order_no(proxy: Proxy) -> str:
    """Return the number of an order, before anything is cached."""
    (row,) = proxy.sandbox.orders.rows(0, 1)
    return str(row["orderNo"])


async def test_a_caller_over_its_rate_gets_429_until_the_time_that_is_stated() -> None:
    proxy = proxy_with(rate="5/minute")
    assert await statuses(proxy, "/v1/orders", GREEDY, 7) == [200] * 5 + [429] * 2
    document = rejected(await proxy.get("/v1/me", x_api_key=GREEDY))
    assert document["detail"] == (
        "The limit of 5 requests per minute is reached. Try again in 12 seconds."
    )
    assert document["retry_after"] == 12
    assert await statuses(proxy, "/v1/orders", GOOD, 50) == [200] * 50
    await proxy.clock.advance(12)
    assert await statuses(proxy, "/v1/orders", GREEDY, 2) == [200, 429]


async def test_a_rejected_request_costs_no_call_and_no_lookup() -> None:
    proxy = proxy_with(rate="1/minute")
    await proxy.get("/v1/me", x_api_key=GREEDY)
    assert await statuses(proxy, "/v1/orders", GREEDY, 3) == [429] * 3
    assert proxy.all_calls == 0


async def test_a_response_that_has_not_changed_counts_as_a_tenth() -> None:
    proxy = proxy_with(rate="3/minute")
    etag = (await proxy.get("/v1/orders", x_api_key=GREEDY)).headers["etag"]
    for _ in range(9):
        response = await proxy.get("/v1/orders", x_api_key=GREEDY, if_none_match=etag)
        assert response.status_code == 304
    assert await statuses(proxy, "/v1/orders", GREEDY, 2) == [200, 429]


async def test_only_scans_of_the_list_that_are_computed_are_counted() -> None:
    proxy = proxy_with(scan_rate="2/minute")
    for path in (FILTERED, f"{FILTERED}&page=2", "/v1/orders/summary", FILTERED):
        response = await proxy.get(path, x_api_key=GREEDY)
        assert response.status_code == 200
    for path in (
        "/v1/orders/summary?interval=month",
        "/v1/orders?sort=status",
        EXPORT,
    ):
        document = rejected(await proxy.get(path, x_api_key=GREEDY))
        assert "over the whole list" in str(document["detail"])
    assert await statuses(proxy, FILTERED, GREEDY, 5) == [200] * 5, "cached"
    assert await statuses(proxy, "/v1/orders?limit=50&page=2", GREEDY, 5) == [200] * 5
    assert (await proxy.get(EXPORT, x_api_key=GOOD)).status_code == 200


async def test_an_export_is_one_question_and_its_head_and_304_are_none() -> None:
    proxy = proxy_with(scan_rate="2/minute")
    response = await proxy.get(EXPORT, x_api_key=GREEDY)
    etag = response.headers["etag"]
    for _ in range(3):
        again = await proxy.get(EXPORT, x_api_key=GREEDY, if_none_match=etag)
        assert again.status_code == 304
        head = await proxy.get(EXPORT, "HEAD", x_api_key=GREEDY)
        assert head.status_code == 200
    assert await statuses(proxy, EXPORT, GREEDY, 2) == [200, 429]


async def test_only_order_numbers_that_are_looked_up_are_counted() -> None:
    proxy = proxy_with(detail_rate="3/minute")
    listed = (await proxy.get("/v1/orders", x_api_key=GREEDY)).json()["data"][0]["order_no"]
    assert await statuses(proxy, f"/v1/orders/{listed}", GREEDY, 9) == [200] * 9
    assert await statuses(proxy, "/v1/orders/1", GREEDY, 5) == [404] * 5, "remembered"
    assert 429 not in await statuses(proxy, f"/v1/orders/{listed}/payment", GREEDY, 2)
    for path in ("/v1/orders/2", f"/v1/orders/{listed}/payment"):
        document = rejected(await proxy.get(path, x_api_key=GREEDY))
        assert "order numbers" in str(document["detail"])
    assert proxy.calls(DETAIL) == 1
    assert (await proxy.get("/v1/orders/2", x_api_key=GOOD)).status_code == 404


async def test_an_order_that_is_stale_is_served_to_a_caller_who_may_not_have_it_fetched() -> None:
    proxy = proxy_with(detail_rate="1/hour")
    order_no = await an_order_no(proxy)
    assert (await proxy.get(f"/v1/orders/{order_no}", x_api_key=GREEDY)).status_code == 200
    await proxy.clock.advance(70)
    for headers in ({}, {"cache_control": "no-cache"}):
        response = await proxy.get(f"/v1/orders/{order_no}", x_api_key=GREEDY, **headers)
        assert response.status_code == 200
        assert response.headers["x-freshness"] == "stale"
    assert cache_status(response).endswith("detail=rate_limited")
    assert proxy.calls(DETAIL) == 1


async def test_of_an_address_with_many_failed_authentications_only_failures_are_rejected() -> None:
    proxy = proxy_with()
    failures = [
        (await proxy.get("/v1/orders", x_api_key=f"obff_wrong-key-number-{number:05}")).status_code
        for number in range(100)
    ]
    assert failures == [401] * 60 + [429] * 40
    document = rejected(await proxy.get("/v1/orders", x_api_key="obff_wrong-key-number"))
    assert "failed authentications from your address" in str(document["detail"])
    assert (await proxy.get("/v1/orders", x_api_key=GOOD)).status_code == 200
    assert (await proxy.get("/v1/orders")).status_code == 401, "offers nothing that could be tried"


async def test_anonymous_callers_are_distinguished_by_address_behind_a_trusted_proxy() -> None:
    environ = {
        "ORDERS_CALLERS__ANONYMOUS": "true",
        "ORDERS_CALLERS__RATE": "2/minute",
        "ORDERS_SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    proxy = Proxy(Options(), environ)
    for address in ("203.0.113.9", "203.0.113.10", "[2001:db8::1]:443"):
        responses = [await proxy.get("/v1/me", x_forwarded_for=address) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 429]
    response = await proxy.get("/v1/me", x_forwarded_for="2001:db8::2")
    assert response.status_code == 429, "another address of the same network"


async def test_headers_state_what_remains_if_the_operator_wants_them() -> None:
    proxy = proxy_with(rate="3/minute", rate_headers="true", scan_rate="0", detail_rate="0")
    responses = [await proxy.get("/v1/orders", x_api_key=GREEDY) for _ in range(4)]
    assert [response.headers["ratelimit"] for response in responses] == [
        f'"requests";r={left};t=20' for left in (2, 1, 0, 0)
    ]
    for response in responses:
        assert response.headers["ratelimit-policy"] == '"requests";q=3;w=60'
    assert responses[3].status_code == 429
    assert "ratelimit" not in (await proxy_with().get("/v1/orders", x_api_key=GOOD)).headers


async def test_health_and_pages_have_no_limit() -> None:
    proxy = proxy_with(rate="1/hour")
    for path in ("/livez", "/openapi.json", "/problems/rate_limited", "/"):
        assert await statuses(proxy, path, GREEDY, 5) == [200] * 5
