"""The generated orders of a sandbox."""

import re
from decimal import Decimal

import pytest

from app.orders.schema import ORDER_NO
from app.sandbox.order_store import OrderStore
from tests.support.clock import ManualClock


def make_store(orders: int = 137, seed: int = 7) -> OrderStore:
    return OrderStore(orders=orders, seed=seed, clock=ManualClock())


@pytest.mark.parametrize("orders", [0, 1, 137, 5000])
def test_the_requested_number_of_unique_orders_is_generated_newest_first(orders: int) -> None:
    rows = make_store(orders).rows(0, orders + 1)
    times = [row["createTime"] for row in rows]
    assert len(rows) == orders
    assert times == sorted(times, reverse=True)
    assert len({row["orderNo"] for row in rows}) == orders


def test_a_seed_always_gives_the_same_orders() -> None:
    assert make_store().rows(0, 50) == make_store().rows(0, 50)
    assert make_store().rows(0, 50) != make_store(seed=8).rows(0, 50)
    assert make_store().rows(0, 1) == [
        {
            "orderNo": "202611201351005da21c140b61",
            "goodsName": "私有化部署",
            "goodsNameEn": "Private Deployment",
            "goodsUnitPrice": "128000.00",
            "quantity": "1",
            "actualAmount": "115200.00",
            "status": "3",
            "orderType": "New",
            "createTime": "2026-11-20 13:51:00",
            "source": "SelfHelp",
        }
    ]


def test_every_order_is_found_by_its_number() -> None:
    store = make_store(100_000)
    for index in (0, 1, 49_999, 99_998, 99_999):
        row = store.rows(index, 1)[0]
        assert store.find(row["orderNo"]) == row


@pytest.mark.parametrize(
    "order_no",
    [
        "",
        "12345",
        "99999999999999" + "0" * 12,
        "20990101000000" + "0" * 12,
        "19990101000000" + "0" * 12,
        "20261120135057" + "0" * 12,
        "２０２６１１２０１３５０５７０",  # noqa: RUF001 - only ASCII digits are valid
    ],
)
def test_an_unknown_order_number_finds_nothing(order_no: str) -> None:
    assert make_store().find(order_no) is None
    assert make_store().find_payment(order_no) is None


def test_the_orders_have_every_enum_value_of_the_vendor() -> None:
    rows = make_store(1000).rows(0, 1000)
    assert {row["status"] for row in rows} == set("12345")
    assert {row["orderType"] for row in rows} == {
        *("New", "Upgrade", "Renew", "Overdue_Correct", "Overflowed_Correct")
    }
    assert {row["source"] for row in rows} == {"Licence", "Offline", "Eadmin", "SelfHelp", "Cdkey"}
    assert {len(row["orderNo"]) for row in rows} == {15, 26}


def test_an_amount_is_price_times_quantity_less_a_discount_or_0_for_a_redemption_code() -> None:
    for row in make_store(1000).rows(0, 1000):
        full = Decimal(row["goodsUnitPrice"]) * int(row["quantity"])
        share = Decimal(row["actualAmount"]) / full
        assert share in ({0} if row["source"] == "Cdkey" else {1, Decimal("0.9"), Decimal("0.85")})


def test_amounts_are_decimals_of_varying_scale() -> None:
    amounts = [row["actualAmount"] for row in make_store(1000).rows(0, 1000)]
    assert all(re.fullmatch(r"[0-9]+(\.[0-9]+)?", amount) for amount in amounts)
    assert {len(amount.partition(".")[2]) for amount in amounts} >= {0, 1, 2, 3}


async def test_an_added_order_is_the_first_one_and_is_found() -> None:
    clock = ManualClock()
    store = OrderStore(orders=2, seed=7, clock=clock)
    before = store.rows(0, 2)
    store.add_order()
    await clock.advance(60)
    store.add_order()
    rows = store.rows(0, 10)
    assert store.total == 4
    assert rows[2:] == before
    assert [row["createTime"] for row in rows[:2]] == ["2026-11-23 20:01:00", "2026-11-23 20:00:00"]
    assert [store.find(row["orderNo"]) for row in rows] == rows


async def test_changing_a_returned_row_does_not_change_the_store() -> None:
    store = make_store(0)
    store.add_order()
    store.rows(0, 1)[0]["status"] = "broken"
    assert store.rows(0, 1)[0]["status"] != "broken"


def test_the_order_of_the_documentation_is_found_though_it_is_not_in_the_list() -> None:
    store = make_store()
    found = store.find(ORDER_NO)
    assert found is not None
    assert found["orderNo"] == ORDER_NO
    assert store.find_payment(ORDER_NO) is not None
    assert found not in store.rows(0, store.total)
