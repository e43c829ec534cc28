"""An event loop without a machine below: time jumps, and a seed decides what may be in any order.

No selector, no thread, no socket: all there is are callbacks that are ready and timers that are
not yet due. When nothing is ready, time jumps to the next timer. Freedoms that a real loop has are
drawn from the seed:

- timers of one moment go off in any order, together or one after the other;
- in an *unfair* loop even what is ready runs in any order. asyncio promises first come first
  served there, so an unfair loop is harsher than any real one.
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
MOST_STEPS = 200_000


class Stuck(Exception):
    """Nothing is ready and nothing will be due: somebody waits for ever."""


class Endless(Exception):
    """The world does not come to an end."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """A loop for one world.

    Args:
        rng: decides every order that is free.
        unfair: whether what is ready runs in any order.
    """

    def __init__(self, rng: Random, *, unfair: bool) -> None:
        self._rng = rng
        self._unfair = unfair
        self._now = START
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, float, asyncio.TimerHandle]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self.complaints: list[str] = []
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
        """A cancelled timer stays where it is until its time has come."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What asyncio would only log is a fault here."""
        error = context.get("exception")
        self.complaints.append(f"{context.get('message')}: {error!r}")

    def live(self, world: Coroutine[Any, Any, None]) -> None:
        """Run `world` to its end.

        Raises:
            Stuck: it waits for what never comes.
            Endless: it never ends.
        """
        asyncio._set_running_loop(self)
        try:
            main = self.create_task(world)
            self._run(main)
        finally:
            asyncio._set_running_loop(None)
        main.result()

    def _run(self, main: "asyncio.Future[Any]") -> None:
        ready, unfair, rng = self._ready, self._unfair, self._rng
        while not main.done():
            if not ready:
                self._jump()
            if unfair and len(ready) > 1:
                ready.rotate(rng.randrange(len(ready)))
            handle = ready.popleft()
            self.steps += 1
            if not handle._cancelled:
                handle._run()
            if self.steps > MOST_STEPS:
                raise Endless

    def _jump(self) -> None:
        """To the next moment at which a timer is due."""
        timers, rng = self._timers, self._rng
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck
        self._now = max(self._now, timers[0][0])
        self._ready.append(heapq.heappop(timers)[2])
        # Of the same moment, some go off in the same turn of the loop, the rest in the next.
        while timers and timers[0][0] <= self._now and rng.random() < 0.5:
            self._ready.append(heapq.heappop(timers)[2])

    def bury(self) -> None:
        """End what has not ended, so that nothing of this world shows in the next."""
        asyncio._set_running_loop(self)
        try:
            for task in self.left_over():
                task.cancel()
            while self._ready:
                self._ready.popleft()._run()
        finally:
            asyncio._set_running_loop(None)

    def left_over(self) -> list["asyncio.Task[Any]"]:
        """The tasks that have not ended."""
        return [task for task in self._tasks if not task.done()]


class SimulatedClock(Clock):
    """`Clock` of one world: the time of its loop."""

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
