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
    """A source of time. Implementations subclass it explicitly, to inherit what is not abstract."""

    def monotonic(self) -> float:
        """Return seconds that never jump backwards, for ages and deadlines."""

    def now(self) -> datetime:
        """Return the wall-clock time, in UTC, for people and other systems."""

    def timestamp(self) -> float:
        """Return the wall-clock time in seconds since 1970."""
        return self.now().timestamp()

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

    monotonic = staticmethod(time.monotonic)
    timestamp = staticmethod(time.time)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, callback)


MAX_LAG_SECONDS = 2.0
"""Seconds by which the wall clock may run ahead of the monotonic clock unnoticed."""


class SuspendAwareClock(Clock):
    """Another clock, whose monotonic time also counts the time that the machine was suspended.

    While a machine or its virtual machine is suspended, the monotonic clock stands still. Cached
    answers would seem fresh and tokens valid hours later. So if the wall clock has moved ahead by
    more than `MAX_LAG_SECONDS`, whatever the reason, the monotonic time follows in one step. It
    never moves backwards: a wall clock that is set back changes nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._read_monotonic = clock.monotonic  # each request reads it a few times
        self._read_timestamp = clock.timestamp
        self._suspended = 0.0
        self._expect(clock.timestamp() - clock.monotonic())

    def _expect(self, difference: float) -> None:
        """Expect the wall clock to stay ahead of the monotonic clock by `difference`."""
        self._difference = difference
        self._smallest, self._greatest = difference - MAX_LAG_SECONDS, difference + MAX_LAG_SECONDS

    def monotonic(self) -> float:
        monotonic = self._read_monotonic()
        difference = self._read_timestamp() - monotonic
        if not self._smallest <= difference <= self._greatest:
            self._suspended += max(difference - self._difference, 0.0)
            self._expect(difference)
        return monotonic + self._suspended

    def now(self) -> datetime:
        return self._clock.now()

    def timestamp(self) -> float:
        return self._read_timestamp()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        return self._clock.call_later(seconds, callback)
