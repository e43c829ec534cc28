"""The names of the time zones that callers and operators may use."""

from functools import cache
from zoneinfo import available_timezones

_NO_ZONES = {"Factory", "localtime"}
"""Files beside the zones: one for a clock that is not set, and one that depends on the machine."""


@cache
def time_zone_names() -> frozenset[str]:
    """Return the names of the IANA time zones.

    The first call reads some 600 files (0.1 s), so it must not be on the event loop.
    """
    return frozenset(available_timezones() - _NO_ZONES)
