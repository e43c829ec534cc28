"""Filtered lists, row extras, summaries, exports and changes, through the complete proxy."""

import asyncio
import hashlib
import json
import math
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.main import create_app
from app.sandbox.options import Options
from app.settings import load
from app.upstream.client import ORDERS_PATH
from tests.support.clock import ManualClock, settle
from tests.support.proxy import Proxy, cache_status, problem
from tests.support.upstream import KEY_ID, KEY_SECRET, ScriptedUpstream


@pytest.fixture
def proxy() -> Proxy:
    return Proxy(sandbox=True)


async def get_all_pages(proxy: Proxy, query: str = "") -> list[dict[str, Any]]:
    """Follow the `next` links; return the rows of all pages."""
    rows: list[dict[str, Any]] = []
    path: str | None = f"/v1/orders?limit=50&{query}"
    while path:
        response = await proxy.get(path)
        assert response.status_code == 200
        rows += response.json()["data"]
        path = response.links.get("next", {}).get("url")
    return rows


async def test_a_filtered_list_has_pages(proxy: Proxy):
    rows = await get_all_pages(proxy)
    calls = proxy.calls()
    first = await proxy.get(f"/v1/orders?status=paid&status=completed&limit=5&q={quote('企业')}")
    expected = [
        row
        for row in rows
        if row["status"] in ("paid", "completed") and "企业" in row["package_name"].get("zh", "")
    ]
    assert first.json()["data"] == expected[:5]
    assert first.json()["meta"]["total"] == len(expected)
    assert first.headers["x-total-count"] == str(len(expected))
    assert "status=paid&status=completed&limit=5&q=" in first.headers["link"]
    assert len(first.json()["meta"]["upstream_request_ids"]) == 3
    assert await get_all_pages(proxy, f"status=paid&status=completed&q={quote('企业')}") == expected
    beyond = await proxy.get("/v1/orders?status=paid&page=1000")
    assert (beyond.status_code, beyond.json()["data"]) == (200, [])
    assert proxy.calls() == calls + 1  # the first block, after the last one was known


async def test_the_list_can_be_sorted(proxy: Proxy):
    rows = await get_all_pages(proxy)
    known = [row for row in rows if "created_at" in row]
    newest = await get_all_pages(proxy, "sort=-created_at")
    assert newest[: len(known)] == sorted(known, key=lambda row: row["created_at"], reverse=True)
    assert {row["order_no"] for row in newest} == {row["order_no"] for row in rows}


async def test_dates_are_midnights_in_the_time_zone(proxy: Proxy):
    rows = await get_all_pages(proxy)
    day = next(row["created_at"] for row in rows if row["created_at"] > "2026-06")[:10]
    query = f"created_from={day}&created_to={day}T23:59:59.999999999Z"
    found = await get_all_pages(proxy, query)
    assert found == [row for row in rows if row["created_at"][:10] == day]
    in_kiribati = await get_all_pages(proxy, f"created_from={day}&time_zone=Pacific/Kiritimati")
    assert len(in_kiribati) > len(await get_all_pages(proxy, f"created_from={day}"))


async def test_a_repeated_request_is_a_hit_and_an_unchanged_response_a_304(proxy: Proxy):
    for path in ("/v1/orders?status=paid", "/v1/orders/summary?status=paid"):
        first = await proxy.get(path)
        second = await proxy.get(path, If_None_Match=first.headers["etag"])
        assert cache_status(second) == "hit; ttl=60"
        assert second.status_code == 304
    await proxy.clock.advance(60)
    stale = await proxy.get("/v1/orders?status=paid")
    assert stale.headers["x-freshness"] == "stale"
    assert cache_status(stale) == "hit; ttl=0"
    await settle()
    renewed = await proxy.get("/v1/orders/summary?status=paid", If_None_Match=first.headers["etag"])
    assert renewed.status_code == 304
    assert renewed.headers["x-freshness"] == "fresh"
    assert proxy.calls() == 4 + 3


async def test_rows_can_include_their_origin_fingerprint_and_upstream_object(proxy: Proxy):
    await proxy.get("/v1/orders/summary")
    plain = await proxy.get("/v1/orders?page=2&limit=30&include=origin&include=rev&include=raw")
    assert proxy.calls() == 4
    ids = plain.json()["meta"]["upstream_request_ids"]
    rows = plain.json()["data"]
    assert [row["origin"]["upstream_request_id"] for row in rows] == [ids[0]] * 20 + [ids[1]] * 10
    assert rows[0]["origin"]["fetched_at"] == plain.json()["meta"]["as_of"]
    assert rows[0]["raw"]["orderNo"] == rows[0]["order_no"]
    sorted_rows = (
        await proxy.get("/v1/orders?sort=-order_no&limit=50&include=origin&include=rev&include=raw")
    ).json()["data"]
    by_order_no = {row["order_no"]: row for row in sorted_rows}
    common = [row for row in rows if row["order_no"] in by_order_no]
    assert common
    assert [by_order_no[row["order_no"]] for row in common] == common


