"""Times are compared as times, however they are written."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.timestamps import SECOND, month_of, parse_date_ns, parse_timestamp_ns

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
UTC_ZONE = ZoneInfo("UTC")


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_is_the_same_number_in_every_zone(moment: datetime):
    moment = moment.replace(microsecond=0, fold=0)
    offset = moment.utcoffset() or timedelta()
    if offset.seconds % 60:
        return  # no zone of today, and not to be written
    text = moment.isoformat()
    number = parse_timestamp_ns(text)
    assert number is not None
    expected = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC) - offset
    assert number == round(expected.total_seconds()) * SECOND


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.5z", 1_500_000_000),
        ("1970-01-01T08:00:00+08:00", 0),
        ("1970-01-01T00:00:00.123456789Z", 123_456_789),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("0001-01-01T00:00:00+23:59", parse_timestamp_ns("0001-01-01T00:00:00Z") - 86_340 * SECOND),  # type: ignore[operator]
        ("2022-09-25", None),
        ("2022-09-25T04:34:22", None),
        ("2022-09-25 04:34:22Z", None),
        ("2022-02-30T00:00:00Z", None),
        ("2022-09-25T04:34:60Z", None),
        ("2022-09-25T04:34:22.1234567890Z", None),
        ("2022-09-25T04:34:22Z\n", None),
    ],
)
def test_only_what_the_standard_calls_a_moment_is_one(text: str, number: int | None):
    assert parse_timestamp_ns(text) == number


def test_a_date_is_its_midnight_in_the_zone():
    assert parse_date_ns("2022-09-25", SHANGHAI) == parse_timestamp_ns("2022-09-24T16:00:00Z")
    assert parse_date_ns("2022-09-25", UTC_ZONE) == parse_timestamp_ns("2022-09-25T00:00:00Z")
    assert parse_date_ns("2022-9-25", UTC_ZONE) is None
    assert parse_date_ns("2022-02-30", UTC_ZONE) is None
    assert parse_date_ns("9999-12-31", NEW_YORK) is not None


def test_a_month_is_the_one_that_it_is_there():
    moment = parse_timestamp_ns("2022-09-30T16:00:00Z")
    assert moment is not None
    assert month_of(moment, SHANGHAI) == "2022-10"
    assert month_of(moment, NEW_YORK) == "2022-09"
    assert month_of(-1, UTC_ZONE) == "1969-12"
    first = parse_timestamp_ns("0001-01-01T00:00:00Z")
    assert first is not None
    assert month_of(first, NEW_YORK) is None
