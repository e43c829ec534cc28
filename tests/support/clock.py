"""A clock that stands still until a test winds it."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def settle() -> None:
    """Let every task that can run, run, until all wait for time or for the test."""
    for _ in range(50):
        await asyncio.sleep(0)


class ManualClock:
    """`Clock` for tests: time passes by `advance` alone, and wakes its sleepers in order."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Pass `seconds`: who sleeps until then is woken at its own moment, and may run."""
        await settle()
        until = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            moment, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, moment)
            woken.set()
            await settle()
        self._elapsed = until
        await settle()