async def test_the_etag_covers_the_origin_of_each_row_if_it_is_included(proxy: Proxy):
    first = {path: await proxy.get(path) for path in ("/v1/orders", "/v1/orders?include=origin")}
    await proxy.clock.advance(10)
    for path, changes in (("/v1/orders", False), ("/v1/orders?include=origin", True)):
        again = await proxy.get(path, Cache_Control="no-cache")
        assert (again.headers["etag"] != first[path].headers["etag"]) is changes
        await proxy.clock.advance(10)


async def test_include_raw_requires_its_scope():
    proxy = Proxy()
    for path in ("/v1/orders?include=raw", "/v1/orders/export?format=ndjson&include=raw"):
        response = await proxy.get(path)
        assert (response.status_code, problem(response)["code"]) == (403, "forbidden")
    invalid = await proxy.get("/v1/orders?include=raw&page=0")
    assert problem(invalid)["code"] == "invalid_request"
    assert proxy.all_calls == 0
    assert (await proxy.get("/v1/orders?include=rev")).status_code == 200


async def test_a_cached_response_with_raw_rows_is_not_sent_to_a_caller_without_the_scope():
    keys = {"full": ["orders:read", "orders:raw"], "plain": ["orders:read"]}
    entries = [
        {"name": name, "sha256": hashlib.sha256(_key(name)).hexdigest(), "scopes": scopes}
        for name, scopes in keys.items()
    ]
    proxy = Proxy(environ={"ORDERS_CALLERS__API_KEYS": json.dumps(entries)})
    for path in ("/v1/orders?include=raw", "/v1/orders?status=paid&include=raw"):
        for _ in range(2):
            full = await proxy.get(path, X_API_Key=_key("full").decode())
            assert "raw" in full.json()["data"][0]
            plain = await proxy.get(path, X_API_Key=_key("plain").decode())
            assert problem(plain)["code"] == "forbidden"


def _key(name: str) -> bytes:
    return f"a-key-for-tests-called-{name}".encode()


@pytest.mark.without_coverage
async def test_no_cache_does_not_apply_to_requests_for_the_complete_list(proxy: Proxy):
    await proxy.get("/v1/orders?status=paid")
    await proxy.clock.advance(30)
    again = await proxy.get("/v1/orders?status=paid", Cache_Control="no-cache")
    assert cache_status(again) == "hit; ttl=30"
    assert proxy.calls() == 4
    uncached = Proxy()
    missing = await uncached.get("/v1/orders/summary", Cache_Control="only-if-cached")
    assert (missing.status_code, problem(missing)["code"]) == (504, "not_in_cache")


async def test_a_summary_counts_the_filtered_orders(proxy: Proxy):
    rows = await get_all_pages(proxy, "status=paid")
    body = (await proxy.get("/v1/orders/summary?status=paid")).json()
    assert body["data"]["count"] == len(rows)
    assert [group["status"] for group in body["data"]["by_status"]] == ["paid"]
    assert sum(group["count"] for group in body["data"]["by_month"]) == len(rows)
    assert body["meta"].keys() == {"as_of", "upstream_request_ids"}
    assert problem(await proxy.get("/v1/orders/summary?sort=order_no"))["code"] == "invalid_request"


async def test_a_summary_of_amounts_has_the_currency():
    proxy = Proxy(upstream={"currency": "CNY"})
    for query, currency in (("", "CNY"), ("?q=nothing-has-this-name", None)):
        response = await proxy.get(f"/v1/orders/summary{query}")
        assert response.json()["meta"].get("currency") == currency


