"""Collapse concurrent calls for one key into one flight. Knows nothing of caches or HTTP.

A flight belongs to the group and not to its first caller: it runs in its own task, and a
caller who leaves ends nothing. So the request id of the caller who launched it is the one its
log lines carry; those who joined say `collapsed` in their own.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from app.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TooManyWaiters(Exception):
    """One flight has as many waiters as it may have."""


class Flight(Generic[V]):
    """One call under way, awaited by any number of callers."""

    def __init__(self, task: asyncio.Task[V], clock: Clock, max_waiters: int) -> None:
        self._task = task
        self._clock = clock
        self._max_waiters = max_waiters
        self.waiters = 0

    async def landed_within(self, seconds: float) -> bool:
        """Wait at most `seconds`; True once the flight has landed, well or not.

        Raises:
            TooManyWaiters: as many callers wait as may.
        """
        if self._task.done():
            return True
        if self.waiters >= self._max_waiters:
            raise TooManyWaiters
        self.waiters += 1
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((self._task, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waiters -= 1
            timer.cancel()
        return self._task.done()

    def failure(self) -> BaseException | None:
        """What the landed flight raised, if it raised."""
        return self._task.exception()

    def result(self) -> V:
        """What the landed flight brought, or its error raised."""
        return self._task.result()


class SingleFlight(Generic[K, V]):
    """The flights under way, at most one a key."""

    def __init__(self, clock: Clock, *, max_waiters: int = 10_000) -> None:
        self._clock = clock
        self._max_waiters = max_waiters
        self._flights: dict[K, tuple[asyncio.Task[V], Flight[V]]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def under_way(self, key: K) -> Flight[V] | None:
        """The flight to join, if there is one."""
        held = self._flights.get(key)
        return held[1] if held else None

    def launch(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> Flight[V]:
        """Start `work` for `key`, for which nothing may be under way."""
        task = asyncio.get_running_loop().create_task(work())
        flight = Flight(task, self._clock, self._max_waiters)
        self._flights[key] = (task, flight)
        task.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: K, task: asyncio.Task[V]) -> None:
        del self._flights[key]
        if not task.cancelled():
            # An error that nobody waits for any more is looked at here, or asyncio
            # reports it as never retrieved.
            task.exception()

    async def close(self, seconds: float) -> None:
        """Let every flight run out, at most `seconds`; what is still under way then is ended."""
        tasks = [task for task, _ in self._flights.values()]
        if not tasks:
            return
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        everyone = asyncio.ensure_future(asyncio.wait(tasks))
        await asyncio.wait((everyone, timer), return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        for task in tasks:
            task.cancel()
        await everyone
