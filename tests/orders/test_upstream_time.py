"""Times of the upstream are read as `datetime` reads them, in any zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.timestamps import SECOND_NS
from app.orders.upstream_time import parse_time

ZONES = [
    ZoneInfo(name)
    for name in (
        "Asia/Shanghai",
        "America/New_York",
        "Australia/Lord_Howe",  # daylight saving time of half an hour
        "Africa/Monrovia",  # an offset with seconds until 1972
        "Pacific/Apia",  # without 2011-12-30
    )
]


def read(text: str, zone: ZoneInfo) -> tuple[str, int] | None:
    try:
        time = datetime.fromisoformat(text)
        utc = (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    elapsed = utc - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = elapsed.days * 86_400 + elapsed.seconds
    return utc.isoformat()[:19] + "Z", seconds * SECOND_NS


@given(st.datetimes(), st.sampled_from(ZONES), st.sampled_from(["", "Z", "+02:00", "-23:59"]))
def test_a_time_is_converted_to_utc(time: datetime, zone: ZoneInfo, offset: str):
    text = time.isoformat(timespec="seconds") + offset
    assert parse_time(text, zone) == read(text, zone)


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize(
    "day", ["2022-11-06", "2022-03-13", "2022-04-03", "1972-01-07", "2011-12-30", "1900-12-31"]
)
def test_each_half_hour_of_a_day_on_which_clocks_change_is_converted_to_utc(
    zone: ZoneInfo, day: str
):
    for hour in range(24):
        for minute in (0, 30, 59):
            text = f"{day} {hour:02}:{minute:02}:01"
            assert parse_time(text, zone) == read(text, zone)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01 00:00:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2022-02-29 00:00:00",
        "0000-01-01 00:00:00",
        "2022-09-25 24:00:00",
        "2022-09-25 00:60:00",
        "2022-09-25T00:00:00+24:00",
        "2022-09-25T00:00:00+0:00",
        "2022-09-25 00:00",
        "2022-09-25_00:00:00",
        "2022-09-25 00:00-00",
        "2022-09-25 00:00:00 ",
        "2022-W38-7 00:00:00",
        "٢٠٢٢-09-25 00:00:00",
        "x",
    ],
)
def test_what_is_no_time_or_before_the_year_1_or_after_9999_is_not_read(text: str):
    assert parse_time(text, ZoneInfo("Asia/Shanghai")) is None
