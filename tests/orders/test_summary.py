"""Sums are exact, and every order is counted once."""

import json
from collections import Counter
from datetime import UTC as UTC_ZONE
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.orders.compute import CHUNK_SIZE
from app.orders.filters import Filter
from app.orders.mapping import Row
from app.orders.schema import INTERVALS, STATUSES
from app.orders.summary import MAX_PERIODS, ROW_COST, STATUS_GROUPS, summarize
from app.orders.timestamps import parse_timestamp_ns
from tests.support.book import row
from tests.support.run import run, turns_of

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


@pytest.mark.without_coverage
@settings(max_examples=100)
@given(rows=rows_of, paid_only=st.booleans(), interval=st.sampled_from(list(INTERVALS)))
def test_every_sum_is_exact_and_every_order_is_in_each_group_once(
    rows: list[Row], paid_only: bool, interval: str
):
    row_filter = Filter(frozenset({"paid"})) if paid_only else Filter()
    totals = json.loads(run(summarize(rows, row_filter, UTC, interval)).totals)
    matching = [one for one in rows if one.status == "paid" or not paid_only]
    known = [one.amount for one in matching if one.amount is not None]
    with localcontext() as exact:
        exact.prec = 200
        assert Decimal(totals["actual_amount"]) == sum(known, Decimal())
        lists = ("by_status", "by_type", "by_source", "by_month", "by_period")
        for parts in (*(totals[name] for name in lists), totals["groups"].values()):
            total = sum((Decimal(one["actual_amount"]) for one in parts), Decimal())
            assert total == sum(known, Decimal())
            assert sum(one["count"] for one in parts) == totals["count"] == len(matching)
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
        "groups": {name: {"count": 0, "actual_amount": "0"} for name in STATUS_GROUPS},
        "by_status": [],
        "by_type": [],
        "by_source": [],
        "by_month": [],
    }


def test_each_status_belongs_to_one_group_and_any_other_to_other():
    rows = [row(f"n{status}", status=status, amount=Decimal(1)) for status in [*STATUSES, "new"]]
    groups = json.loads(run(summarize(rows, Filter(), UTC)).totals)["groups"]
    counts = {name: group["count"] for name, group in groups.items()}
    assert counts == {"revenue": 2, "outstanding": 1, "lost": 2, "other": 2}


@pytest.mark.parametrize(
    ("interval", "periods"),
    [
        ("day", ["2022-01-01", "2022-01-02", "2022-01-03", "2022-12-31"]),
        ("week", ["2021-12-27", "2022-01-03", "2022-12-26"]),
        ("month", ["2022-01-01", "2022-12-01"]),
        ("quarter", ["2022-01-01", "2022-10-01"]),
    ],
)
def test_periods_begin_on_their_first_day_in_the_zone(interval: str, periods: list[str]):
    days = ["2021-12-31", "2022-01-01", "2022-01-02", "2022-12-30"]
    # 16:00 in UTC is midnight in Shanghai.
    rows = [row(f"n{day}", status="paid", created_ns=at(f"{day}T16:00:00Z")) for day in days]
    totals = run(summarize([*rows, row("n")], Filter(), ZoneInfo("Asia/Shanghai"), interval)).totals
    found = [one["period"] for one in json.loads(totals)["by_period"]]
    assert found == [*periods, "unknown"]


def test_periods_before_the_newest_are_added_up():
    start = datetime(2020, 1, 1, tzinfo=UTC_ZONE)
    days = [start + timedelta(days=number) for number in range(MAX_PERIODS + 2)]
    rows = [
        row("n", status="paid", amount=Decimal(1), created_ns=int(day.timestamp()) * 10**9)
        for day in days
    ]
    periods = json.loads(run(summarize(rows, Filter(), UTC, "day")).totals)["by_period"]
    assert len(periods) == MAX_PERIODS + 1
    assert periods[0] == {
        "period": "earlier",
        "status": "paid",
        "count": 2,
        "actual_amount": "2",
    }
    assert periods[1]["period"] == "2020-01-03"


def test_without_an_interval_there_are_no_periods():
    assert "by_period" not in json.loads(run(summarize([row("n")], Filter(), UTC)).totals)
    periods = json.loads(run(summarize([row("n")], Filter(), UTC, "day")).totals)["by_period"]
    assert [one["period"] for one in periods] == ["unknown"]


def test_months_before_the_newest_are_added_up():
    rows = [
        row("n", status="paid", amount=Decimal(1), created_ns=at(f"{year}-0{month}-01T00:00:00Z"))
        for year in range(1800, 1801 + MAX_PERIODS // 8)
        for month in range(1, 9)
    ]
    months = json.loads(run(summarize(rows, Filter(), UTC)).totals)["by_month"]
    assert len(months) == MAX_PERIODS + 1
    assert months[0] == {"month": "earlier", "status": "paid", "count": 8, "actual_amount": "8"}
    assert months[1]["month"] == "1801-01"


def test_a_summary_of_orders_that_are_each_of_another_day_is_computed_in_chunks():
    days = 10_000
    rows = [row("n", created_ns=day * 86_400 * 10**9) for day in range(days)]
    turns = turns_of(summarize(rows, Filter(), UTC, "day"))
    # Each row is read once and each day twice.
    assert turns >= days * (ROW_COST + 1) / CHUNK_SIZE + 2 * days / CHUNK_SIZE
