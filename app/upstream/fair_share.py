"""Divides the call starts between kinds of calls, so that none of them has to wait for ever.

Weighted fair queueing: each kind has a number of shares. The kind goes first that would have had
the fewest starts for its shares then; a kind that had nothing to start gains nothing by that. The
starts of one kind are divided evenly between the callers.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Protocol, TypeVar

from app.caller_shares import CallerShares, Queued


class Operation(Enum):
    """What a call is for. Operations do not affect each other: their queues, circuits, retries."""

    LIST = "list"
    """Reading the list, and whatever belongs to no other operation."""
    DETAIL = "detail"
    """Reading one order or payment, whose number a caller has chosen."""
    TOKEN = "token"  # noqa: S105  not a secret


class Turn(Enum):
    """A kind of calls that has a share, and the number of its shares.

    With the default rate, 10 background refreshes per second start whatever callers request.
    """

    LIST = 5
    DETAIL = 3
    BACKGROUND = 2


class Waiting(Queued, Protocol):
    """A call that waits for its turn."""

    @property
    def turn(self) -> Turn | None:
        """The kind whose share it takes; None if it is always the next one."""


W = TypeVar("W", bound=Waiting)


class FairShare:
    """Decides whose turn it is."""

    def __init__(self) -> None:
        self._used = dict.fromkeys(Turn, 0.0)
        self._callers = {turn: CallerShares() for turn in Turn}

    def take(self, calls: Iterable[W]) -> W | None:
        """Return the call that starts next, None if there is none."""
        waiting: dict[Turn, list[W]] = {}
        for call in calls:
            turn = call.turn
            if turn is None:
                return call
            waiting.setdefault(turn, []).append(call)
        if not waiting:
            return None
        turn = min(waiting, key=lambda one: self._used[one] + 1 / one.value)
        least = self._used[turn]
        for other, used in self._used.items():
            if other not in waiting:
                self._used[other] = max(used, least)
        self._used[turn] += 1 / turn.value
        return self._callers[turn].take(waiting[turn])
