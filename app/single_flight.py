"""Collapse concurrent calls for one key into one flight. Knows nothing of caches or HTTP.

A flight belongs to the group and not to its first caller: it runs in its own task, and a
caller who leaves ends nothing. So the request id of the caller who launched it is the one its
log lines carry; those who joined say `collapsed` in their own.
"""

import asyncio
import heapq
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar, copy_context
from itertools import count
from typing import Any, Generic, TypeVar

from app.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_Waiter = tuple[float, int, asyncio.Future[None]]
"""Until when one waits, his place in the queue, and what wakes him."""


Awaited = Callable[[], bool]
"""Whether anybody waits for a call, as it is now: if not, it goes after those that are."""


def always_awaited() -> bool:
    """For a call whose caller is there."""
    return True


_current_flight: ContextVar["Flight[Any] | None"] = ContextVar("current_flight", default=None)


def current_flight() -> "Flight[Any] | None":
    """Return the flight whose task calls this, or None outside any flight."""
    return _current_flight.get()


def has_waiters() -> bool:
    """Return whether anybody waits for the flight whose task calls this; True outside any flight.

    A waiter that is itself part of a flight counts while that flight has waiters.
    """
    flight = _current_flight.get()
    return flight is None or flight.has_waiters()


class TooManyWaiters(Exception):
    """One flight has as many waiters as it may have."""


class Flight(Generic[V]):
    """One call under way, awaited by any number of callers.

    Its landing wakes them all, in the order in which they came. One timer serves their patience,
    set for the first whose patience ends: a timer each would cost more than all else of a wait.
    """

    def __init__(self, task: asyncio.Task[V], clock: Clock, max_waiters: int) -> None:
        self._task = task
        self._clock = clock
        self._max_waiters = max_waiters
        self._came = count()
        self._waiting: list[_Waiter] = []
        self._timer: asyncio.Task[None] | None = None
        self._rings_at = math.inf
        self._waits: Counter[Awaited] = Counter()
        self.waiters = 0
        task.add_done_callback(self._land)

    @property
    def awaited(self) -> bool:
        """Whether anybody waits for it, or for work that does."""
        return self.has_waiters()

    def has_waiters(self) -> bool:
        """Return whether anybody waits for it, or for a flight that waits for it."""
        return any(awaited() for awaited in self._waits)

    async def landed_within(self, seconds: float, awaited: Awaited = always_awaited) -> bool:
        """Wait at most `seconds`; True once the flight has landed, well or not.

        Work behind the callers tells by `awaited` whether any of them waits for it.

        Raises:
            TooManyWaiters: as many callers wait as may.
        """
        awaited = _in_flight(awaited)
        if self._task.done():
            return True
        if self.waiters >= self._max_waiters:
            raise TooManyWaiters
        woken = asyncio.get_running_loop().create_future()
        self.waiters += 1
        self._waits[awaited] += 1
        self._forget_leavers()
        heapq.heappush(self._waiting, (self._clock.monotonic() + seconds, next(self._came), woken))
        self._set_timer()
        try:
            await woken
        finally:
            self.waiters -= 1
            self._leave(awaited)
        return self._task.done()

    async def landed(self, awaited: Awaited) -> None:
        """Wait for as long as it takes, for work behind the callers: it is none itself."""
        self._waits[awaited] += 1
        try:
            await asyncio.wait((self._task,))
        finally:
            self._leave(awaited)

    def failure(self) -> BaseException | None:
        """What the landed flight raised, if it raised."""
        return self._task.exception()

    def result(self) -> V:
        """What the landed flight brought, or its error raised."""
        return self._task.result()

    def _leave(self, awaited: Awaited) -> None:
        self._waits[awaited] -= 1
        if not self._waits[awaited]:
            del self._waits[awaited]

    def _land(self, _task: asyncio.Task[V]) -> None:
        landed, self._waiting = self._waiting, []
        for _, _, woken in sorted(landed, key=lambda waiter: waiter[1]):
            _wake(woken)
        if self._timer is not None:
            self._timer.cancel()

    def _forget_leavers(self) -> None:
        """Who left is not looked for; but however many come and leave, few are held."""
        if len(self._waiting) >= 2 * self._max_waiters:
            self._waiting = [waiter for waiter in self._waiting if not waiter[2].done()]
            heapq.heapify(self._waiting)

    def _set_timer(self) -> None:
        moment = self._waiting[0][0]
        if moment < self._rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self._rings_at = moment
            self._timer = asyncio.ensure_future(self._ring(moment))

    async def _ring(self, moment: float) -> None:
        await self._clock.sleep(max(moment - self._clock.monotonic(), 0.0))
        # What was due at `moment` is due, whatever the clock says: timers may ring a little early.
        while self._waiting and self._waiting[0][0] <= moment:
            _wake(heapq.heappop(self._waiting)[2])
        self._timer, self._rings_at = None, math.inf
        if self._waiting:
            self._set_timer()


def _in_flight(awaited: Awaited) -> Awaited:
    """Without a predicate of its own, a waiter counts while the flight that it is part of does."""
    flight = current_flight()
    return flight.has_waiters if awaited is always_awaited and flight else awaited


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


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

    def awaited(self, key: K) -> bool:
        """Whether anybody waits for the flight of `key`."""
        held = self._flights.get(key)
        return held is not None and held[1].awaited

    def launch(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> Flight[V]:
        """Start `work` for `key`, for which nothing may be under way."""
        context = copy_context()
        task = asyncio.get_running_loop().create_task(work(), context=context)
        flight = Flight(task, self._clock, self._max_waiters)
        context.run(_current_flight.set, flight)
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
