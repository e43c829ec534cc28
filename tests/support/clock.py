"""A clock that stands still until a test advances it."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from app.clock import Clock

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def settle() -> None:
    """Let every task that can run, run, until all wait for time or for the test."""
    for _ in range(50):
        await asyncio.sleep(0)


@dataclass(order=True, slots=True)
class _Timer:
    at: float
    sequence: int
    callback: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class ManualClock(Clock):
    """A `Clock` on which time passes only by `advance`, which runs the due timers in order.

    Attributes:
        wall_offset: by how much the wall clock was set, or went on while the machine was suspended.
    """

    def __init__(self) -> None:
        self.wall_offset = timedelta()
        self._elapsed = 0.0
        self._sequence = count()
        self._timers: list[_Timer] = []

    @property
    def pending_timers(self) -> int:
        """How many timers are scheduled and not cancelled."""
        return sum(not timer.cancelled for timer in self._timers)

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._elapsed) + self.wall_offset

    async def sleep(self, seconds: float) -> None:
        done = asyncio.Event()
        timer = self.call_later(seconds, done.set)
        try:
            await done.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Timer:
        timer = _Timer(self._elapsed + seconds, next(self._sequence), callback)
        heapq.heappush(self._timers, timer)
        return timer

    async def advance(self, seconds: float) -> None:
        """Pass `seconds`; each timer due by then runs at its own time, and what it wakes runs."""
        await settle()
        until = self._elapsed + seconds
        while self._timers and self._timers[0].at <= until:
            timer = heapq.heappop(self._timers)
            if timer.cancelled:
                continue
            self._elapsed = max(self._elapsed, timer.at)
            timer.callback()
            await settle()
        self._elapsed = until
        await settle()
