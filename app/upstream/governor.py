"""How much the upstream gets of us: calls in flight, and calls a second. Knows no HTTP."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clock import Clock
from app.upstream.errors import UpstreamTimeout

SECOND = 1.0


class Governor:
    """Lets calls go out, first come first served.

    Args:
        clock: the only source of time.
        max_concurrency: calls in flight.
        max_rate: calls that start within any second.
    """

    def __init__(self, clock: Clock, *, max_concurrency: int, max_rate: int) -> None:
        self._clock = clock
        self._free = max_concurrency
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._starts: deque[float] = deque(maxlen=max_rate)
        self._max_rate = max_rate

    @asynccontextmanager
    async def place(self, deadline: float) -> AsyncIterator[None]:
        """One call's place, from its start to its end.

        Raises:
            UpstreamTimeout: there is none before the moment `deadline`.
        """
        await self._take(deadline)
        try:
            await self._start(deadline)
            yield
        finally:
            self._give()

    async def _take(self, deadline: float) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        left = max(deadline - self._clock.monotonic(), 0.0)
        timer = asyncio.ensure_future(self._clock.sleep(left))
        try:
            await asyncio.wait((turn, timer), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # The turn may have come in the very moment of the cancelling: hand it on.
            if turn.done():
                self._give()
            raise
        finally:
            timer.cancel()
            if not turn.done():
                self._waiting.remove(turn)
        if not turn.done():
            raise UpstreamTimeout("no call could go out in time")

    def _give(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1

    async def _start(self, deadline: float) -> None:
        now = self._clock.monotonic()
        start = now
        if len(self._starts) == self._max_rate:
            start = max(now, self._starts[0] + SECOND)
        if start >= deadline:
            raise UpstreamTimeout("no call could go out in time")
        self._starts.append(start)
        if start > now:
            await self._clock.sleep(start - now)
