"""A deterministic event loop: time jumps to the next timer, and a seed decides the order of events.

It has no selector, threads or sockets, only ready callbacks and timers. When no callback is ready,
time jumps to the next timer. The order of events is drawn where it is not defined:

- Timers of the same time fire in any order, in the same iteration of the loop or in later ones.
- In an *unfair* loop ready callbacks run in any order, too. asyncio promises first in, first out
  there, so an unfair loop is harsher than any real one.
"""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

from app.clock import Clock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = 1000.0
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MAX_STEPS = 200_000


class Deadlock(Exception):
    """The main coroutine has not ended, no callback is ready and no timer is pending."""


class TooManySteps(Exception):
    """The main coroutine has not ended after `MAX_STEPS` callbacks."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The event loop of one world.

    Args:
        rng: decides the order of events where it is not defined.
        unfair: whether ready callbacks run in any order.

    Attributes:
        errors: what asyncio would have logged.
        steps: how many callbacks have run.
    """

    def __init__(self, rng: Random, *, unfair: bool) -> None:
        self._rng = rng
        self._unfair = unfair
        self._now = START
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, float, asyncio.TimerHandle]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self.errors: list[str] = []
        self.steps = 0

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: object,
    ) -> "asyncio.Task[T]":
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name or "", context=context)
        self._tasks.append(task)
        return task

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self._rng.random(), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: `_advance` skips cancelled timers."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Record what asyncio would only log."""
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the main coroutine to its end.

        Raises:
            Deadlock: it waits for something that never happens.
            TooManySteps: it does not end.
        """
        asyncio._set_running_loop(self)
        try:
            main = self.create_task(coroutine)
            self._run_until_done(main)
        finally:
            asyncio._set_running_loop(None)
        main.result()

    def pending_tasks(self) -> list["asyncio.Task[Any]"]:
        """Return the tasks that have not ended."""
        return [task for task in self._tasks if not task.done()]

    def cancel_pending_tasks(self) -> None:
        """End the tasks that have not ended, so that they do not affect the next world."""
        asyncio._set_running_loop(self)
        try:
            for task in self.pending_tasks():
                task.cancel()
            while self._ready:
                self._ready.popleft()._run()
        finally:
            asyncio._set_running_loop(None)

    def _run_until_done(self, main: "asyncio.Future[Any]") -> None:
        ready, unfair, rng = self._ready, self._unfair, self._rng
        while not main.done():
            if not ready:
                self._advance()
            if unfair and len(ready) > 1:
                ready.rotate(rng.randrange(len(ready)))
            handle = ready.popleft()
            self.steps += 1
            if not handle._cancelled:
                handle._run()
            if self.steps > MAX_STEPS:
                raise TooManySteps

    def _advance(self) -> None:
        """Jump to the time of the next timer, and make it ready."""
        timers, rng = self._timers, self._rng
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Deadlock
        self._now = max(self._now, timers[0][0])
        self._ready.append(heapq.heappop(timers)[2])
        # Of the timers of the same time, some fire in this iteration, the others in later ones.
        while timers and timers[0][0] <= self._now and rng.random() < 0.5:
            self._ready.append(heapq.heappop(timers)[2])


class SimulatedClock(Clock):
    """The time of a simulated loop."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._loop.time() - START)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, callback)
