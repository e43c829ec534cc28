"""Collapses concurrent calls for one key into one flight, whose result all callers share.

A flight runs in its own task and belongs to all its waiters: a waiter that times out or is
cancelled does not end it. Its log lines carry the request id of the caller that launched it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Hashable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from app import current_caller
from app.clock import Clock
from app.current_caller import CallerKey

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_CALLERS = 16
"""Callers of one flight that are distinguished. A flight of more is soon served for one of them."""

_current_flight: ContextVar["Flight[Any] | None"] = ContextVar("current_flight", default=None)


def current_flight() -> "Flight[Any] | None":
    """Return the flight whose task calls this, or None outside any flight.

    While a flight has no waiters, its work may be postponed in favor of other work.
    """
    return _current_flight.get()


class TooManyWaiters(Exception):
    """A flight has as many waiters as it may have, or half of them are of one caller."""


class Flight(Generic[V]):
    """One call in progress, with any number of waiters.

    Attributes:
        task: runs the call and has its result. In its context, and in that of each task it starts,
            `current_flight()` is this flight.
    """

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, V]], clock: Clock, max_waiters: int
    ) -> None:
        context = copy_context()
        context.run(_current_flight.set, self)
        self.task = asyncio.get_running_loop().create_task(work(), context=context)
        self.task.add_done_callback(self._on_done, context=context)
        self._clock = clock
        self._max_waiters = max_waiters
        # A dict notifies them in arrival order.
        self._waiters: dict[asyncio.Future[None], None] = {}
        # How many of them are part of which flight, or of none and belong to which caller.
        self._waiting: Counter[Flight[Any] | CallerKey] = Counter()

    def has_waiters(self) -> bool:
        """Return whether anybody waits for it.

        A waiter that is part of a flight counts only while that flight has waiters itself.
        """
        return any(isinstance(one, tuple) or one.has_waiters() for one in self._waiting)

    def callers(self) -> Collection[CallerKey]:
        """Return the callers that wait for it, or for a flight that does: some if they are many."""
        found: dict[CallerKey, None] = {}
        for waiting in self._waiting:
            found |= dict.fromkeys((waiting,) if isinstance(waiting, tuple) else waiting.callers())
            if len(found) >= MAX_CALLERS:
                break
        return found.keys()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds, or without a limit; return whether the flight is done.

        Raises:
            TooManyWaiters: the caller is not part of a flight, and as many wait as may, or half as
                many of this caller.
        """
        if self.task.done():
            return True
        waiting = current_flight() or current_caller.current()
        if isinstance(waiting, tuple) and self._is_full(waiting):
            raise TooManyWaiters
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        self._waiting[waiting] += 1
        timer = None
        if timeout is not None:
            timer = self._clock.call_later(max(timeout, 0.0), partial(_notify, waiter))
        try:
            await waiter
        finally:
            del self._waiters[waiter]
            self._waiting[waiting] -= 1
            if not self._waiting[waiting]:
                del self._waiting[waiting]
            if timer:
                timer.cancel()
        return self.task.done()

    def _is_full(self, caller: CallerKey) -> bool:
        if len(self._waiters) >= self._max_waiters:
            return True
        return bool(caller) and self._waiting[caller] >= max(self._max_waiters // 2, 1)

    def _on_done(self, _task: asyncio.Task[V]) -> None:
        """Notify all waiters. Runs in the context of the task."""
        # The flight, its task and the context of that refer to each other in a circle. It would
        # keep the result alive, which can be a whole list, until a full garbage collection.
        _current_flight.set(None)
        for waiter in self._waiters:
            _notify(waiter)


def _notify(waiter: asyncio.Future[None]) -> None:
    # It is done already if it was notified or cancelled in this turn of the event loop.
    if not waiter.done():
        waiter.set_result(None)


class SingleFlight(Generic[K, V]):
    """The flights in progress: at most one per key, each with at most `max_waiters` waiters."""

    def __init__(self, clock: Clock, *, max_waiters: int = 10_000) -> None:
        self._clock = clock
        self._max_waiters = max_waiters
        self._flights: dict[K, Flight[V]] = {}
        self._detached: set[asyncio.Task[V]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def get(self, key: K) -> Flight[V] | None:
        """Return the flight in progress for `key`, or None."""
        return self._flights.get(key)

    def launch(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> Flight[V]:
        """Start `work` for `key`, for which no flight may be in progress."""
        flight = Flight(work, self._clock, self._max_waiters)
        self._flights[key] = flight
        flight.task.add_done_callback(partial(self._remove, key))
        return flight

    def detach_all(self) -> None:
        """Let nobody join the flights in progress any more; their waiters get their results."""
        self._detached.update(flight.task for flight in self._flights.values())
        self._flights.clear()

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the flights to end, then cancel them."""
        tasks = [*(flight.task for flight in self._flights.values()), *self._detached]
        if not tasks:
            return
        all_done = asyncio.ensure_future(asyncio.wait(tasks))
        await self._clock.finishes_within(all_done, timeout)
        for task in tasks:
            task.cancel()
        await all_done

    def _remove(self, key: K, task: asyncio.Task[V]) -> None:
        if task in self._detached:
            self._detached.remove(task)
        else:
            del self._flights[key]
        if not task.cancelled():
            # Without this asyncio logs an exception that no waiter is left to retrieve.
            task.exception()
