"""Divides the turns of one queue evenly between callers, however many entries each has in it.

An entry may belong to several callers: it gets its turn when any of them does, and counts for each
of them in part. A caller with nothing in the queue is forgotten: it collects no credit, and starts
level with the caller that has had the fewest turns.
"""

from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from app.current_caller import CallerKey


class Queued(Protocol):
    """An entry of the queue."""

    @property
    def callers(self) -> Collection[CallerKey]:
        """Those that it belongs to, at least one."""


Q = TypeVar("Q", bound=Queued)


class CallerShares:
    """Decides which entry of one queue is the next."""

    def __init__(self) -> None:
        self._turns: dict[CallerKey, float] = {}

    def take(self, queue: Iterable[Q]) -> Q:
        """Return the next entry of a queue that is not empty; of one caller the first one."""
        first: dict[CallerKey, Q] = {}
        for entry in queue:
            for caller in entry.callers:
                first.setdefault(caller, entry)
        least = min((turns for caller, turns in self._turns.items() if caller in first), default=0)
        self._turns = {caller: self._turns.get(caller, least) for caller in first}
        # Of callers that are level the one that has waited longest.
        entry = first[min(first, key=self._turns.__getitem__)]
        for caller in entry.callers:
            self._turns[caller] += 1 / len(entry.callers)
        return entry
