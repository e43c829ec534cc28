"""Filtering and sorting give the same as on a plain list."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from app.orders.compute import CHUNK_SIZE
from app.orders.filters import CHARS_PER_COST, Filter, select
from app.orders.mapping import Row
from app.orders.queries import SortOrder
from tests.support.book import row
from tests.support.run import run, turns_of

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


subsets = st.frozensets
filters = st.builds(
    Filter,
    subsets(st.sampled_from(STATUSES), max_size=2),
    subsets(st.sampled_from(["new", "renewal"]), max_size=1),
    subsets(st.sampled_from(["admin", "offline"]), max_size=1),
    subsets(st.text("0A", min_size=1, max_size=2), max_size=2),
    st.sampled_from(["", "a", "ss", "企", "0a", "rp"]),
    st.none() | st.integers(-5, 5),
    st.none() | st.integers(-5, 5),
    st.none() | amounts,
    st.none() | amounts,
)


def _at_least(left: Decimal | None, right: Decimal | None) -> bool:
    return left is not None and right is not None and left >= right


def filter_plainly(rows: Sequence[Row], row_filter: Filter) -> list[Row]:
    def matches(one: Row) -> bool:
        texts = (one.order_no.casefold(), *one.search_names)
        dated = row_filter.created_from is not None or row_filter.created_to is not None
        return (
            (not row_filter.statuses or one.status in row_filter.statuses)
            and (not row_filter.types or one.type in row_filter.types)
            and (not row_filter.sources or one.source in row_filter.sources)
            and (not row_filter.order_nos or one.order_no in row_filter.order_nos)
            and any(row_filter.search_text in text for text in texts)
            and (not dated or one.created_ns is not None)
            and (row_filter.amount_from is None or _at_least(one.amount, row_filter.amount_from))
            and (row_filter.amount_to is None or _at_least(row_filter.amount_to, one.amount))
            and (
                row_filter.created_from is None or (one.created_ns or 0) >= row_filter.created_from
            )
            and (row_filter.created_to is None or (one.created_ns or 0) < row_filter.created_to)
        )

    return [one for one in rows if matches(one)]


def key_of(one: Row, sort: str) -> Any:
    named = {
        "created_at": one.created_ns,
        "actual_amount": one.amount,
        "order_no": one.order_no,
        "status": {"unpaid": 1, "paid": 2}.get(one.status),
    }
    return named[sort.removeprefix("-")]


sorts = st.sampled_from(get_args(SortOrder.__value__))


@settings(max_examples=150)
@given(rows=rows_of(30), row_filter=filters, sort=st.none() | sorts)
def test_select_gives_what_a_plain_list_gives_in_the_same_order(
    rows: list[Row], row_filter: Filter, sort: str | None
):
    expected = filter_plainly(rows, row_filter)
    if sort:
        known = [one for one in expected if key_of(one, sort) not in (None, "")]
        unknown = [one for one in expected if key_of(one, sort) in (None, "")]
        known.sort(key=lambda one: key_of(one, sort), reverse=sort.startswith("-"))
        expected = known + unknown
    found = [rows[position] for position in run(select(rows, row_filter, sort))]
    assert list(map(id, found)) == list(map(id, expected))


def test_a_list_of_many_chunks_is_sorted_as_one():
    rows = [row(f"n{at}", amount=Decimal(at * 7919 % 1000)) for at in range(3 * CHUNK_SIZE + 17)]
    for sort in ("actual_amount", "-actual_amount"):
        found = [rows[position] for position in run(select(rows, Filter(), sort))]
        assert found == sorted(
            rows, key=lambda one: one.amount or Decimal(), reverse=sort.startswith("-")
        )


def test_the_longest_names_are_searched_a_few_rows_at_a_time():
    longest = row("n1", search_names=("a" * 1000, "a" * 1000))
    worst = Filter(search_text="a" * 80 + "b" + "a" * 19)
    assert Filter().cost(longest) == 1
    assert Filter(search_text="a").cost(row("n1", search_names=("enterprise", "企业版"))) == 1
    rows = [longest] * 1000
    turns = turns_of(select(rows, worst, None))
    chars = sum(map(len, longest.search_names)) * len(rows)
    assert chars / turns <= CHUNK_SIZE * CHARS_PER_COST


def test_a_row_without_an_amount_or_a_time_matches_no_filter_by_it():
    unknown, known = row("A1"), row("A2", amount=Decimal(5), created_ns=5)
    for row_filter in (
        Filter(amount_from=Decimal(5)),
        Filter(amount_to=Decimal(5)),
        Filter(created_from=5),
        Filter(created_to=6),
    ):
        assert (row_filter.matches(unknown), row_filter.matches(known)) == (False, True)
    for row_filter in (
        Filter(amount_from=Decimal("5.01")),
        Filter(amount_to=Decimal("4.99")),
        Filter(created_from=6),
        Filter(created_to=5),
    ):
        assert not row_filter.matches(known)
