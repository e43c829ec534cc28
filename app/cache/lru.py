"""A store with a bounded number and size of values; it evicts the least recently used."""

import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Usage:
    """How much is stored, and how much can be."""

    entries: int
    max_entries: int
    bytes: int
    max_bytes: int


class LruStore(Generic[K, V]):
    """Values by key.

    Args:
        max_entries: the number of values.
        max_bytes: their total size. A larger value is not stored.
        size_of: returns the size of a value in bytes. Without it only the number is bounded.
    """

    def __init__(
        self,
        *,
        max_entries: int,
        max_bytes: int = sys.maxsize,
        size_of: Callable[[V], int] | None = None,
    ) -> None:
        self._max_entries = max_entries
        self._values: LRUCache[K, V] = LRUCache(max_bytes, getsizeof=size_of)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def size(self) -> int:
        """The total size of the values in bytes, or their number without `size_of`."""
        return int(self._values.currsize)

    @property
    def usage(self) -> Usage:
        """How much is stored, and how much can be."""
        return Usage(len(self), self._max_entries, self.size, int(self._values.maxsize))

    def get(self, key: K) -> V | None:
        """Return the value, which counts as a use of it, or None."""
        try:
            return self._values[key]
        except KeyError:
            return None

    def put(self, key: K, value: V) -> None:
        """Store `value` in place of what is stored for `key`."""
        try:
            self._values[key] = value
        except ValueError:  # larger than max_bytes
            self._values.pop(key, None)
        while len(self._values) > self._max_entries:
            self._values.popitem()

    def remove(self, key: K) -> None:
        """Remove what is stored for `key`, if anything."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Remove all values."""
        self._values.clear()

    def items(self) -> list[tuple[K, V]]:
        """Return all keys and values, which does not count as a use of them."""
        # LRUCache.items() reads each value by its key, which would count as a use.
        values = self._values
        return [(key, Cache.__getitem__(values, key)) for key in values]
