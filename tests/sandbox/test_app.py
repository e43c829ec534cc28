"""The four API operations."""

from typing import Any

import pytest

from app.sandbox.app import Sandbox
from app.sandbox.faults import DETAIL, ORDERS, PAYMENT, TOKEN, Fault
from app.sandbox.options import Options, UnknownOrder
from tests.sandbox.client import SandboxClient
from tests.support.clock import ManualClock


async def test_the_list_is_paginated_and_the_total_is_a_string(client: SandboxClient) -> None:
    data = (await client.get(ORDERS, page=14, limit=10))["data"]
    assert data["totalCount"] == "137"
    assert len(data["list"]) == 7


async def test_the_default_is_the_first_page_of_ten_orders(client: SandboxClient) -> None:
    assert await client.rows() == await client.rows(page=1, limit=10)


async def test_a_page_past_the_end_is_empty(client: SandboxClient) -> None:
    data = (await client.get(ORDERS, page=999_999_999, limit=50))["data"]
    assert data == {"totalCount": "137", "list": []}


async def test_a_page_can_have_fifty_orders(client: SandboxClient) -> None:
    assert len(await client.rows(limit=50)) == 50


@pytest.mark.parametrize(
    ("name", "value"),
    [("page", "0"), ("page", "-1"), ("page", "x"), ("page", ""), ("limit", "0"), ("limit", "51")],
)
async def test_a_page_or_limit_out_of_range_is_rejected(
    client: SandboxClient, name: str, value: str
) -> None:
    params: dict[str, Any] = {name: value}
    envelope = await client.get(ORDERS, **params)
    assert envelope["statusCode"] == 400
    assert "data" not in envelope


async def test_the_detail_of_an_order_equals_its_row_in_the_list(client: SandboxClient) -> None:
    for row in await client.rows(limit=50):
        assert (await client.get(DETAIL, orderNo=row["orderNo"]))["data"] == row


async def test_only_orders_paid_online_have_a_payment_and_it_matches_the_order(
    client: SandboxClient,
) -> None:
    rows = await client.rows(limit=50)
    paid = [row for row in rows if row["source"] == "SelfHelp" and row["status"] in {"2", "3"}]
    assert 0 < len(paid) < 50
    for row in rows:
        payment = (await client.get(PAYMENT, orderNo=row["orderNo"]))["data"]
        assert (payment is not None) == (row in paid)
        if payment:
            assert payment["orderNo"] == row["orderNo"]
            assert payment["paidAmount"] == row["actualAmount"]
            assert payment["paidTime"] > payment["createTime"] == row["createTime"]


@pytest.mark.parametrize("path", [DETAIL, PAYMENT])
@pytest.mark.parametrize(
    ("unknown_order", "expected"),
    [
        ("null", (200, None, None)),
        ("empty", (200, None, {})),
        ("404", (404, None, None)),
        ("422", (422, 4004, None)),
    ],
)
async def test_an_unknown_order_is_reported_as_the_option_says(
    clock: ManualClock, path: str, unknown_order: UnknownOrder, expected: tuple[object, ...]
) -> None:
    client = await SandboxClient.logged_in(Options(unknown_order=unknown_order), clock)
    envelope = await client.get(path, orderNo="12345")
    assert (envelope["statusCode"], envelope.get("apiCode"), envelope.get("data")) == expected


@pytest.mark.parametrize("path", [DETAIL, PAYMENT])
async def test_an_order_number_is_required(client: SandboxClient, path: str) -> None:
    assert (await client.get(path))["statusCode"] == 400
    assert (await client.get(path, orderNo=""))["statusCode"] == 400


async def test_an_unknown_path_or_method_is_not_found(client: SandboxClient) -> None:
    assert (await client.get("/api/v3/list-users"))["statusCode"] == 404
    assert (await client.get("/"))["statusCode"] == 404
    assert (await client.get(TOKEN))["statusCode"] == 404
    assert (await client.http.post(ORDERS)).json()["statusCode"] == 404


async def test_every_response_has_its_own_request_id(client: SandboxClient) -> None:
    ids = {(await client.get(ORDERS))["requestId"], (await client.get("/"))["requestId"]}
    assert len(ids) == 2


async def test_too_many_calls_in_a_second_are_http_429(clock: ManualClock) -> None:
    client = await SandboxClient.logged_in(Options(max_calls_per_second=2), clock)
    assert (await client.get_response(ORDERS)).status_code == 200
    response = await client.get_response(ORDERS)
    assert response.status_code == 429
    assert set(response.json()) == {"statusCode", "message"}
    assert "retry-after" not in response.headers
    await clock.advance(1)
    assert (await client.get_response(ORDERS)).status_code == 200


@pytest.mark.without_coverage
async def test_without_a_limit_any_rate_is_accepted(clock: ManualClock) -> None:
    client = await SandboxClient.logged_in(Options(max_calls_per_second=0), clock)
    assert {(await client.get_response(ORDERS)).status_code for _ in range(400)} == {200}


async def test_calls_are_counted_per_path_failed_ones_included(client: SandboxClient) -> None:
    await client.get(ORDERS)
    await client.get(ORDERS, headers={})
    await client.get(DETAIL)
    response = (await client.get_response("/sandbox/calls")).json()
    assert response == {"calls": {TOKEN: 1, ORDERS: 2, DETAIL: 1, PAYMENT: 0}, "total": 4}
    assert client.sandbox.calls == response["calls"]


async def test_a_sandbox_starts_with_the_faults_of_its_options() -> None:
    sandbox = Sandbox(Options(faults=(Fault.parse("html=503,times=1"),)), clock=ManualClock())
    client = SandboxClient(sandbox)
    assert (await client.get_response(ORDERS)).status_code == 503
    assert (await client.get_response(ORDERS)).status_code == 200
