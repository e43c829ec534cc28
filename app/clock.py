"""Time as an argument: code that needs time is given a clock; only this module reads the machine's.

Tests pass a clock that stands still until they advance it, so no test sleeps.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol


class TimerHandle(Protocol):
    """A callback that has been scheduled, as of `asyncio.loop.call_later`."""

    def cancel(self) -> None:
        """Cancel the callback; does nothing if it has run."""


class Clock(Protocol):
    """A source of time. Implementations subclass it explicitly to inherit `finishes_within`."""

    def monotonic(self) -> float:
        """Return seconds that never jump backwards or forwards, for ages and deadlines."""

    def now(self) -> datetime:
        """Return the wall-clock time, in UTC, for people and other systems."""

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, 0 or more."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        """Call `callback` in `seconds`, 0 or more, unless the handle is cancelled before."""

    async def finishes_within(self, future: "asyncio.Future[Any]", seconds: float) -> bool:
        """Wait at most `seconds` for `future`; return whether it is done.

        The future is not cancelled, neither by the timeout nor if the caller is cancelled.
        """
        timeout = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: timeout.set_result(None))
        try:
            await asyncio.wait((future, timeout), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return future.done()


class SystemClock(Clock):
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, callback)