async def test_a_list_that_is_loading_is_a_problem_within_two_seconds_and_its_progress_moves():
    slow = Proxy(Options(orders=1000), upstream={"max_concurrency": 1})
    slow.sandbox.inject("latency=1,path=get-orders")
    request = asyncio.ensure_future(slow.get("/v1/orders?status=paid"))
    await slow.clock.advance(2)
    response = await request
    document = problem(response)
    assert (response.status_code, document["code"]) == (503, "list_loading")
    assert document["progress"] == {"loaded": 50, "total": 1000}
    assert document["retryable"] is True
    assert response.headers["retry-after"] == "2"
    loaded = []
    for _ in range(5):
        request = asyncio.ensure_future(slow.get("/v1/orders?status=paid"))
        await slow.clock.advance(2)
        loaded.append((await request).json()["progress"]["loaded"])
    assert loaded == sorted(set(loaded))
    assert loaded[-1] >= 400
    await slow.clock.advance(10)
    assert (await slow.get("/v1/orders?status=paid")).status_code == 200


async def test_a_list_above_max_orders_has_pages_but_no_filters():
    proxy = Proxy(cache={"max_orders": 100})
    response = await proxy.get("/v1/orders?sort=order_no")
    assert (response.status_code, problem(response)["code"]) == (503, "list_too_large")
    assert (await proxy.get("/v1/orders")).status_code == 200


async def test_a_list_that_changes_while_it_loads_is_marked_inconsistent(proxy: Proxy):
    proxy.sandbox.inject("arrivals=1")
    for path in ("/v1/orders?sort=order_no&limit=50", "/v1/orders/summary"):
        body = (await proxy.get(path)).json()
        assert body["meta"]["inconsistent"] is True


@pytest.mark.without_coverage
async def test_ten_thousand_orders_load_in_the_fewest_round_trips_that_max_concurrency_allows():
    upstream = ScriptedUpstream(10_000)
    clock = ManualClock()
    settings = load(
        {"ORDERS_CALLERS__ANONYMOUS": "true"},
        upstream={
            "base_url": "https://upstream.example",
            "access_key_id": KEY_ID,
            "access_key_secret": KEY_SECRET,
            "max_rate": 1000,
        },
    )
    app = create_app(settings, transport=upstream.transport, clock=clock)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        request = asyncio.ensure_future(client.get("/v1/orders?status=paid"))
        round_trips = 0
        while not request.done() and round_trips < 100:
            gate = upstream.hold()
            await clock.advance(0.1)
            round_trips += gate.waiting > 0
            gate.release()
            await settle()
        assert (await request).json()["meta"]["total"] == 2000
        assert len(upstream.requests_to(ORDERS_PATH)) == 200 + 1
        assert round_trips <= math.ceil(200 / 8) + 3
        for path in ("/v1/orders?sort=-created_at", "/v1/orders/summary"):
            assert (await client.get(path)).status_code == 200
        assert len(upstream.requests_to(ORDERS_PATH)) == 200 + 1
    assert len(json.loads(request.result().content)["meta"]["upstream_request_ids"]) == 200


async def test_an_export_contains_all_orders_in_each_format(proxy: Proxy):
    rows = await get_all_pages(proxy, "sort=order_no")
    ndjson = await proxy.get("/v1/orders/export?format=ndjson&sort=order_no")
    assert [json.loads(line) for line in ndjson.content.splitlines()] == rows
    csv = await proxy.get("/v1/orders/export?format=csv&sort=order_no")
    assert csv.content.startswith(b"\xef\xbb\xbforder_no,")
    assert csv.content.count(b"\r\n") == len(rows) + 1
    for response, suffix in ((ndjson, "ndjson"), (csv, "csv")):
        name = f'attachment; filename="orders-20261123T120000Z.{suffix}"'
        assert response.headers["content-disposition"] == name
        assert response.headers["x-total-count"] == str(len(rows))
        assert response.headers["x-freshness"] == "fresh"
        assert "x-inconsistent" not in response.headers
    assert proxy.calls() == 4
    head = await proxy.get("/v1/orders/export?format=csv", method="HEAD")
    assert (head.content, head.headers["x-total-count"]) == (b"", str(len(rows)))


async def test_an_unchanged_export_is_a_304_until_a_row_changes(proxy: Proxy):
    path = "/v1/orders/export?format=ndjson&include=rev"
    first = await proxy.get(path)
    assert "rev" in json.loads(first.content.splitlines()[0])
    for _ in range(2):
        again = await proxy.get(path, If_None_Match=first.headers["etag"])
        assert (again.status_code, again.content) == (304, b"")
        await proxy.clock.advance(60)
        await proxy.get(path)
        await settle()
    proxy.sandbox.inject("arrivals=1,times=1")
    await proxy.clock.advance(400)
    await proxy.get(path)
    await settle()
    changed = await proxy.get(path, If_None_Match=first.headers["etag"])
    assert changed.status_code == 200
    assert changed.headers["x-total-count"] == "138"


