"""What may be asked of the whole list, and what is told to who asks wrongly."""

from urllib.parse import quote

import pytest

from app.edge.query_params import InvalidRequest, parse_query
from app.orders.queries import NO_FILTER, Filter, OrdersQuery
from app.orders.timestamps import parse_timestamp_ns


def query(text: str) -> OrdersQuery:
    return parse_query(OrdersQuery, text.encode())


def fault_of(text: str) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        query(text)
    (fault,) = refused.value.errors
    return fault.parameter, fault.message


def test_parameters_make_a_filter():
    asked = query(
        "status=paid&status=unpaid&status=paid&type=new&source=admin&order_no=A1&order_no=B2"
        f"&q={quote('Straße')}&created_from=2022-09-25&created_to=2022-09-26T00:00:00%2B08:00"
        "&time_zone=Asia/Shanghai"
    )
    assert asked.filter() == Filter(
        frozenset({"paid", "unpaid"}),
        frozenset({"new"}),
        frozenset({"admin"}),
        frozenset({"A1", "B2"}),
        "strasse",
        parse_timestamp_ns("2022-09-24T16:00:00Z"),
        parse_timestamp_ns("2022-09-25T16:00:00Z"),
    )
    assert not asked.is_unfiltered()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", True),
        ("page=2&limit=50", True),
        ("include=rev&include=origin", True),
        ("time_zone=Asia/Shanghai", True),
        ("sort=order_no", False),
        ("q=x", False),
        ("status=unknown", False),
        ("created_to=1970-01-01", False),
        ("created_from=1970-01-01", False),
    ],
)
def test_what_narrows_and_sorts_nothing_is_a_window_on_the_list_as_it_stands(
    text: str, plain: bool
):
    assert query(text).is_unfiltered() is plain
    assert (query(text).filter() == NO_FILTER) is (plain or "sort" in text)


@pytest.mark.parametrize(
    ("text", "parameter", "message"),
    [
        (
            "status=Paid",
            "status",
            "must be one of paid, unpaid, completed, cancelled, expired, unknown",
        ),
        ("status=paid&status=", "status", "is empty; give it a value or leave it out"),
        ("sort=price", "sort", "must be one of created_at, -created_at, actual_amount,"),
        ("sort=order_no&sort=order_no", "sort", "is given 2 times; give it once"),
        ("include=all", "include", "must be one of raw, rev, origin"),
        ("order_no=summary", "order_no", "must be 1 to 64 of the characters"),
        (
            "&".join(["order_no=1"] * 51),
            "order_no",
            "is given 51 times; give it at most 50",
        ),
        ("q=" + "x" * 101, "q", "String should have at most 100 characters"),
        ("time_zone=Mars/Olympus", "time_zone", "must be a zone of the IANA list"),
        ("time_zone=../etc/passwd", "time_zone", "must be a zone of the IANA list"),
        ("created_from=yesterday", "created_from", "must be a date, as 2022-09-25, or a moment"),
        ("created_to=2022-09-25T00:00:00+08:00", "created_to", "must be a date, as"),
        ("created_to=2022-09-25T00:00:00", "created_to", "must be a date, as"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(text: str, parameter: str, message: str):
    named, told = fault_of(text)
    assert named == parameter
    assert told.startswith(message)


def test_the_item_at_fault_is_shown_and_no_other():
    with pytest.raises(InvalidRequest) as refused:
        query("type=new&type=old")
    assert refused.value.errors[0].value == "old"
