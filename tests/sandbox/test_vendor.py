"""The four operations, as a caller of the vendor knows them."""

from typing import Any

import pytest

from app.sandbox import Options, create_sandbox
from app.sandbox.options import UnknownOrder
from tests.sandbox.asker import DETAIL, GRANT, ORDERS, PAYMENT, Asker
from tests.support.clock import ManualClock


async def test_the_list_is_paged_and_the_total_is_a_string(asker: Asker) -> None:
    data = (await asker.get(ORDERS, page=14, limit=10))["data"]
    assert data["totalCount"] == "137"
    assert len(data["list"]) == 7


async def test_a_page_has_ten_orders_unless_asked_otherwise(asker: Asker) -> None:
    assert await asker.rows() == await asker.rows(page=1, limit=10)


async def test_a_page_past_the_end_is_empty(asker: Asker) -> None:
    data = (await asker.get(ORDERS, page=999_999_999, limit=50))["data"]
    assert data == {"totalCount": "137", "list": []}


async def test_the_largest_page_is_fifty(asker: Asker) -> None:
    assert len(await asker.rows(limit=50)) == 50


@pytest.mark.parametrize(
    ("name", "value"),
    [("page", "0"), ("page", "-1"), ("page", "x"), ("page", ""), ("limit", "0"), ("limit", "51")],
)
async def test_a_page_out_of_range_is_refused(asker: Asker, name: str, value: str) -> None:
    asked: dict[str, Any] = {name: value}
    answer = await asker.get(ORDERS, **asked)
    assert answer["statusCode"] == 400
    assert "data" not in answer


async def test_an_order_is_the_same_alone_and_in_the_list(asker: Asker) -> None:
    for row in await asker.rows(limit=50):
        assert (await asker.get(DETAIL, orderNo=row["orderNo"]))["data"] == row


async def test_a_payment_is_of_its_order_and_only_of_what_was_paid_online(asker: Asker) -> None:
    rows = await asker.rows(limit=50)
    paid = [row for row in rows if row["source"] == "SelfHelp" and row["status"] in {"2", "3"}]
    assert 0 < len(paid) < 50
    for row in rows:
        payment = (await asker.get(PAYMENT, orderNo=row["orderNo"]))["data"]
        assert (payment is not None) == (row in paid)
        if payment:
            assert payment["orderNo"] == row["orderNo"]
            assert payment["paidAmount"] == row["actualAmount"]
            assert payment["paidTime"] > payment["createTime"] == row["createTime"]


@pytest.mark.parametrize("path", [DETAIL, PAYMENT])
@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("null", (200, None, None)),
        ("empty", (200, None, {})),
        ("404", (404, None, None)),
        ("422", (422, 4004, None)),
    ],
)
async def test_an_unknown_order_is_told_in_each_of_the_vendors_ways(
    clock: ManualClock, path: str, way: UnknownOrder, expected: tuple[object, ...]
) -> None:
    asker = await Asker.admitted(Options(unknown_order=way), clock)
    answer = await asker.get(path, orderNo="12345")
    assert (answer["statusCode"], answer.get("apiCode"), answer.get("data")) == expected


@pytest.mark.parametrize("path", [DETAIL, PAYMENT])
async def test_an_order_number_is_required(asker: Asker, path: str) -> None:
    assert (await asker.get(path))["statusCode"] == 400
    assert (await asker.get(path, orderNo=""))["statusCode"] == 400


async def test_what_the_vendor_does_not_have_is_not_found(asker: Asker) -> None:
    assert (await asker.get("/api/v3/list-users"))["statusCode"] == 404
    assert (await asker.get("/"))["statusCode"] == 404
    assert (await asker.get(GRANT))["statusCode"] == 404
    assert (await asker.http.post(ORDERS)).json()["statusCode"] == 404


async def test_every_answer_has_a_request_id_of_its_own(asker: Asker) -> None:
    ids = {(await asker.get(ORDERS))["requestId"], (await asker.get("/"))["requestId"]}
    assert len(ids) == 2


async def test_too_many_calls_in_a_second_are_http_429(clock: ManualClock) -> None:
    asker = await Asker.admitted(Options(max_calls_per_second=2), clock)
    assert (await asker.answer(ORDERS)).status_code == 200
    refused = await asker.answer(ORDERS)
    assert refused.status_code == 429
    assert set(refused.json()) == {"statusCode", "message"}
    assert "retry-after" not in refused.headers
    await clock.advance(1)
    assert (await asker.answer(ORDERS)).status_code == 200


async def test_without_a_limit_any_rate_is_answered(clock: ManualClock) -> None:
    asker = await Asker.admitted(Options(max_calls_per_second=0), clock)
    assert {(await asker.answer(ORDERS)).status_code for _ in range(400)} == {200}


async def test_calls_are_counted_per_path_whatever_came_of_them(asker: Asker) -> None:
    await asker.get(ORDERS)
    await asker.get(ORDERS, headers={})
    await asker.get(DETAIL)
    told = (await asker.answer("/sandbox/calls")).json()
    assert told == {"calls": {GRANT: 1, ORDERS: 2, DETAIL: 1, PAYMENT: 0}, "total": 4}
    assert asker.sandbox.calls == told["calls"]


async def test_a_sandbox_begins_with_the_faults_of_its_options() -> None:
    sandbox = create_sandbox(Options(faults=("html=503,times=1",)), clock=ManualClock())
    asker = Asker(sandbox)
    assert (await asker.answer(ORDERS)).status_code == 503
    assert (await asker.answer(ORDERS)).status_code == 200
