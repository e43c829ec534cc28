"""The upstream's times, which may carry no zone, as RFC 3339 in UTC and as integers.

Integers and tables are used because a list has a time in each row: `datetime` and a pattern for the
whole text take three times as long.
"""

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.orders.timestamps import SECOND_NS

CACHED_DAYS = 4096
"""Days whose start, and whose offset in the zone, are known."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_REST = re.compile(r"(\.[0-9]{1,9})?(Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?")
_WITHOUT_REST = len("2022-09-25 12:34:22")
_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))
_MINUTE_TEXTS = tuple(f"{hour}:{minute}" for hour in _TWO_DIGITS[:24] for minute in _TWO_DIGITS)
_MINUTES = {f"{text}:": minute for minute, text in enumerate(_MINUTE_TEXTS)}
_SECONDS = {text: second for second, text in enumerate(_TWO_DIGITS)}
_DAY_SECONDS = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def parse_time(text: str, zone: ZoneInfo) -> tuple[str, int] | None:
    """Return a timestamp of the upstream as RFC 3339 in UTC, and in nanoseconds since 1970.

    One without an offset is in `zone`. The fraction stays as it is. It is None if the timestamp
    cannot be parsed.
    """
    # Looked up with the colon that follows, which checks that it is there.
    minute, second = _MINUTES.get(text[11:17]), _SECONDS.get(text[17:19])
    if minute is None or second is None or text[10] not in "T ":
        return None
    fraction = offset_text = None
    if len(text) > _WITHOUT_REST:
        match = _REST.fullmatch(text, _WITHOUT_REST)
        if not match:
            return None
        fraction, offset_text = match.groups()
    try:
        day_start, offset = _local_day(text[:10], zone)
        seconds = day_start + minute * 60 + second
        if offset_text:
            offset = _parse_offset(offset_text)
        elif offset is None:
            offset = _offset_at(seconds, zone)
        seconds -= offset
        days, second_of_day = divmod(seconds, _DAY_SECONDS)
        utc_day = _day_text(days)
    except (ValueError, OverflowError):
        return None
    minute, second = divmod(second_of_day, 60)
    utc = f"{utc_day}T{_MINUTE_TEXTS[minute]}:{_TWO_DIGITS[second]}"
    if fraction is None:
        return f"{utc}Z", seconds * SECOND_NS
    return f"{utc}{fraction}Z", seconds * SECOND_NS + int(fraction[1:].ljust(9, "0"))


@lru_cache(CACHED_DAYS)
def _local_day(text: str, zone: ZoneInfo) -> tuple[int, int | None]:
    """Return the seconds from 1970 to the start of a date, as if it was in UTC, and the offset.

    That is the offset of the zone in seconds during the whole local day, None if it changes.

    Raises:
        ValueError: it is not a date.
    """
    if not _DATE.fullmatch(text):
        raise ValueError("not a date")
    start = (date.fromisoformat(text).toordinal() - _EPOCH_DAY) * _DAY_SECONDS
    end = start + _DAY_SECONDS - 1
    times = (*range(start, end, _DAY_SECONDS // 4), end)
    first, *others = (_offset_at(time, zone) for time in times)
    return start, first if all(offset == first for offset in others) else None


@lru_cache(CACHED_DAYS)
def _day_text(days: int) -> str:
    """Return the date that is so many days after 1970-01-01.

    Raises:
        ValueError: the year is not between 1 and 9999.
    """
    return date.fromordinal(days + _EPOCH_DAY).isoformat()


def _parse_offset(text: str) -> int:
    """Return the seconds of an offset: `Z`, or hours and minutes after a sign."""
    if text == "Z":
        return 0
    seconds = int(text[1:3]) * 3600 + int(text[-2:]) * 60
    return -seconds if text[0] == "-" else seconds


def _offset_at(local_seconds: int, zone: ZoneInfo) -> int:
    """Return the offset of the zone in seconds at a local time, the first of two equal ones."""
    time = datetime(1970, 1, 1, tzinfo=zone) + timedelta(seconds=local_seconds)  # local arithmetic
    offset = time.utcoffset() or timedelta()
    return offset.days * _DAY_SECONDS + offset.seconds
