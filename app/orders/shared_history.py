"""A history whose steps are shared with other processes, so that each of them answers any cursor.

A process that has not seen the state of a cursor looks for steps of others that lead from there to
a state that it has seen.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from app.cache.lru import LruStore
from app.cache.pool_space import PoolSpace
from app.cache.store import Step
from app.cache.store_access import MISS_BUDGET, StoreAccess, StoreUnavailable
from app.clock import Clock
from app.orders.changes import MAX_CHANGES, History, Replaced
from app.single_flight import SingleFlight

MAX_LEARNED = 100
"""Cursors of other processes that are remembered."""

READ_SECONDS = 0.25
"""The steps of others are read at most once in this time, whatever cursors are requested."""

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(dict[str, str | None]).decode


class SharedHistory(History):
    """A `History` in a shared store. Without the store it is that of this process.

    `lifetime` is for how many seconds a step is stored.
    """

    def __init__(
        self, access: StoreAccess, space: PoolSpace, clock: Clock, *, lifetime: float
    ) -> None:
        super().__init__()
        self._access = access
        self._space = space
        self._clock = clock
        self._lifetime = lifetime
        self._reads: SingleFlight[None, None] = SingleFlight(clock)
        self._read_at = clock.monotonic() - READ_SECONDS
        self._stored: Sequence[Step] = ()
        # For a state of another process: a state of this one, and what it replaced of the former.
        self._learned: LruStore[str, tuple[str, Replaced]] = LruStore(max_entries=MAX_LEARNED)
        # For a state that another process has seen after this one's: the state of this one.
        self._later: LruStore[str, str] = LruStore(max_entries=MAX_LEARNED)

    async def learn(self, cursor: str | None) -> None:
        """Find out how the state named `cursor` became one that this process has seen."""
        if cursor is None or self._knows(cursor):
            return
        if self._clock.monotonic() - self._read_at >= READ_SECONDS:
            flight = self._reads.get(None) or self._reads.launch(None, self._read)
            await flight.wait()
        if path := _path(self._stored, cursor, self._knows):
            replaced: Replaced = {}
            try:
                for step in reversed(path):
                    replaced.update(_decode(step.data))
            except msgspec.MsgspecError:
                self._access.store.on_unreadable("history")
            else:
                self._learned.put(cursor, (path[-1].after, replaced))
        elif _path(self._stored, self.cursor, lambda state: state == cursor):
            self._later.put(cursor, self.cursor)

    def cursor_after(self, cursor: str | None) -> str:
        if cursor is not None and self._later.get(cursor) == self.cursor:
            return cursor  # this process has yet to see what the caller knows
        return self.cursor

    def _replaced_since(self, cursor: str) -> Replaced:
        learned = self._learned.get(cursor)
        if learned is None or super()._knows(cursor):
            return super()._replaced_since(cursor)
        state, replaced = learned
        return super()._replaced_since(state) | replaced

    def _add_step(self, cursor: str, replaced: Replaced) -> None:
        before = self.cursor
        super()._add_step(cursor, replaced)
        space = self._space.known
        if space and len(replaced) <= MAX_CHANGES:
            step = Step(before, cursor, _encode(replaced))
            add = self._access.store.add_step
            self._access.start(partial(add, space, step, lifetime=self._lifetime))

    def _forget(self, cursor: str) -> None:
        if super()._knows(cursor):
            super()._forget(cursor)
        self._learned.remove(cursor)

    def _knows(self, cursor: str) -> bool:
        return super()._knows(cursor) or self._learned.get(cursor) is not None

    async def _read(self) -> None:
        try:
            space = await self._space.find()
            read = partial(self._access.store.steps, space)
            self._stored = await self._access.run(read, caller_budget=MISS_BUDGET)
        except StoreUnavailable:
            return
        self._read_at = self._clock.monotonic()


def _path(steps: Sequence[Step], start: str, is_end: Callable[[str], bool]) -> Sequence[Step]:
    """Return the fewest steps from `start` to a state for which `is_end` holds; none if none do."""
    following: dict[str, list[Step]] = {}
    for step in steps:
        following.setdefault(step.before, []).append(step)
    paths: deque[tuple[Step, ...]] = deque([()])
    seen = {start}
    while paths:
        path = paths.popleft()
        state = path[-1].after if path else start
        if path and is_end(state):
            return path
        for step in following.get(state, ()):
            if step.after not in seen:
                seen.add(step.after)
                paths.append((*path, step))
    return ()
