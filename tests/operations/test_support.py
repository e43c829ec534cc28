"""A support bundle has the facts of a case, and nothing that must not leave the company."""

from typing import Any

from pydantic import TypeAdapter

from app.operations.support import EXAMPLE, BundleResponse
from tests.support.proxy import LIST, Proxy, problem

PATH = "/v1/status/bundle"


async def bundle_of(proxy: Proxy) -> dict[str, Any]:
    """Return the bundle, after checking it against its model."""
    response = await proxy.get(PATH)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    TypeAdapter(BundleResponse).validate_python(response.json(), extra="forbid")
    data: dict[str, Any] = response.json()["data"]
    return data


def test_the_example_matches_its_schema_and_has_nothing_else() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(BundleResponse)
    assert adapter.validate_python(EXAMPLE, extra="forbid") == EXAMPLE


async def test_the_bundle_requires_the_scope() -> None:
    response = await Proxy().get(PATH)
    assert (response.status_code, problem(response)["code"]) == (403, "forbidden")


async def test_the_bundle_has_the_calls_with_their_ids_results_and_state() -> None:
    proxy = Proxy(sandbox=True)
    page = await proxy.get("/v1/orders", X_Request_Id="support-case-1")
    await proxy.clock.advance(70)
    proxy.sandbox.inject("status=402,path=get-orders")
    await proxy.get("/v1/orders")
    await proxy.clock.advance(1)
    bundle = await bundle_of(proxy)

    token, listed, failed = bundle["calls"]
    assert (token["operation"], token["result"]) == ("get-management-token", "success")
    assert listed["request_id"] == page.json()["meta"]["upstream_request_ids"][0]
    assert listed["caller_request_id"] == "support-case-1"
    assert (listed["circuit"], listed["rate"], listed["in_flight"]) == ("closed", 50, 1)
    assert (failed["result"], failed["status_code"]) == ("upstream_plan_required", 402)
    assert bundle["status"]["state"] == "failing"
    assert proxy.calls(LIST) == 2


async def test_the_bundle_has_the_drift_the_settings_and_the_versions() -> None:
    proxy = Proxy(sandbox=True)
    proxy.sandbox.inject("odd_rows")
    await proxy.get("/v1/orders")
    bundle = await bundle_of(proxy)

    assert {drift["where"] for drift in bundle["drift"]} >= {"order"}
    assert all(drift["count"] == 1 for drift in bundle["drift"])
    assert bundle["settings"]["ORDERS_CACHE__TTL"] == 60
    assert bundle["settings"]["ORDERS_UPSTREAM__ACCESS_KEY_SECRET"] == "(set)"
    assert bundle["versions"]["httpx"]


async def test_the_bundle_has_no_order_no_secret_and_no_text_of_the_upstream() -> None:
    proxy = Proxy(sandbox=True)
    rows = (await proxy.get("/v1/orders")).json()["data"]
    await proxy.get(f"/v1/orders/{rows[0]['order_no']}/payment")
    await proxy.get("/v1/orders?q=canary")
    proxy.sandbox.inject("status=500")
    await proxy.get("/v1/orders/unknown-canary-1")
    text = (await proxy.get(PATH)).text

    assert "canary" not in text
    assert not [row["order_no"] for row in rows if row["order_no"] in text]
    for secret in (proxy.options.access_key_id, proxy.options.access_key_secret):
        assert secret not in text
    assert "Bearer" not in text
    assert "message" not in text
