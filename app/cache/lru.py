"""A store bounded in number and weight; what was used least lately goes first."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruStore(Generic[K, V]):
    """Values by key.

    Args:
        max_entries: how many are held.
        max_bytes: how much they may weigh together; one that is heavier alone is not held.
        weigh: a value's weight in bytes.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, size_of: Callable[[V], int]) -> None:
        self._max_entries = max_entries
        self._values: LRUCache[K, V] = LRUCache(max_bytes, getsizeof=size_of)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value, which counts as used now."""
        try:
            return self._values[key]
        except KeyError:
            return None

    def put(self, key: K, value: V) -> None:
        """Hold `value`, in place of what was held."""
        try:
            self._values[key] = value
        except ValueError:
            self._values.pop(key, None)
        while len(self._values) > self._max_entries:
            self._values.popitem()

    def remove(self, key: K) -> None:
        """Hold nothing for `key`."""
        self._values.pop(key, None)

    def items(self) -> list[tuple[K, V]]:
        """All that is held, none counted as used."""
        # Not by `items()`: it reads each of them, and all would count as used in this order.
        values = self._values
        return [(key, Cache.__getitem__(values, key)) for key in values]
