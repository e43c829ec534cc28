"""What changed between two states of the order list.

A cursor names a state by its content, so every process that has seen the state knows its cursor.
The history has the present orders and, for each earlier state, the fingerprints of the orders that
the next state replaced.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app.orders.compute import cooperative_chunks
from app.orders.mapping import Row
from app.orders.snapshot import Snapshot

MAX_STEPS = 1000

MAX_REPLACED = 100_000
"""Replaced orders of all steps together; beyond it the oldest steps are dropped."""

MAX_CHANGES = 5000
"""Changes in one response; a client that is further behind takes the export."""

Replaced = dict[str, str | None]
"""For each order number the previous fingerprint, None if the order did not exist."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one order: `created`, `updated` or `removed`, and its present row."""

    change: str
    order_no: str
    row: Row | None


class CursorExpired(Exception):
    """The cursor is unknown, or too much has changed since."""


class History:
    """The states of the list that this process has seen, bounded in number and size.

    `cursor` names the present state, and is empty before the first; `latest` is its last snapshot.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._rows: dict[str, Row] = {}
        # The cursor of each earlier state, and what the next state replaced of it.
        self._steps: deque[tuple[str, Replaced]] = deque()
        self._replaced = 0
        self.cursor = ""
        self.latest: Snapshot | None = None

    async def record(self, snapshot: Snapshot) -> None:
        """Make `snapshot` the present state, unless it is inconsistent or outdated."""
        previous: dict[str, Row] = {}
        async with self._lock:
            if snapshot.inconsistent or snapshot is self.latest:
                return
            if self.latest and snapshot.generation < self.latest.generation:
                return  # A newer one was recorded while this one waited for the lock.
            if self.latest is None or self.latest.content is not snapshot.content:
                rows, cursor = await _index(snapshot.content.rows)
                if self.latest and cursor != self.cursor:
                    self._add_step(await _replaced(self._rows, rows))
                previous, self._rows, self.cursor = self._rows, rows, cursor
            self.latest = snapshot
        await _free_gradually(previous)

    def since(self, cursor: str) -> Sequence[Change]:
        """Return the differences between the state named `cursor` and the present one.

        Raises:
            CursorExpired: the cursor is unknown, or there are more than `MAX_CHANGES`.
        """
        if cursor == self.cursor:
            return ()
        previous: Replaced = {}
        for step_cursor, replaced in reversed(self._steps):
            # The oldest step wins: it has the fingerprint that the order had in that state.
            previous.update(replaced)
            if step_cursor == cursor:
                break
        else:
            raise CursorExpired
        changes = [
            change
            for order_no, rev in previous.items()
            if (change := _change(order_no, rev, self._rows.get(order_no)))
        ]
        if len(changes) > MAX_CHANGES:
            raise CursorExpired
        return changes

    def _add_step(self, replaced: Replaced) -> None:
        self._steps.append((self.cursor, replaced))
        self._replaced += len(replaced)
        while len(self._steps) > MAX_STEPS or self._replaced > MAX_REPLACED:
            self._replaced -= len(self._steps.popleft()[1])


def _change(order_no: str, rev: str | None, row: Row | None) -> Change | None:
    """Return how an order with the former fingerprint `rev` became `row`."""
    if row is None:
        return None if rev is None else Change("removed", order_no, None)
    if rev is None:
        return Change("created", order_no, row)
    return None if rev == row.rev else Change("updated", order_no, row)


async def _index(rows: Sequence[Row]) -> tuple[dict[str, Row], str]:
    """Return the rows by order number, and the cursor of this state.

    The cursor is the sum of a hash per order, so it does not depend on their order in the list.
    """
    by_order_no: dict[str, Row] = {}
    total = 0
    async for chunk in cooperative_chunks(rows):
        for row in chunk:
            if row.order_no:
                by_order_no[row.order_no] = row
                digest = hashlib.sha256(f"{row.order_no}\0{row.rev}".encode()).digest()
                total += int.from_bytes(digest[:16])
    return by_order_no, f"{total % 2**128:032x}"


async def _replaced(old: dict[str, Row], new: dict[str, Row]) -> Replaced:
    """Return the former fingerprints of all orders that differ between `old` and `new`."""
    replaced: Replaced = {}
    async for chunk in cooperative_chunks(list(new)):
        for order_no in chunk:
            row = old.get(order_no)
            if row is None or row.rev != new[order_no].rev:
                replaced[order_no] = None if row is None else row.rev
    async for chunk in cooperative_chunks(list(old)):
        replaced.update({number: old[number].rev for number in chunk if number not in new})
    return replaced


async def _free_gradually(rows: dict[str, Row]) -> None:
    """Delete rows that nothing else refers to; freeing them all at once stalls the event loop."""
    async for chunk in cooperative_chunks(list(rows)):
        for order_no in chunk:
            del rows[order_no]
