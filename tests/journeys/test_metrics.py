"""Metrics through the whole proxy: who may read them, and what they show."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from app import __version__
from tests.support.process import read_statuses, serving
from tests.support.proxy import Proxy, problem

Sample = tuple[str, tuple[tuple[str, str], ...]]


def sandbox_proxy(**groups: Any) -> Proxy:
    """Return a proxy whose callers have every scope."""
    return Proxy(sandbox=True, **groups)


async def metrics_of(proxy: Proxy) -> dict[Sample, float]:
    """Return all samples of `/metrics`, by name and sorted labels."""
    response = await proxy.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def requests_of(samples: dict[Sample, float]) -> dict[tuple[str, str, str], float]:
    """Return the number of requests by route, status and cache outcome."""
    return {
        (labels["route"], labels["status"], labels["cache"]): value
        for (name, pairs), value in samples.items()
        if name == "orders_http_requests_total" and (labels := dict(pairs))
    }


async def test_metrics_on_the_main_port_need_a_scope():
    rejected = problem(await Proxy().get("/metrics"))
    assert (rejected["code"], rejected["status"]) == ("forbidden", 403)
    proxy = Proxy(environ={"ORDERS_CALLERS__API_KEYS": json.dumps([entry("x" * 64)])})
    rejected = problem(await proxy.get("/metrics"))
    assert (rejected["code"], rejected["status"]) == ("unauthenticated", 401)


def entry(digest: str) -> dict[str, object]:
    return {"name": "prometheus", "sha256": digest.replace("x", "a"), "scopes": ["metrics:read"]}


async def test_hits_misses_and_errors_are_counted_by_route():
    proxy = sandbox_proxy()
    for path in ("/v1/orders", "/v1/orders", "/v1/orders?limit=0", "/v1/orders/x1", "/nowhere"):
        await proxy.get(path)
    await proxy.get("/v1/orders", method="BREW")

    counts = requests_of(await metrics_of(proxy))

    assert counts == {
        ("/v1/orders", "200", "miss"): 1,
        ("/v1/orders", "200", "hit"): 1,
        ("/v1/orders", "422", "none"): 1,
        ("/v1/orders/{order_no}", "404", "none"): 1,
        ("unmatched", "404", "none"): 1,
        ("/v1/orders", "405", "none"): 1,
    }


async def test_a_scrape_is_counted_in_the_next_one():
    proxy = sandbox_proxy()
    await metrics_of(proxy)
    assert requests_of(await metrics_of(proxy)) == {("/metrics", "200", "none"): 1}


async def test_gauges_show_cache_upstream_and_settings():
    proxy = sandbox_proxy(cache={"stale_if_error": 7200})
    before = await metrics_of(proxy)
    assert before["orders_cached_blocks", ()] == 0
    assert ("orders_credential_expires_timestamp_seconds", ()) not in before

    await proxy.get("/v1/orders?status=paid")
    await proxy.get("/v1/orders/202209250000999")
    samples = await metrics_of(proxy)

    now = proxy.clock.now().timestamp()
    assert samples["orders_cached_blocks", ()] == 3
    assert samples["orders_cached_orders", ()] == 137
    assert samples["orders_cached_bytes", ()] > 10_000
    assert samples["orders_cache_ttl_seconds", ()] == 60
    assert samples["orders_cache_stale_while_revalidate_seconds", ()] == 300
    assert samples["orders_cache_stale_if_error_seconds", ()] == 7200
    assert samples["orders_limiter_rate", ()] == 50
    assert samples["orders_circuit_open", (("circuit", "list"),)] == 0
    assert samples["orders_credential_expires_timestamp_seconds", ()] > now
    list_success = (("operation", "get-orders"),)
    assert samples["orders_upstream_last_success_timestamp_seconds", list_success] == now
    calls = (("operation", "get-orders"), ("result", "success"))
    assert samples["orders_upstream_requests_total", calls] == proxy.calls()
    durations = "orders_upstream_request_duration_seconds_count"
    assert samples[durations, list_success] == proxy.calls()
    assert [dict(labels)["version"] for name, labels in samples if name == "orders_build_info"]


async def test_an_outage_shows_although_no_request_fails():
    proxy = sandbox_proxy()
    await proxy.get("/v1/orders")
    proxy.transport.connected = False
    await proxy.clock.advance(3600)
    for _ in range(8):
        assert (await proxy.get("/v1/orders")).status_code == 200
        await proxy.clock.advance(6)

    samples = await metrics_of(proxy)

    last = samples["orders_upstream_last_success_timestamp_seconds", (("operation", "get-orders"),)]
    assert proxy.clock.now().timestamp() - last > 3600
    assert samples["orders_circuit_open", (("circuit", "list"),)] == 1
    failed = (("operation", "get-orders"), ("result", "unreachable"))
    assert samples["orders_upstream_requests_total", failed] >= 5
    assert samples["orders_answer_age_seconds_count", ()] == 9
    assert requests_of(samples)["/v1/orders", "200", "stale_if_error"] == 8


async def test_rejected_requests_are_counted_by_limit():
    proxy = sandbox_proxy(callers={"rate": "3/hour"})
    for _ in range(5):
        await proxy.get("/v1/me")
    await proxy.clock.advance(7200)
    samples = await metrics_of(proxy)
    assert samples["orders_rate_limited_total", (("limit", "requests"),)] == 2
    assert samples["orders_rate_limited_total", (("limit", "lookups"),)] == 0
    assert requests_of(samples)["/v1/me", "429", "none"] == 2


async def test_drift_is_counted_by_field():
    proxy = sandbox_proxy()
    proxy.sandbox.inject("odd_rows")
    await proxy.get("/v1/orders?limit=50")
    samples = await metrics_of(proxy)
    fields = [dict(labels)["field"] for name, labels in samples if name.startswith("orders_schema")]
    assert fields
    assert all(field.startswith(("order", "list")) for field in fields)


async def test_openmetrics_is_returned_on_request():
    proxy = sandbox_proxy()
    response = await proxy.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert response.headers["cache-control"] == "no-store"
    assert (await proxy.get("/metrics", method="HEAD")).headers["content-length"]


async def test_with_a_listener_of_its_own_there_are_no_metrics_on_the_main_port():
    proxy = sandbox_proxy(metrics={"listen": "127.0.0.1:9100"})
    assert problem(await proxy.get("/metrics"))["code"] == "not_found"


def test_the_listener_serves_metrics_and_nothing_else_and_ends_with_the_server():
    with serving(ORDERS_METRICS__LISTEN="127.0.0.1:0") as process:
        url = urlsplit(process.urls["metrics"])
        main = process.send("/v1/orders", "/metrics")
        main.shutdown(socket.SHUT_WR)
        assert [status for status, _ in read_statuses(main)] == [200, 404]
        assert url.hostname
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)

        def get(path: str, **headers: str) -> tuple[int, bytes]:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()

        status, text = get(url.path)
        assert status == 200
        assert b'orders_http_requests_total{cache="miss",method="GET",route="/v1/orders"' in text
        assert get("/v1/orders")[0] == 404
        assert get("/metrics/")[0] == 404
        assert get("/metrics", Host="attacker.example")[0] == 421
        connection.close()
        process.stop()
        assert process.wait() == 0
    assert process.errors == ""
    assert process.events() == ["server_starting", "shutdown_started", "shutdown_complete"]
    settings = process.log[0]["settings"]
    assert settings["ORDERS_METRICS__LISTEN"] == "127.0.0.1:0"
    assert settings["ORDERS_UPSTREAM__ACCESS_KEY_SECRET"] == "(set)"
    assert process.log[0]["version"] == __version__
    routes = [line["route"] for line in process.log if line["event"] == "request"]
    assert sorted(routes) == ["/metrics", "/v1/orders", *["unmatched"] * 4]
