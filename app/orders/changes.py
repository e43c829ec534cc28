"""What changed between two states of the order list.

A cursor names a state by its content, so every process that has seen the state knows its cursor.
The history has the present orders and, for each earlier state, the fingerprints of the orders that
the next state replaced.

An order is removed only when two readings in a row lack it, the second of which began after the
first was complete, and neither of which contradicts itself. Additions and updates count at once, so
a list that changes faster than it can be read is followed, too. While a list contradicts itself for
good, no order is removed; when very many are missing, the history begins anew.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from app.orders.compute import cooperative_chunks, free_gradually
from app.orders.mapping import Row
from app.orders.snapshot import Snapshot

MAX_STEPS = 1000

MAX_REPLACED = 20_000
"""Replaced orders of all steps together; beyond it the oldest steps are dropped.

It bounds the work for one cursor to a few milliseconds.
"""

MAX_CHANGES = 5000
"""Changes in one response; a client that is further behind takes the export."""

MAX_MISSING = MAX_CHANGES
"""Orders that a list which contradicts itself for good may lack before all cursors expire."""

Replaced = dict[str, str | None]
"""For each order number the previous fingerprint, None if the order did not exist."""

Missing = dict[str, int | None]
"""Orders that the latest snapshot lacks, each with the number of the fetch that had started last
when a snapshot without contradictions lacked it first; None if no such snapshot has."""


class Change(NamedTuple):
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
        self._digest = 0
        self._missing: Missing = {}
        # The cursor of each earlier state, and what the next state replaced of it.
        self._steps: deque[tuple[str, Replaced]] = deque()
        self._replaced = 0
        self.latest: Snapshot | None = None

    @property
    def cursor(self) -> str:
        """The name of the present state; empty before the first."""
        return _cursor(self._digest) if self.latest else ""

    async def record(self, snapshot: Snapshot) -> bool:
        """Make the orders of `snapshot` the present state, unless there was a later one.

        Returns:
            Whether all orders that the list had before, and that `snapshot` lacks, were removed.
        """
        former: dict[str, Row] = {}
        async with self._lock:
            if self.latest is None or self.latest.completed_at <= snapshot.completed_at:
                if self.latest is None or self.latest.content is not snapshot.content:
                    former = await self._replace_rows(snapshot)
                elif self._missing and not snapshot.contradictory:
                    missing, removed = _confirm(self._missing, snapshot)
                    former = await self._replace_rows(snapshot) if removed else {}
                    self._missing = missing
                self.latest = snapshot
            is_confirmed = not self._missing
        rows = list(former.values())
        former.clear()
        await free_gradually(rows)
        return is_confirmed

    def cursor_of(self, snapshot: Snapshot) -> str:
        """Return the cursor of exactly the orders of `snapshot`; empty if it is not the present."""
        is_present = self.latest is not None and self.latest.content is snapshot.content
        return self.cursor if is_present and not self._missing else ""

    def since(self, cursor: str) -> Sequence[Change]:
        """Return the differences between the state named `cursor` and the present one.

        Raises:
            CursorExpired: the cursor is unknown, or there are more than `MAX_CHANGES`.
        """
        if cursor == self.cursor:
            return ()
        previous = self._replaced_since(cursor)
        rows = ((order_no, rev, self._rows.get(order_no)) for order_no, rev in previous.items())
        # Without a call per order: there are up to `MAX_REPLACED`.
        changed = [one for one in rows if one[1] != (one[2] and one[2].rev)]
        if len(changed) > MAX_CHANGES:
            self._forget(cursor)
            raise CursorExpired
        return [Change(_change(rev, row), order_no, row) for order_no, rev, row in changed]

    async def learn(self, cursor: str | None) -> None:
        """Find out about a state that only other processes have seen, if there are any."""

    def cursor_after(self, cursor: str | None) -> str:  # noqa: ARG002  all states are known
        """Return the name of the present state, or of one that is later and that a caller knows."""
        return self.cursor

    def _knows(self, cursor: str) -> bool:
        return cursor == self.cursor or any(cursor == each for each, _ in self._steps)

    def _replaced_since(self, cursor: str) -> Replaced:
        """Return what was replaced of the state named `cursor`, nothing of the present one."""
        previous: Replaced = {}
        if cursor == self.cursor:
            return previous
        # The oldest step wins: it has the fingerprint that the order had in that state.
        for _, replaced in islice(reversed(self._steps), self._steps_since(cursor)):
            previous.update(replaced)
        return previous

    def _forget(self, cursor: str) -> None:
        """Let the cursor, and all earlier ones, expire."""
        self._drop_steps(self._steps_since(cursor) - 1)

    def _steps_since(self, cursor: str) -> int:
        """Return the number of steps since the list was last in that state."""
        for steps, (step_cursor, _) in enumerate(reversed(self._steps), 1):
            if step_cursor == cursor:
                return steps
        raise CursorExpired

    async def _replace_rows(self, snapshot: Snapshot) -> dict[str, Row]:
        """Make the orders of `snapshot`, and those that may be missing, the present state.

        Returns the orders of the former state.
        """
        former, rows = self._rows, await _by_order_no(snapshot.content.rows)
        replaced = await _replaced(former, rows)
        missing: Missing = {}
        async for chunk in cooperative_chunks(list(former)):
            for order_no in chunk:
                if order_no not in rows:
                    missing[order_no] = self._missing.get(order_no)
                    rows[order_no] = former[order_no]
        if not snapshot.contradictory:
            missing, removed = _confirm(missing, snapshot)
            for order_no in removed:
                replaced[order_no] = rows.pop(order_no).rev
        elif snapshot.content.keeps_duplicates and len(missing) > MAX_MISSING:
            return await self._begin_anew(snapshot)
        digest = await _digest_after(self._digest, replaced, rows)
        if self.latest and replaced:
            self._add_step(_cursor(digest), replaced)
        self._rows, self._digest, self._missing = rows, digest, missing
        return former

    def _add_step(self, cursor: str, replaced: Replaced) -> None:
        """Record that the present state becomes that named `cursor`."""
        del cursor
        self._steps.append((self.cursor, replaced))
        self._replaced += len(replaced)
        self._drop_steps(MAX_STEPS)

    async def _begin_anew(self, snapshot: Snapshot) -> dict[str, Row]:
        """Forget all earlier states and missing orders; return the orders of the former state.

        Cursors of earlier states expire: from them, an order that is only missing from the list
        would be reported as removed.
        """
        former, rows = self._rows, await _by_order_no(snapshot.content.rows)
        digest = await _digest_after(0, dict.fromkeys(rows), rows)
        self._rows, self._digest, self._missing = rows, digest, {}
        self._steps.clear()
        self._replaced = 0
        return former

    def _drop_steps(self, max_steps: int) -> None:
        while len(self._steps) > max_steps or self._replaced > MAX_REPLACED:
            self._replaced -= len(self._steps.popleft()[1])


def _cursor(digest: int) -> str:
    return f"{digest:032x}"


def _confirm(missing: Missing, snapshot: Snapshot) -> tuple[Missing, list[str]]:
    """Return the orders that are still missing, and those that were removed.

    `snapshot` lacks all of them. An order was removed if every block was requested after an earlier
    snapshot that lacked it was complete.
    """
    first = min(entry.sequence for entry in snapshot.blocks)
    still_missing: Missing = {}
    removed: list[str] = []
    for order_no, noticed in missing.items():
        if noticed is not None and first > noticed:
            removed.append(order_no)
        else:
            still_missing[order_no] = snapshot.completed_at if noticed is None else noticed
    return still_missing, removed


def _change(rev: str | None, row: Row | None) -> str:
    """Return what happened to an order with the former fingerprint `rev` that is `row` now."""
    if row is None:
        return "removed"
    return "created" if rev is None else "updated"


async def _by_order_no(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the rows by order number, the first one of each."""
    by_order_no: dict[str, Row] = {}
    async for chunk in cooperative_chunks(rows):
        for row in chunk:
            if row.order_no:
                by_order_no.setdefault(row.order_no, row)
    return by_order_no


async def _replaced(old: dict[str, Row], new: dict[str, Row]) -> Replaced:
    """Return the former fingerprints of the orders of `new` that are not the same in `old`."""
    replaced: Replaced = {}
    async for chunk in cooperative_chunks(list(new)):
        for order_no in chunk:
            row = old.get(order_no)
            if row is None or row.rev != new[order_no].rev:
                replaced[order_no] = None if row is None else row.rev
    return replaced


async def _digest_after(digest: int, replaced: Replaced, rows: dict[str, Row]) -> int:
    """Return the digest of a state, given that of the state before and what was replaced of it.

    It is the sum of a hash per order, so it does not depend on their order in the list.
    """
    async for chunk in cooperative_chunks(replaced.items()):
        for order_no, rev in chunk:
            row = rows.get(order_no)
            digest += _hash(order_no, row.rev) if row else 0
            digest -= 0 if rev is None else _hash(order_no, rev)
    return digest % 2**128


def _hash(order_no: str, rev: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{order_no}\0{rev}".encode()).digest()[:16])
