"""Times as integers, nanoseconds since 1970 in UTC, so that they compare as times."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND_NS = 1_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


def parse_timestamp_ns(text: str) -> int | None:
    """Return the time of an RFC 3339 timestamp (section 5.6), None if it is none.

    A fraction of more than 9 digits is not accepted.
    """
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return None
    day, time, fraction, offset = match.groups()
    try:
        timestamp = datetime.fromisoformat(f"{day}T{time}{offset.upper()}")
    except ValueError:
        return None
    return _seconds_since_1970(timestamp) * SECOND_NS + int((fraction or "0").ljust(9, "0"))


def parse_date_ns(text: str, zone: ZoneInfo) -> int | None:
    """Return the midnight at which the date `text` begins in `zone`, None if it is no date."""
    if not _DATE.fullmatch(text):
        return None
    try:
        midnight = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _seconds_since_1970(midnight.replace(tzinfo=zone)) * SECOND_NS


def date_of(time_ns: int, zone: ZoneInfo) -> date | None:
    """Return the day of a time in `zone`, None if `datetime` cannot express it."""
    try:
        return (_EPOCH + timedelta(seconds=time_ns // SECOND_NS)).astimezone(zone).date()
    except OverflowError:
        return None


def _seconds_since_1970(time: datetime) -> int:
    # The offset is subtracted separately: near year 1 or 9999 the UTC time may not be a datetime.
    offset = time.utcoffset() or timedelta()
    elapsed = time.replace(tzinfo=UTC) - _EPOCH - offset
    return elapsed.days * 86_400 + elapsed.seconds
