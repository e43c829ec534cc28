"""Names of variables that are no setting: what to report about them."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from app.settings.errors import PREFIX

RENAMED = {
    "ORDERS_CACHE__GRACE": "ORDERS_CACHE__STALE_WHILE_REVALIDATE",
    "ORDERS_CACHE__KEEP": "ORDERS_CACHE__STALE_IF_ERROR",
    "ORDERS_CACHE__MIN_AGE": "ORDERS_CACHE__NO_CACHE_MIN_AGE",
    "ORDERS_CACHE__WAIT": "ORDERS_CACHE__MAX_STALE_WAIT",
    "ORDERS_SERVER__DRAIN": "ORDERS_SERVER__DRAIN_TIMEOUT",
    "ORDERS_SERVER__KEEP_ALIVE": "ORDERS_SERVER__KEEP_ALIVE_TIMEOUT",
    "ORDERS_UPSTREAM__SWEEP_RATE": "ORDERS_UPSTREAM__REFRESH_RATE",
}
"""Old names of settings, each with the new one. An old name is an error."""


class Names:
    """The names of all settings and of their groups.

    Args:
        settings: the variables, as `ORDERS_CACHE__TTL`.
        groups: their prefixes, as `ORDERS_CACHE__`.
    """

    def __init__(self, settings: Collection[str], groups: Collection[str]) -> None:
        self._settings = settings
        self._groups = tuple(groups)

    def is_setting(self, name: str) -> bool:
        return name in self._settings

    def is_in_group(self, name: str) -> bool:
        """Return whether `name` is meant to be in a group of settings, in whatever case."""
        return name.upper().startswith(self._groups)

    def is_ours(self, name: str) -> bool:
        """Return whether `name` starts with the prefix of all settings, in whatever case."""
        return name.upper().startswith(PREFIX)

    def resembles_setting(self, name: str) -> bool:
        """Return whether `name` lacks the prefix, but is a setting otherwise."""
        if "__" not in name or self.is_ours(name):
            return False
        near = get_close_matches(name.upper(), self._settings, 1, cutoff=0.9)
        return bool(near) or PREFIX + name.upper() in self._settings

    def describe(self, name: str) -> str:
        """Return what is wrong with a name that is no setting, and the nearest one."""
        if name in RENAMED:
            return f"has been renamed to {RENAMED[name]}"
        nearest = next(self._nearest(name.upper()), "")
        return "is not a setting" + (f"; did you mean {nearest}?" if nearest else "")

    def _nearest(self, name: str) -> Iterator[str]:
        if PREFIX + name in self._settings:
            yield PREFIX + name
        group, separator, _ = name.partition("__")
        is_in_group = self.is_in_group(name)
        if is_in_group:
            yield from self._nearest_in_group(name, group + separator)
        else:
            yield from get_close_matches(name, self._settings, 1, cutoff=0.85)
        tail = name.removeprefix(PREFIX)
        same_tail = [each for each in self._settings if each.rpartition("__")[2] == tail]
        yield from get_close_matches(name, same_tail, 1, cutoff=0.0)
        if separator and not is_in_group:
            groups = get_close_matches(group + separator, self._groups, 1, cutoff=0.8)
            yield from (f"{each}…" for each in groups)
        if not is_in_group:
            yield from get_close_matches(name, self._settings, 1, cutoff=0.8)

    def _nearest_in_group(self, name: str, group: str) -> Iterator[str]:
        """Yield the most similar setting of a group, whose name alone makes all similar."""
        tails = [each.removeprefix(group) for each in self._settings if each.startswith(group)]
        found = get_close_matches(name.removeprefix(group), tails, 1, cutoff=0.65)
        yield from (group + each for each in found)
