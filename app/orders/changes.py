"""What changed between two states of the list that were seen. Knows no HTTP and asks nobody.

A state is told by its content: each order's fingerprint, in whatever order they stand. So any
process that saw a state knows its cursor, and what came after it. Held are the present orders, and
for each step before what it replaced.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app.orders.changed import Change
from app.orders.mapping import Row
from app.orders.slices import cooperative_chunks
from app.orders.snapshot import Snapshot

MAX_STEPS = 1000
MAX_REPLACED = 100_000
"""Orders that all steps together have replaced; beyond that the oldest steps are forgotten."""

MAX_CHANGES = 5000
"""Changes in one answer; who is further behind is better served by the export."""

Replaced = dict[str, str | None]
"""Order numbers, and the fingerprint that each had before; None where there was no such order."""


class CursorExpired(Exception):
    """The state is not, or no longer, known here, or too far behind."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The way from one state to the next."""

    cursor: str
    replaced: Replaced


class History:
    """The states that were seen, bounded in number and size."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._rows: dict[str, Row] = {}
        self._steps: deque[_Step] = deque()
        self._replaced = 0
        self.cursor = ""
        self.latest: Snapshot | None = None
        """The list in its present state."""

    async def record(self, whole: Snapshot) -> None:
        """`whole` is the present state; unless its blocks disagree: then it is none."""
        before: dict[str, Row] = {}
        async with self._turn:
            if whole.inconsistent or whole is self.latest:
                return
            if self.latest and whole.generation < self.latest.generation:
                return  # A newer one was read while somebody waited for their turn with this one.
            if self.latest is None or self.latest.content is not whole.content:
                rows, cursor = await _state_of(whole.content.rows)
                if self.latest and cursor != self.cursor:
                    self._step(await _replaced(self._rows, rows))
                before, self._rows, self.cursor = self._rows, rows, cursor
            self.latest = whole
        await _let_go(before)

    def since(self, cursor: str) -> Sequence[Change]:
        """What is different from the state that `cursor` names.

        Raises:
            CursorGone: that cannot be told.
        """
        if cursor == self.cursor:
            return ()
        before: Replaced = {}
        for step in reversed(self._steps):
            # The oldest word about an order counts: what it was in the state that is asked for.
            before.update(step.replaced)
            if step.cursor == cursor:
                return self._changes(before)
        raise CursorExpired

    def _changes(self, before: Replaced) -> Sequence[Change]:
        changes = [
            change
            for order_no, rev in before.items()
            if (change := _change(order_no, rev, self._rows.get(order_no)))
        ]
        if len(changes) > MAX_CHANGES:
            raise CursorExpired
        return changes

    def _step(self, replaced: Replaced) -> None:
        self._steps.append(_Step(self.cursor, replaced))
        self._replaced += len(replaced)
        while len(self._steps) > MAX_STEPS or self._replaced > MAX_REPLACED:
            self._replaced -= len(self._steps.popleft().replaced)


def _change(order_no: str, rev: str | None, row: Row | None) -> Change | None:
    if row is None:
        return None if rev is None else Change("removed", order_no, None)
    if rev is None:
        return Change("created", order_no, row)
    return None if rev == row.rev else Change("updated", order_no, row)


async def _state_of(rows: Sequence[Row]) -> tuple[dict[str, Row], str]:
    """The orders by number, and the cursor: a sum, so that the order of them is of no matter."""
    by_order_no: dict[str, Row] = {}
    total = 0
    async for some in cooperative_chunks(rows):
        for row in some:
            if row.order_no:
                by_order_no[row.order_no] = row
                told = f"{row.order_no}\0{row.rev}".encode()
                total += int.from_bytes(hashlib.sha256(told).digest()[:16])
    return by_order_no, f"{total % 2**128:032x}"


async def _let_go(rows: dict[str, Row]) -> None:
    """Nobody else has them by now, and to free them all at once is a stall."""
    async for some in cooperative_chunks(list(rows)):
        for order_no in some:
            del rows[order_no]


async def _replaced(old: dict[str, Row], new: dict[str, Row]) -> Replaced:
    replaced: Replaced = {}
    async for some in cooperative_chunks(list(new)):
        for order_no in some:
            before = old.get(order_no)
            if before is None or before.rev != new[order_no].rev:
                replaced[order_no] = None if before is None else before.rev
    async for some in cooperative_chunks(list(old)):
        replaced.update({number: old[number].rev for number in some if number not in new})
    return replaced