async def test_the_etag_of_an_export_covers_the_origin_of_each_row_if_it_is_included(proxy: Proxy):
    path = "/v1/orders/export?format=ndjson&include=origin"
    first = await proxy.get(path)
    assert "origin" in json.loads(first.content.splitlines()[0])
    assert (await proxy.get(path, If_None_Match=first.headers["etag"])).status_code == 304
    await proxy.clock.advance(60)
    await proxy.get(path)
    await settle()
    assert (await proxy.get(path, If_None_Match=first.headers["etag"])).status_code == 200


async def test_an_export_is_refused_for_invalid_parameters_and_a_missing_scope(proxy: Proxy):
    for query in ("format=csv&include=rev", "", "format=xls", "format=csv&page=1"):
        response = await proxy.get(f"/v1/orders/export?{query}")
        assert problem(response)["code"] == "invalid_request"
    response = await Proxy().get("/v1/orders/export?format=ndjson&include=raw")
    assert problem(response)["code"] == "forbidden"


async def test_an_export_of_a_list_that_changes_while_it_is_read_is_marked(proxy: Proxy):
    proxy.sandbox.inject("arrivals=1")
    marked = await proxy.get("/v1/orders/export?format=csv")
    assert (marked.status_code, marked.headers["x-inconsistent"]) == (200, "true")
    assert "x-cursor" not in marked.headers
    summary = await proxy.get("/v1/orders/summary")
    assert summary.json()["meta"]["inconsistent"] is True
    assert (await proxy.get("/v1/orders/changes")).status_code == 200


async def test_the_cursor_of_an_export_names_the_state_that_the_file_shows(proxy: Proxy):
    export = await proxy.get("/v1/orders/export?format=ndjson&status=paid")
    cursor = export.headers["x-cursor"]
    assert cursor == (await proxy.get("/v1/orders/changes")).json()["meta"]["cursor"]
    unchanged = await proxy.get(
        "/v1/orders/export?format=ndjson&status=paid", If_None_Match=export.headers["etag"]
    )
    assert (unchanged.status_code, unchanged.headers["x-cursor"]) == (304, cursor)


async def test_changes_lists_what_changed_since_a_cursor(proxy: Proxy):
    start = await proxy.get("/v1/orders/changes")
    assert start.json()["data"] == []
    assert start.json()["meta"]["poll_after"] == 60
    cursor = start.json()["meta"]["cursor"]
    await proxy.clock.advance(10)
    unchanged = await proxy.get(f"/v1/orders/changes?since={cursor}")
    assert (unchanged.json()["data"], unchanged.json()["meta"]["poll_after"]) == ([], 50)
    proxy.sandbox.inject("arrivals=1,times=1")
    await proxy.clock.advance(50)
    stale = await proxy.get(f"/v1/orders/changes?since={cursor}")
    assert (stale.json()["data"], stale.json()["meta"]["poll_after"]) == ([], 2)
    await settle()
    body = (await proxy.get(f"/v1/orders/changes?since={cursor}")).json()
    (change,) = body["data"]
    newest = (await proxy.get("/v1/orders?limit=1")).json()["data"][0]
    assert change == {"change": "created", "order_no": newest["order_no"], "order": newest}
    assert body["meta"]["cursor"] != cursor
    calls = proxy.calls()
    expired = await proxy.get(f"/v1/orders/changes?since={'0' * 32}")
    assert (expired.status_code, problem(expired)["code"]) == (410, "cursor_expired")
    assert problem(await proxy.get("/v1/orders/changes?since=x"))["code"] == "invalid_request"
    assert proxy.calls() == calls


async def test_a_replica_that_loaded_the_same_list_accepts_the_cursor():
    one, other = Proxy(sandbox=True), Proxy(sandbox=True)
    cursor = (await one.get("/v1/orders/changes")).json()["meta"]["cursor"]
    await other.get("/v1/orders/summary")
    response = await other.get(f"/v1/orders/changes?since={cursor}")
    assert (response.status_code, response.json()["data"]) == (200, [])


async def test_a_cursor_of_a_list_loaded_by_another_request_is_accepted(proxy: Proxy):
    cursor = (await Proxy(sandbox=True).get("/v1/orders/changes")).json()["meta"]["cursor"]
    await proxy.get("/v1/orders/summary")
    proxy.sandbox.inject("arrivals=1,times=1")
    await proxy.clock.advance(400)
    await proxy.get("/v1/orders/summary")
    await settle()
    response = await proxy.get(f"/v1/orders/changes?since={cursor}")
    assert [change["change"] for change in response.json()["data"]] == ["created"]
