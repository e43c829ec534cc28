"""Time as an argument: who needs it is given a clock; nobody else reads time or sets a timer."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rooms know of time."""

    def monotonic(self) -> float:
        """Seconds on a line that never jumps: for ages, deadlines and waits."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC: for what people and other systems read."""

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, 0 or more."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
