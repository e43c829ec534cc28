"""Pages, single orders and payments, through the complete proxy and over time."""

import asyncio
import hashlib
import json

import pytest

from app.sandbox.options import Options, UnknownOrder
from tests.support.clock import settle
from tests.support.proxy import DETAIL, PAYMENT, TOKEN, Proxy, cache_status, problem


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


async def test_a_page_is_fetched_once_and_then_served_from_the_cache(proxy: Proxy):
    first = await proxy.get("/v1/orders?page=2&limit=10")
    second = await proxy.get("/v1/orders?page=2&limit=10")
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert len(first.json()["data"]) == 10
    assert cache_status(first) == "fwd=uri-miss; stored"
    assert cache_status(second) == "hit; ttl=60"
    assert second.headers["x-freshness"] == "fresh"
    assert first.headers["x-sandbox"] == "true"
    assert (proxy.calls(TOKEN), proxy.calls()) == (1, 1)


async def test_age_counts_from_the_upstream_request(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(41.5)
    response = await proxy.get("/v1/orders")
    assert response.headers["age"] == "41"
    assert cache_status(response) == "hit; ttl=18"


async def test_an_unchanged_page_is_a_304_with_current_headers(proxy: Proxy):
    first = await proxy.get("/v1/orders")
    for seconds in (0, 60):
        await proxy.clock.advance(seconds)
        again = await proxy.get("/v1/orders", If_None_Match=first.headers["etag"])
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["age"] == str(seconds)
        for name in ("etag", "cache-control", "vary", "link", "x-total-count"):
            assert again.headers[name] == first.headers[name]


async def test_a_stale_page_is_served_immediately_and_refreshed_in_the_background(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(72)
    response = await proxy.get("/v1/orders")
    assert response.headers["x-freshness"] == "stale"
    assert cache_status(response) == "hit; ttl=-12"
    await settle()
    assert (await proxy.get("/v1/orders")).headers["x-freshness"] == "fresh"


async def test_a_stale_if_error_page_is_served_while_the_upstream_fails(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(960)
    proxy.sandbox.inject("status=500")
    response = await proxy.get("/v1/orders")
    assert response.status_code == 200
    assert response.headers["x-freshness"] == "stale-if-error"
    assert cache_status(response) == "fwd=stale; ttl=-900; detail=upstream_failed"
    again = await proxy.get("/v1/orders")
    assert cache_status(again) == "hit; ttl=-900; detail=upstream_failed"


@pytest.mark.without_coverage
async def test_a_thousand_requests_for_an_uncached_page_cost_one_call(proxy: Proxy):
    responses = await asyncio.gather(*(proxy.get("/v1/orders") for _ in range(1000)))
    assert {response.status_code for response in responses} == {200}
    assert (proxy.calls(TOKEN), proxy.calls()) == (1, 1)
    statuses = [cache_status(response) for response in responses]
    assert statuses.count("fwd=uri-miss; collapsed") == 999


async def test_a_caller_waits_no_longer_than_the_deadline(proxy: Proxy):
    proxy.sandbox.inject("latency=20")
    request = asyncio.ensure_future(proxy.get("/v1/orders"))
    await proxy.clock.advance(7.9)
    assert not request.done()
    await proxy.clock.advance(0.1)
    assert problem(await request)["code"] == "upstream_timeout"


async def test_no_cache_fetches_again_and_only_if_cached_never_fetches(proxy: Proxy):
    uncached = await proxy.get("/v1/orders", Cache_Control="only-if-cached")
    assert uncached.status_code == 504
    assert problem(uncached)["code"] == "not_in_cache"
    assert proxy.all_calls == 0
    await proxy.get("/v1/orders")
    await proxy.clock.advance(6)
    refetched = await proxy.get("/v1/orders", Cache_Control="no-cache")
    assert cache_status(refetched) == "fwd=request; stored"
    await proxy.clock.advance(400)
    cached = await proxy.get("/v1/orders", Cache_Control="only-if-cached")
    assert cached.headers["x-freshness"] == "stale-if-error"
    assert proxy.calls() == 2


async def test_a_window_over_two_blocks_has_the_ids_of_both_upstream_responses(proxy: Proxy):
    response = await proxy.get("/v1/orders?page=2&limit=30")
    ids = response.json()["meta"]["upstream_request_ids"]
    assert len(ids) == 2
    assert response.headers["x-upstream-request-id"] == ", ".join(ids)


async def test_an_empty_list_has_no_pages():
    response = await Proxy(Options(orders=0)).get("/v1/orders")
    assert response.json()["data"] == []
    assert response.json()["meta"]["pages"] == 0
    assert response.headers["x-total-count"] == "0"


@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=-1", "page=+1", "page=01", "page=1.0", "page=1_0", "page=%20%31",
        "page=", "page=٣", "page=1000001", "limit=51", "limit=0", "page=1&page=2", "pages=1",
        "page", "%ff=1",
    ],
)  # fmt: skip
async def test_invalid_parameters_cost_no_call(proxy: Proxy, query: str):
    response = await proxy.get(f"/v1/orders?{query}")
    document = problem(response)
    assert (response.status_code, document["code"]) == (422, "invalid_request")
    assert document["errors"]
    assert proxy.all_calls == 0


async def test_an_order_in_a_fresh_block_costs_no_call(proxy: Proxy):
    page = await proxy.get("/v1/orders")
    order = page.json()["data"][3]
    response = await proxy.get(f"/v1/orders/{order['order_no']}")
    assert response.json()["data"] == order
    assert cache_status(response) == "hit; ttl=60"
    assert proxy.calls(DETAIL) == 0


async def test_an_order_in_no_block_costs_one_detail_call(proxy: Proxy):
    number = (await Proxy().get("/v1/orders")).json()["data"][0]["order_no"]
    first = await proxy.get(f"/v1/orders/{number}")
    second = await proxy.get(f"/v1/orders/{number}", If_None_Match=first.headers["etag"])
    assert first.json()["data"]["order_no"] == number
    assert second.status_code == 304
    assert (proxy.calls(DETAIL), proxy.calls()) == (1, 0)


async def test_no_cache_fetches_a_single_order_again(proxy: Proxy):
    number = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    await proxy.get(f"/v1/orders/{number}", Cache_Control="no-cache")
    assert proxy.calls(DETAIL) == 0
    await proxy.clock.advance(6)
    response = await proxy.get(f"/v1/orders/{number}", Cache_Control="no-cache")
    assert cache_status(response) == "fwd=uri-miss; stored"
    assert proxy.calls(DETAIL) == 1


async def test_an_order_of_an_old_block_is_served_if_the_detail_call_fails(proxy: Proxy):
    number = (await proxy.get("/v1/orders")).json()["data"][0]["order_no"]
    await proxy.clock.advance(100)
    cached = await proxy.get(f"/v1/orders/{number}", Cache_Control="only-if-cached")
    assert cached.headers["x-freshness"] == "stale"
    proxy.sandbox.inject("status=500")
    response = await proxy.get(f"/v1/orders/{number}")
    assert response.status_code == 200
    assert cache_status(response) == "fwd=stale; ttl=-40; detail=upstream_failed"
    await proxy.clock.advance(2)
    again = await proxy.get(f"/v1/orders/{number}", Cache_Control="no-cache")
    assert cache_status(again) == "fwd=request; ttl=-42; detail=upstream_failed"
    unknown = await proxy.get("/v1/orders/NEVER-1", Cache_Control="only-if-cached")
    assert problem(unknown)["code"] == "not_in_cache"


@pytest.mark.parametrize("response_to_unknown", ["null", "empty", "404", "422"])
async def test_an_unknown_order_is_a_404_however_the_upstream_reports_it(
    response_to_unknown: UnknownOrder,
):
    options = Options(unknown_order=response_to_unknown)
    proxy, key = with_key("orders:read", "payments:read", options=options)
    for path, code in (
        ("/v1/orders/NEVER-1", "order_not_found"),
        ("/v1/orders/NEVER-1/payment", "payment_not_found"),
    ):
        response = await proxy.get(path, X_API_Key=key)
        assert (response.status_code, problem(response)["code"]) == (404, code)


async def test_an_invalid_order_number_costs_no_call(proxy: Proxy):
    response = await proxy.get("/v1/orders/not%20a%20number")
    assert problem(response)["errors"][0]["parameter"] == "order_no"
    assert problem(await proxy.get("/v1/orders/A1?x=1"))["errors"][0]["parameter"] == "x"
    assert proxy.all_calls == 0


def with_key(*scopes: str, options: Options | None = None) -> tuple[Proxy, str]:
    key = "a-key-for-tests-and-nothing-else"
    entry = {
        "name": "dashboard",
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": list(scopes),
    }
    return Proxy(options, {"ORDERS_CALLERS__API_KEYS": json.dumps([entry])}), key


async def test_a_payment_is_fetched_each_time_and_never_cached():
    proxy, key = with_key("orders:read", "payments:read")
    for order in (await proxy.get("/v1/orders?limit=50", X_API_Key=key)).json()["data"]:
        response = await proxy.get(f"/v1/orders/{order['order_no']}/payment", X_API_Key=key)
        if response.status_code == 200:
            break
    assert response.headers["cache-control"] == "no-store"
    assert cache_status(response) == "fwd=uri-miss"
    assert response.json()["data"]["paid_account"].startswith("*")
    before = proxy.calls(PAYMENT)
    await proxy.get(f"/v1/orders/{order['order_no']}/payment", X_API_Key=key)
    assert proxy.calls(PAYMENT) == before + 1


async def test_a_missing_payment_scope_is_reported_before_invalid_parameters():
    proxy, key = with_key("orders:read")
    response = await proxy.get("/v1/orders/bad%20number/payment?x=1", Authorization=f"Bearer {key}")
    assert (response.status_code, problem(response)["code"]) == (403, "forbidden")
    assert proxy.all_calls == 0


async def test_a_hit_requires_authentication_and_the_scope():
    proxy, key = with_key("orders:read")
    assert (await proxy.get("/v1/orders", X_API_Key=key)).status_code == 200
    anonymous = await proxy.get("/v1/orders")
    assert (anonymous.status_code, problem(anonymous)["code"]) == (401, "unauthenticated")
    assert anonymous.headers["www-authenticate"] == 'Bearer realm="orders-bff"'
    other, key = with_key("metrics:read")
    assert (await other.get("/v1/orders", X_API_Key=key)).status_code == 403


async def test_me_describes_the_caller():
    proxy, key = with_key("payments:read", "orders:read")
    response = await proxy.get("/v1/me", X_API_Key=key)
    assert response.json()["data"] == {
        "name": "dashboard",
        "kind": "key",
        "scopes": ["orders:read", "payments:read"],
    }
    assert (await proxy.get("/v1/me?x=1", X_API_Key=key)).status_code == 422


async def test_under_v1_authentication_precedes_404_and_405():
    proxy, key = with_key("orders:read")
    assert (await proxy.get("/v1/nothing")).status_code == 401
    assert (await proxy.get("/v1/nothing", X_API_Key=key)).status_code == 404
    post = await proxy.get("/v1/orders", method="POST", X_API_Key=key)
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")
    assert problem(post)["code"] == "method_not_allowed"
    assert (await proxy.get("/v1/orders/", X_API_Key=key)).status_code == 404


@pytest.mark.parametrize(
    ("fault", "status", "code", "retryable"),
    [
        ("status=401,api_code=2020", 502, "upstream_credential_rejected", False),
        ("status=403,api_code=2333", 502, "upstream_credential_rejected", False),
        ("status=402", 502, "upstream_plan_required", False),
        ("status=400", 502, "upstream_rejected", False),
        ("status=404", 502, "upstream_rejected", False),
        ("status=429", 503, "upstream_throttled", True),
        ("status=503", 502, "upstream_failed", True),
        ("status=603", 502, "upstream_failed", True),
        ("html=502", 502, "upstream_failed", True),
        ("html=200", 502, "upstream_malformed", True),
    ],
)
async def test_each_upstream_failure_has_its_problem(
    proxy: Proxy, fault: str, status: int, code: str, retryable: bool
):
    proxy.sandbox.inject(f"{fault},path=get-orders")
    request = asyncio.ensure_future(proxy.get("/v1/orders"))
    await proxy.clock.advance(3)  # a throttled call is retried after a wait
    response = await request
    document = problem(response)
    assert (response.status_code, document["code"], document["retryable"]) == (
        status,
        code,
        retryable,
    )
    assert ("retry-after" in response.headers) is retryable


async def test_readyz_is_200_from_the_first_success_of_the_upstream_on(proxy: Proxy):
    proxy.sandbox.inject("status=500")
    assert (await proxy.get("/readyz")).status_code == 503
    assert (await proxy.get("/livez")).status_code == 200
    proxy.sandbox.inject()
    await proxy.clock.advance(2)
    assert (await proxy.get("/readyz")).status_code == 200
    proxy.sandbox.inject("status=500")
    assert (await proxy.get("/readyz")).status_code == 200


async def test_readyz_reports_a_start_and_then_the_cause_while_livez_calls_nobody(proxy: Proxy):
    assert (await proxy.get("/livez")).status_code == 200
    assert proxy.all_calls == 0
    proxy.sandbox.inject("latency=1", "status=402,path=get-orders")
    first = asyncio.ensure_future(proxy.get("/readyz"))
    await proxy.clock.advance(0.5)
    starting = await first
    assert (starting.status_code, problem(starting)["code"]) == (503, "starting")
    assert starting.headers["retry-after"] == "1"
    await proxy.clock.advance(2)
    response = await proxy.get("/readyz")
    document = problem(response)
    assert (response.status_code, document["code"]) == (503, "upstream_plan_required")
    assert document["title"] == "The pool's plan does not include orders"


async def test_an_expired_token_is_renewed_without_an_error():
    proxy = Proxy(Options(token_lifetime_seconds=100))
    for _ in range(5):
        assert (await proxy.get("/v1/orders", Cache_Control="no-cache")).status_code == 200
        await proxy.clock.advance(50)
    assert proxy.calls(TOKEN) == 3


async def test_a_revoked_token_is_renewed_once_and_the_call_repeated(proxy: Proxy):
    await proxy.get("/v1/orders")
    await proxy.clock.advance(10)
    proxy.sandbox.inject("revoke_tokens,times=1")
    response = await proxy.get("/v1/orders", Cache_Control="no-cache")
    assert cache_status(response) == "fwd=request; stored"
    assert proxy.calls(TOKEN) == 2


async def test_the_signature_scheme_needs_no_token():
    for brand in ("authing", "genauth"):
        proxy = Proxy(upstream={"auth": "signature", "brand": brand})
        assert (await proxy.get("/v1/orders")).status_code == 200
        assert proxy.calls(TOKEN) == 0


async def test_no_page_contains_an_order_twice_while_orders_arrive(proxy: Proxy):
    proxy.sandbox.inject("arrivals=1")
    for page in range(1, 6):
        body = (await proxy.get(f"/v1/orders?page={page}&limit=30")).json()
        numbers = [order["order_no"] for order in body["data"]]
        assert len(set(numbers)) == len(numbers)


async def test_rows_with_unexpected_values_are_served_with_warnings(proxy: Proxy):
    proxy.sandbox.inject("odd_rows")
    body = (await proxy.get("/v1/orders?limit=50")).json()
    assert len(body["data"]) == 50
    assert body["meta"]["warnings"]


async def test_a_list_that_is_an_object_is_a_list_of_one(proxy: Proxy):
    proxy.sandbox.inject("list_object")
    body = (await proxy.get("/v1/orders")).json()
    assert len(body["data"]) == 1


async def test_the_end_of_the_lifespan_closes_the_upstream_transport(proxy: Proxy):
    async with proxy.app.api.router.lifespan_context(proxy.app.api):
        await proxy.get("/v1/orders")
        assert not proxy.transport.closed
    assert proxy.transport.closed
