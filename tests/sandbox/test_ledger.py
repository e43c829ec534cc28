"""The orders of a sandbox."""

import re
from decimal import Decimal

import pytest

from app.sandbox.ledger import Ledger
from tests.support.clock import ManualClock


def ledger(orders: int = 137, seed: int = 7) -> Ledger:
    return Ledger(orders=orders, seed=seed, clock=ManualClock())


@pytest.mark.parametrize("orders", [0, 1, 137, 5000])
def test_there_are_as_many_as_asked_for_newest_first_and_each_once(orders: int) -> None:
    rows = ledger(orders).rows(0, orders + 1)
    times = [row["createTime"] for row in rows]
    assert len(rows) == orders
    assert times == sorted(times, reverse=True)
    assert len({row["orderNo"] for row in rows}) == orders


def test_a_seed_gives_the_same_orders_always() -> None:
    assert ledger().rows(0, 50) == ledger().rows(0, 50)
    assert ledger().rows(0, 50) != ledger(seed=8).rows(0, 50)
    assert ledger().rows(0, 1) == [
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


def test_every_order_of_many_is_found_by_its_number() -> None:
    many = ledger(100_000)
    for place in (0, 1, 49_999, 99_998, 99_999):
        row = many.rows(place, 1)[0]
        assert many.find(row["orderNo"]) == row


@pytest.mark.parametrize(
    "order_no",
    [
        "",
        "12345",
        "99999999999999" + "0" * 12,
        "20990101000000" + "0" * 12,
        "19990101000000" + "0" * 12,
        "20261120135057" + "0" * 12,
        "２０２６１１２０１３５０５７０",  # noqa: RUF001 - other digits are no digits
    ],
)
def test_a_number_that_was_never_given_finds_nothing(order_no: str) -> None:
    assert ledger().find(order_no) is None
    assert ledger().payment(order_no) is None


def test_the_orders_show_every_word_the_vendor_has() -> None:
    rows = ledger(1000).rows(0, 1000)
    assert {row["status"] for row in rows} == set("12345")
    assert {row["orderType"] for row in rows} == {
        *("New", "Upgrade", "Renew", "Overdue_Correct", "Overflowed_Correct")
    }
    assert {row["source"] for row in rows} == {"Licence", "Offline", "Eadmin", "SelfHelp", "Cdkey"}
    assert {len(row["orderNo"]) for row in rows} == {15, 26}


def test_an_amount_is_price_times_quantity_less_a_discount_or_nothing() -> None:
    for row in ledger(1000).rows(0, 1000):
        full = Decimal(row["goodsUnitPrice"]) * int(row["quantity"])
        share = Decimal(row["actualAmount"]) / full
        assert share in ({0} if row["source"] == "Cdkey" else {1, Decimal("0.9"), Decimal("0.85")})


def test_amounts_are_plain_decimals_of_varying_scale() -> None:
    amounts = [row["actualAmount"] for row in ledger(1000).rows(0, 1000)]
    assert all(re.fullmatch(r"[0-9]+(\.[0-9]+)?", amount) for amount in amounts)
    assert {len(amount.partition(".")[2]) for amount in amounts} >= {0, 1, 2, 3}


async def test_an_order_that_arrives_stands_in_front_and_is_found() -> None:
    clock = ManualClock()
    book = Ledger(orders=2, seed=7, clock=clock)
    before = book.rows(0, 2)
    book.arrive()
    await clock.advance(60)
    book.arrive()
    rows = book.rows(0, 10)
    assert book.total == 4
    assert rows[2:] == before
    assert [row["createTime"] for row in rows[:2]] == ["2026-11-23 20:01:00", "2026-11-23 20:00:00"]
    assert [book.find(row["orderNo"]) for row in rows] == rows


async def test_what_was_handed_out_cannot_change_the_ledger() -> None:
    book = ledger(0)
    book.arrive()
    book.rows(0, 1)[0]["status"] = "broken"
    assert book.rows(0, 1)[0]["status"] != "broken"
