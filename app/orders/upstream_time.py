"""The upstream's times, which may carry no zone, as RFC 3339 in UTC and as integers.

Integers are used because a list has a time in each row: `datetime` takes three times as long.
"""

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.orders.timestamps import SECOND_NS

CACHED_DAYS = 4096
"""Days whose start, and whose offset in the zone, are known."""

_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]"
    r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(\.[0-9]{1,9})?"
    r"(Z|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))?"
)
_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))
_NUMBERS = {text: number for number, text in enumerate(_TWO_DIGITS)}
_DAY_SECONDS = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def parse_time(text: str, zone: ZoneInfo) -> tuple[str, int] | None:
    """Return a timestamp of the upstream as RFC 3339 in UTC, and in nanoseconds since 1970.

    One without an offset is in `zone`. The fraction stays as it is. It is None if the timestamp
    cannot be parsed.
    """
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return None
    day, hour, minute, second, fraction, offset, sign, hours, minutes = match.groups()
    try:
        day_start = _day_start(day)
        seconds = day_start + _NUMBERS[hour] * 3600 + _NUMBERS[minute] * 60 + _NUMBERS[second]
        if offset is None:
            day_offset = _day_offset(day_start, zone)
            seconds -= _offset_at(seconds, zone) if day_offset is None else day_offset
        elif sign:
            seconds -= (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1)
        days, seconds_of_day = divmod(seconds, _DAY_SECONDS)
        utc_day = _day_text(days)
    except (ValueError, OverflowError):
        return None
    minutes_of_day = seconds_of_day // 60
    utc = (
        f"{utc_day}T{_TWO_DIGITS[minutes_of_day // 60]}:{_TWO_DIGITS[minutes_of_day % 60]}"
        f":{_TWO_DIGITS[seconds_of_day % 60]}"
    )
    if fraction is None:
        return f"{utc}Z", seconds * SECOND_NS
    return f"{utc}{fraction}Z", seconds * SECOND_NS + int(fraction[1:].ljust(9, "0"))


@lru_cache(CACHED_DAYS)
def _day_start(text: str) -> int:
    """Return the seconds from 1970 to the start of a date, as if it was in UTC.

    Raises:
        ValueError: it is not a date.
    """
    return (date.fromisoformat(text).toordinal() - _EPOCH_DAY) * _DAY_SECONDS


@lru_cache(CACHED_DAYS)
def _day_text(days: int) -> str:
    """Return the date that is so many days after 1970-01-01.

    Raises:
        ValueError: the year is not between 1 and 9999.
    """
    return date.fromordinal(days + _EPOCH_DAY).isoformat()


@lru_cache(CACHED_DAYS)
def _day_offset(day_start: int, zone: ZoneInfo) -> int | None:
    """Return the offset of the zone in seconds during a whole local day; None if it changes."""
    end = day_start + _DAY_SECONDS - 1
    times = (*range(day_start, end, _DAY_SECONDS // 4), end)
    first, *others = (_offset_at(time, zone) for time in times)
    return first if all(offset == first for offset in others) else None


def _offset_at(local_seconds: int, zone: ZoneInfo) -> int:
    """Return the offset of the zone in seconds at a local time, the first of two equal ones.

    Raises:
        OverflowError: `datetime` cannot express the time.
    """
    time = datetime(1970, 1, 1, tzinfo=zone) + timedelta(seconds=local_seconds)  # local arithmetic
    offset = time.utcoffset() or timedelta()
    return offset.days * _DAY_SECONDS + offset.seconds
