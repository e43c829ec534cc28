"""Sums are exact, and every order is counted once."""

import json
from collections import Counter
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from app.orders.filters import Filter
from app.orders.mapping import Row
from app.orders.summary import summarize
from app.orders.timestamps import parse_timestamp_ns
from tests.support.book import row
from tests.support.run import run

UTC = ZoneInfo("UTC")
texts = st.from_regex(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", fullmatch=True)
rows_of = st.lists(
    st.builds(
        row,
        st.just("n1"),
        status=st.sampled_from(["paid", "unpaid", "unknown"]),
        type=st.sampled_from(["new", "unknown"]),
        source=st.sampled_from(["admin", "offline"]),
        amount=st.none() | st.builds(Decimal, texts),
        created_ns=st.none() | st.integers(0, 10**18),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(rows=rows_of, paid_only=st.booleans())
def test_every_sum_is_exact_and_every_order_is_in_each_group_once(rows: list[Row], paid_only: bool):
    row_filter = Filter(frozenset({"paid"})) if paid_only else Filter()
    totals = json.loads(run(summarize(rows, row_filter, UTC)).totals)
    matching = [one for one in rows if one.status == "paid" or not paid_only]
    known = [one.amount for one in matching if one.amount is not None]
    with localcontext() as exact:
        exact.prec = 200
        assert Decimal(totals["actual_amount"]) == sum(known, Decimal())
        for group in ("by_status", "by_type", "by_source", "by_month"):
            total = sum((Decimal(one["actual_amount"]) for one in totals[group]), Decimal())
            assert total == sum(known, Decimal())
            assert sum(one["count"] for one in totals[group]) == totals["count"] == len(matching)
    assert totals["amounts_unknown"] == len(matching) - len(known)
    assert "E" not in totals["actual_amount"]
    counted = Counter(one.status for one in matching)
    assert {one["status"]: one["count"] for one in totals["by_status"]} == counted


def at(text: str) -> int:
    found = parse_timestamp_ns(text)
    assert found is not None
    return found


def test_months_are_those_of_the_zone_sorted_with_unknown_last():
    rows = [
        row("n1", status="paid", amount=Decimal("2.50")),
        row("n2", status="paid", amount=Decimal("1.5"), created_ns=at("2022-09-30T16:00:00Z")),
        row("n3", status="unknown", amount=None, created_ns=at("2022-09-30T15:59:59Z")),
        row("n4", status="paid", amount=Decimal("-0.50"), created_ns=at("2022-09-01T00:00:00Z")),
    ]
    result = run(summarize(rows, Filter(), ZoneInfo("Asia/Shanghai")))
    assert json.loads(result.totals)["by_month"] == [
        {"month": "2022-09", "status": "paid", "count": 1, "actual_amount": "-0.50"},
        {"month": "2022-09", "status": "unknown", "count": 1, "actual_amount": "0"},
        {"month": "2022-10", "status": "paid", "count": 1, "actual_amount": "1.5"},
        {"month": "unknown", "status": "paid", "count": 1, "actual_amount": "2.50"},
    ]
    assert result.has_amount
    assert not run(summarize(rows[2:3], Filter(), UTC)).has_amount


def test_the_summary_of_no_orders_is_zero():
    assert json.loads(run(summarize([], Filter(), UTC)).totals) == {
        "count": 0,
        "actual_amount": "0",
        "amounts_unknown": 0,
        "by_status": [],
        "by_type": [],
        "by_source": [],
        "by_month": [],
    }
