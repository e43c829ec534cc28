"""How much the upstream gets of us: calls in flight, and calls a second. Knows no HTTP.

The pool's calls are shared with its logins, so no load of callers may get more than this through.
Who has to wait stands in a bounded queue, in which a call that somebody waits for goes before one
that only refreshes behind; who that is, is looked at when a place is free, since a caller may join
a refresh, or leave.
"""

import asyncio
from copy import copy
from dataclasses import dataclass

from app.clock import Clock
from app.single_flight import Awaited, always_awaited, current_flight
from app.upstream.errors import (
    DeadlineExceeded,
    UpstreamError,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from app.upstream.rate import CallStart, RateLimit

MAX_QUEUE = 1000


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A call in the queue. Its turn brings its start, or the error that it is sent away with."""

    turn: "asyncio.Future[CallStart | UpstreamError]"
    awaited: Awaited
    deadline: float


class CallLimiter:
    """Lets calls go out.

    Args:
        clock: the only source of time.
        max_concurrency: calls in flight.
        max_rate: calls that start within any second.
        max_queue: calls that wait for their turn.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_concurrency: int,
        max_rate: int,
        max_queue: int = MAX_QUEUE,
    ) -> None:
        self._clock = clock
        self._pace = RateLimit(max_rate)
        self._free = max_concurrency
        self._max_queue = max_queue
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """How many calls wait for their turn."""
        return len(self._waiting)

    @property
    def rate(self) -> float:
        """Calls a second, as it is now."""
        return self._pace.rate(self._clock.monotonic())

    async def acquire(self, deadline: float, awaited: Awaited = always_awaited) -> CallStart:
        """Wait for a place for one call; `give` it back when the call has ended.

        Returns its start, to be set anew when the call goes out.

        Raises:
            OutOfTime: there is none before the moment `deadline`.
            UpstreamThrottled: the upstream asked us to wait, past the deadline.
            UpstreamUnavailable: too many wait already.
        """
        flight = current_flight()
        if flight and awaited is always_awaited:
            awaited = flight.has_waiters
        now = self._clock.monotonic()
        if now >= deadline:
            raise DeadlineExceeded("no time was left for the call")
        if self._pace.paused_until >= deadline:
            raise _asked_to_wait(self._pace.paused_until - now)
        if not self._waiting and self._may_start(now):
            return self._start(now)
        self._make_room(awaited)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), awaited, deadline)
        self._waiting.append(waiting)
        self._let_go()
        return await self._turn_of(waiting, deadline - now)

    def release(self) -> None:
        """A call has ended: its place is the next one's."""
        self._free += 1
        self._let_go()

    def on_throttled(self, started: float, retry_after: float | None) -> None:
        """A call that started at `started` was one too many: pause, and go on at half the rate."""
        now = self._clock.monotonic()
        self._pace.on_throttled(started, now, retry_after)
        self._dismiss(
            [one for one in self._waiting if one.deadline <= self._pace.paused_until],
            _asked_to_wait(self._pace.paused_until - now),
        )

    def reject_all(self, error: UpstreamError) -> None:
        """Send everybody in the queue away with `error`."""
        self._dismiss(list(self._waiting), error)

    async def _turn_of(self, waiting: _Waiting, seconds: float) -> CallStart:
        turn = waiting.turn
        patience = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((turn, patience), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # The turn may have come in the very moment of the cancelling: hand it on.
            if turn.done() and isinstance(turn.result(), CallStart):
                self.release()
            raise
        finally:
            patience.cancel()
            if not turn.done():
                self._waiting.remove(waiting)
                self._set_timer()
        if not turn.done():
            raise DeadlineExceeded("no call could go out in time")
        brought = turn.result()
        if isinstance(brought, UpstreamError):
            raise brought
        return brought

    def _make_room(self, awaited: Awaited) -> None:
        """Room for one more; a refresh behind leaves for who is waited for."""
        if len(self._waiting) < self._max_queue:
            return
        behind = [one for one in self._waiting if not one.awaited()] if awaited() else []
        if not behind:
            raise self._too_many()
        self._dismiss(behind[-1:], self._too_many())

    def _too_many(self) -> UpstreamUnavailable:
        return UpstreamUnavailable(
            "too many calls wait already", retry_after=len(self._waiting) / self.rate
        )

    def _may_start(self, now: float) -> bool:
        return self._free > 0 and self._pace.next_start(now) <= now

    def _start(self, now: float) -> CallStart:
        self._free -= 1
        return self._pace.started(now)

    def _let_go(self) -> None:
        """Give whoever may start now its turn."""
        now = self._clock.monotonic()
        while self._waiting and self._may_start(now):
            first = next((one for one in self._waiting if one.awaited()), self._waiting[0])
            self._waiting.remove(first)
            first.turn.set_result(self._start(now))
        self._set_timer()

    def _set_timer(self) -> None:
        """Look again when the pace allows; who waits for a place is called when one is given."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._free:
            self._timer = asyncio.ensure_future(self._look_again())

    async def _look_again(self) -> None:
        now = self._clock.monotonic()
        await self._clock.sleep(max(self._pace.next_start(now) - now, 0.0))
        self._timer = None
        self._let_go()

    def _dismiss(self, some: list[_Waiting], error: UpstreamError) -> None:
        for one in some:
            self._waiting.remove(one)
            one.turn.set_result(copy(error))
        self._set_timer()


def _asked_to_wait(seconds: float) -> UpstreamThrottled:
    return UpstreamThrottled("the upstream asked us to wait", retry_after=seconds)
