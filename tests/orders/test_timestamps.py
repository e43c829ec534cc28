"""Times as integers, whatever zone and notation they are given in."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.timestamps import SECOND_NS, date_of, parse_date_ns, parse_timestamp_ns

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
UTC_ZONE = ZoneInfo("UTC")

_DAYS_BEFORE_1970 = -719_162
"""From the year 1 on."""


@given(time=st.datetimes(timezones=st.timezones()))
def test_a_time_is_the_same_number_in_every_zone(time: datetime):
    time = time.replace(microsecond=0, fold=0)
    offset = time.utcoffset() or timedelta()
    if offset.seconds % 60:
        return  # a historical offset that RFC 3339 cannot express
    number = parse_timestamp_ns(time.isoformat())
    assert number is not None
    expected = time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC) - offset
    assert number == round(expected.total_seconds()) * SECOND_NS


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.5z", 1_500_000_000),
        ("1970-01-01T08:00:00+08:00", 0),
        ("1970-01-01T00:00:00.123456789Z", 123_456_789),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("0001-01-01T00:00:00+23:59", (_DAYS_BEFORE_1970 * 86_400 - 86_340) * SECOND_NS),
        ("2022-09-25", None),
        ("2022-09-25T04:34:22", None),
        ("2022-09-25 04:34:22Z", None),
        ("2022-02-30T00:00:00Z", None),
        ("2022-09-25T04:34:60Z", None),
        ("2022-09-25T04:34:22.1234567890Z", None),
        ("2022-09-25T04:34:22Z\n", None),
    ],
)
def test_only_rfc_3339_timestamps_are_accepted(text: str, number: int | None):
    assert parse_timestamp_ns(text) == number


def test_a_date_is_midnight_in_its_zone():
    assert parse_date_ns("2022-09-25", SHANGHAI) == parse_timestamp_ns("2022-09-24T16:00:00Z")
    assert parse_date_ns("2022-09-25", UTC_ZONE) == parse_timestamp_ns("2022-09-25T00:00:00Z")
    assert parse_date_ns("2022-9-25", UTC_ZONE) is None
    assert parse_date_ns("2022-02-30", UTC_ZONE) is None
    assert parse_date_ns("9999-12-31", NEW_YORK) is not None


def test_a_date_is_that_of_the_time_in_the_zone():
    time = parse_timestamp_ns("2022-09-30T16:00:00Z")
    assert time is not None
    assert date_of(time, SHANGHAI) == date(2022, 10, 1)
    assert date_of(time, NEW_YORK) == date(2022, 9, 30)
    assert date_of(-1, UTC_ZONE) == date(1969, 12, 31)
    first = parse_timestamp_ns("0001-01-01T00:00:00Z")
    assert first is not None
    assert date_of(first, NEW_YORK) is None
