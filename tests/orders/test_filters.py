"""Filters and sorts, against a plain list."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.orders.compute import CHUNK_SIZE
from app.orders.filters import select
from app.orders.mapping import Row
from app.orders.queries import SORTS, Filter
from tests.support.book import row
from tests.support.run import run

STATUSES = ("paid", "unpaid", "unknown")
amounts = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-99, max_value=99)


def rows_of(size: int) -> st.SearchStrategy[list[Row]]:
    one = st.builds(
        row,
        st.text("0Aaß", max_size=3),
        status=st.sampled_from(STATUSES),
        type=st.sampled_from(["new", "renewal"]),
        source=st.sampled_from(["admin", "offline"]),
        amount=st.none() | amounts | st.sampled_from([Decimal(1), Decimal("1.00")]),
        created_ns=st.none() | st.integers(-5, 5),
        search_names=st.sampled_from([(), ("strasse",), ("企业版", "enterprise")]),
    )
    return st.lists(one, max_size=size)


some = st.frozensets
filters = st.builds(
    Filter,
    some(st.sampled_from(STATUSES), max_size=2),
    some(st.sampled_from(["new", "renewal"]), max_size=1),
    some(st.sampled_from(["admin", "offline"]), max_size=1),
    some(st.text("0A", min_size=1, max_size=2), max_size=2),
    st.sampled_from(["", "a", "ss", "企", "0a", "rp"]),
    st.none() | st.integers(-5, 5),
    st.none() | st.integers(-5, 5),
)


def plainly(rows: Sequence[Row], asked: Filter) -> list[Row]:
    def meant(one: Row) -> bool:
        texts = (one.order_no.casefold(), *one.search_names)
        dated = asked.created_from is not None or asked.created_to is not None
        return (
            (not asked.statuses or one.status in asked.statuses)
            and (not asked.types or one.type in asked.types)
            and (not asked.sources or one.source in asked.sources)
            and (not asked.order_nos or one.order_no in asked.order_nos)
            and any(asked.search_text in text for text in texts)
            and (not dated or one.created_ns is not None)
            and (asked.created_from is None or (one.created_ns or 0) >= asked.created_from)
            and (asked.created_to is None or (one.created_ns or 0) < asked.created_to)
        )

    return [one for one in rows if meant(one)]


def key_of(one: Row, sort: str) -> Any:
    named = {"created_at": one.created_ns, "actual_amount": one.amount, "order_no": one.order_no}
    return named[sort.removeprefix("-")]


sorts = st.sampled_from([f"{minus}{key}" for key in SORTS for minus in ("", "-")])


@settings(max_examples=150, deadline=None)
@given(rows=rows_of(30), asked=filters, sort=st.none() | sorts)
def test_what_is_found_and_in_which_order_is_what_a_plain_list_gives(
    rows: list[Row], asked: Filter, sort: str | None
):
    expected = plainly(rows, asked)
    if sort:
        known = [one for one in expected if key_of(one, sort) not in (None, "")]
        unknown = [one for one in expected if key_of(one, sort) in (None, "")]
        known.sort(key=lambda one: key_of(one, sort), reverse=sort.startswith("-"))
        expected = known + unknown
    found = [rows[at] for at in run(select(rows, asked, sort))]
    assert list(map(id, found)) == list(map(id, expected))


def test_a_list_of_many_slices_is_sorted_as_one():
    rows = [row(f"n{at}", amount=Decimal(at * 7919 % 1000)) for at in range(3 * CHUNK_SIZE + 17)]
    for sort in ("actual_amount", "-actual_amount"):
        found = [rows[at] for at in run(select(rows, Filter(), sort))]
        assert found == sorted(
            rows, key=lambda one: one.amount or Decimal(), reverse=sort.startswith("-")
        )
