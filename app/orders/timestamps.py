"""Moments as numbers, so that times are compared as times: nanoseconds since 1970 in UTC. Pure."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000
"""Nanoseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


def parse_timestamp_ns(text: str) -> int | None:
    """The moment `text` (RFC 3339 §5.6); None where it is none, or has more than 9 digits."""
    found = _MOMENT.fullmatch(text)
    if not found:
        return None
    date, time, fraction, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset.upper()}")
    except ValueError:
        return None
    return _since_1970(moment) + int((fraction or "0").ljust(9, "0"))


def parse_date_ns(text: str, zone: ZoneInfo) -> int | None:
    """The first moment of the date `text` in `zone`; None where it is no date."""
    if not _DATE.fullmatch(text):
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _since_1970(date.replace(tzinfo=zone))


def month_of(moment: int, zone: ZoneInfo) -> str | None:
    """The month of `moment` in `zone`, as `2022-09`; None beyond the calendar's ends."""
    try:
        there = (_EPOCH + timedelta(seconds=moment // SECOND)).astimezone(zone)
    except OverflowError:
        return None
    return f"{there.year:04d}-{there.month:02d}"


def _since_1970(moment: datetime) -> int:
    # By parts and not by difference: the offset may lead beyond the calendar's ends.
    offset = moment.utcoffset() or timedelta()
    passed = moment.replace(tzinfo=UTC) - _EPOCH - offset
    return (passed.days * 86_400 + passed.seconds) * SECOND
