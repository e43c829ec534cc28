"""The HTTP client in use, and another in its place when what it took is not given back.

A client has as many places as calls may be in flight. One that loses places answers less and less,
and in the end nothing, until the process is started again (encode/httpcore#1093). We cancel no
call, so none should be lost; if one is all the same, its client is given up.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from app.clock import Clock
from app.http import AsyncClient, PoolTimeout
from app.upstream.errors import DeadlineExceeded

T = TypeVar("T")

_logger = logging.getLogger("orders_bff.upstream")


class _Line:
    """One client, and how many calls are under way through it."""

    def __init__(self, http: AsyncClient) -> None:
        self.http = http
        self.idle = asyncio.Event()
        self._calls = 0

    def begin(self) -> None:
        self._calls += 1
        self.idle.clear()

    def end(self, _: object) -> None:
        self._calls -= 1
        if not self._calls:
            self.idle.set()


class ClientPool:
    """Calls through one client, or the next.

    Args:
        open_http: opens a client.
        clock: the only source of time.
        lost_after: seconds after which a call counts as lost; far more than it may take.
    """

    def __init__(
        self, open_http: Callable[[], AsyncClient], clock: Clock, *, lost_after: float
    ) -> None:
        self._open_http = open_http
        self._clock = clock
        self._lost_after = lost_after
        self._line = _Line(open_http())
        self._given_up: dict[asyncio.Task[None], _Line] = {}

    async def through(self, call: Callable[[AsyncClient], Coroutine[Any, Any, T]]) -> T:
        """What `call` brings, or raises.

        Raises:
            OutOfTime: it never came back, or found no place in a client that must have had one.
        """
        line = self._line
        line.begin()
        task = asyncio.ensure_future(call(line.http))
        task.add_done_callback(line.end)
        timer = asyncio.ensure_future(self._clock.sleep(self._lost_after))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        except PoolTimeout:
            self._give_up(line, "no_place")
            raise DeadlineExceeded("no connection was free in time") from None
        finally:
            timer.cancel()
            # It is still under way only where the process stops or the client is given up: the
            # place that a cancelling costs is not missed there.
            task.cancel()
        self._give_up(line, "lost_call")
        raise DeadlineExceeded("the call did not come back")

    async def aclose(self) -> None:
        """Close every connection."""
        given_up, self._given_up = self._given_up, {}
        for closing in given_up:
            closing.cancel()
        for line in (self._line, *given_up.values()):
            await line.http.aclose()

    def _give_up(self, line: _Line, why: str) -> None:
        """Use another client from now on; this one is closed when its calls have ended."""
        if line is not self._line:
            return
        _logger.warning("connections_replaced", extra={"fields": {"why": why}})
        self._line = _Line(self._open_http())
        closing = asyncio.ensure_future(self._close(line))
        self._given_up[closing] = line
        closing.add_done_callback(lambda closed: self._given_up.pop(closed, None))

    async def _close(self, line: _Line) -> None:
        ended = asyncio.ensure_future(line.idle.wait())
        timer = asyncio.ensure_future(self._clock.sleep(self._lost_after))
        try:
            await asyncio.wait((ended, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            timer.cancel()
        await line.http.aclose()
