"""The names of the time zones that callers and operators may use."""

from functools import cache
from importlib import resources

_NO_ZONE = "Factory"
"""The name in the list that means that no zone is set."""


@cache
def time_zone_names() -> frozenset[str]:
    """Return the names of the IANA time zones.

    They are those of the package tzdata, where `ZoneInfo` finds what the system does not have.
    `zoneinfo.available_timezones` would also open the 600 files of the system.
    """
    names = resources.files("tzdata").joinpath("zones").read_text("utf-8").split()
    return frozenset(names) - {_NO_ZONE}
