"""Limits calls to the upstream: calls in flight, and call starts per second.

The pool's rate limit is shared with its logins, so however many requests arrive, no more than this
may go out. Further calls wait in bounded queues, one for each operation, and start by their shares:
those of the kinds of calls, and in each kind those of the callers. Which calls are background
refreshes, and for whom a call is made, is evaluated when a slot becomes free, because a caller may
join a refresh, or disconnect, in the meantime.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Container, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from app import current_caller
from app.clock import Clock, TimerHandle
from app.current_caller import CallerKey
from app.single_flight import Flight, current_flight
from app.upstream.errors import (
    DeadlineExceeded,
    UpstreamError,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from app.upstream.fair_share import FairShare, Operation, Turn

MAX_QUEUE = 1000
"""Calls of one operation that wait, at most half of them for one caller. Further ones are rejected,
or those of the caller with the most."""

RESERVED_RATIO = 4
"""One in so many concurrent calls is never a detail call: some orders may be slow upstream."""

MIN_RATE = 1.0
"""Calls per second that remain however often the upstream throttles, so recovery is noticed."""

RECOVERY_SECONDS = 60.0
"""Seconds in which the rate grows by `max_rate`: from half of it back to all of it in 30."""

DEFAULT_THROTTLE_SECONDS = 1.0
"""Seconds without a call after a throttled response without Retry-After."""


@dataclass(slots=True, eq=False)
class CallStart:
    """When a call started: at first when it got its slot, then when it was actually sent.

    On a busy event loop or a slow connect that is later. Counting from the earlier time would
    let more than `max_rate` calls reach the upstream within one second.
    """

    at: float
    operation: Operation = Operation.LIST
    is_probe: bool = False


class RateLimit:
    """The rate at which calls may start: at most `max_rate` in any second, halved when throttled.

    A sliding log of the last starts decides, so a burst of `max_rate` may go out at once and the
    next call a second after the first of them. Reads no clock; no call may start before
    `paused_until`.
    """

    def __init__(self, max_rate: int) -> None:
        self._max_rate = max_rate
        self._processes = 1
        self._starts: deque[CallStart] = deque(maxlen=max_rate)
        self._reduced_rate = float(max_rate)
        self._growing_since = float("-inf")
        self._halved_at = float("-inf")
        self.paused_until = float("-inf")

    def rate(self, now: float) -> float:
        """Return the calls per second that are allowed at `now`."""
        growth = max(now - self._growing_since, 0.0) * self._max_rate / RECOVERY_SECONDS
        return min(self._reduced_rate + growth, self.share)

    @property
    def share(self) -> float:
        """The calls per second of this process when the upstream does not throttle."""
        return self._max_rate / self._processes

    def set_processes(self, processes: int) -> None:
        """Share `max_rate` evenly with other processes; `processes` includes this one."""
        self._processes = processes

    def next_slot(self, now: float) -> float:
        """Return the time from which one more call may start; not after `now` if it may already."""
        rate = self.rate(now)
        allowed = max(int(rate), 1)
        if len(self._starts) < allowed:
            return self.paused_until
        return max(self.paused_until, self._starts[-allowed].at + max(1.0, 1.0 / rate))

    def record(self, start: CallStart) -> None:
        """Record that a call starts."""
        self._starts.append(start)

    def on_throttled(self, started: float, now: float, retry_after: float | None) -> None:
        """Pause all calls for `retry_after` seconds and halve the rate, which then grows again.

        `started` is when the throttled call did. Of calls in flight together only the first one
        halves the rate.
        """
        pause = DEFAULT_THROTTLE_SECONDS if retry_after is None else retry_after
        self.paused_until = max(self.paused_until, now + pause)
        if started >= self._halved_at:
            self._reduced_rate = max(self.rate(now) / 2, min(MIN_RATE, self._max_rate))
            self._halved_at = now
        else:
            self._reduced_rate = self.rate(now)
        self._growing_since = self.paused_until


@dataclass(frozen=True, slots=True, eq=False)
class _QueuedCall:
    """A call in the queue; `start` is set, or raises the error that the call is rejected with."""

    start: "asyncio.Future[CallStart]"
    operation: Operation
    flight: Flight[Any] | None
    launched_by: CallerKey
    deadline: float

    @property
    def callers(self) -> Collection[CallerKey]:
        """The callers for whom it is made.

        A background refresh of the list is for all callers, and one of a single order for the
        caller who requested it last.
        """
        callers = self.flight.callers() if self.flight else ()
        if callers:
            return callers
        is_for_all = self.flight is not None and self.operation is not Operation.DETAIL
        return ((),) if is_for_all else (self.launched_by,)

    @property
    def turn(self) -> Turn | None:
        """The kind of calls whose share it takes; a token call is always the next one."""
        if self.operation is Operation.TOKEN:
            return None
        if self.is_background:
            return Turn.BACKGROUND
        return Turn.DETAIL if self.operation is Operation.DETAIL else Turn.LIST

    @property
    def is_background(self) -> bool:
        """Whether nobody waits for its result at the moment."""
        return self.flight is not None and not self.flight.has_waiters()


@dataclass(frozen=True, slots=True)
class LimiterState:
    """What the limiter allows at the moment, and what waits for it.

    Attributes:
        rate: calls per second that may start.
        max_rate: the same when the upstream does not throttle; of several processes, the share of
            this one.
        paused_seconds: for which no call may start, as the upstream has requested.
        in_flight: calls in flight.
        max_concurrency: calls that may be in flight.
        queued: calls that wait, by operation.
    """

    rate: float
    max_rate: int
    paused_seconds: float
    in_flight: int
    max_concurrency: int
    queued: Mapping[Operation, int]


class CallLimiter:
    """Lets calls start by their shares: `max_concurrency` at a time, `max_rate` within any second.

    After a throttled response and its pause, one call goes first, to find out whether it is over.
    """

    def __init__(
        self, clock: Clock, *, max_concurrency: int, max_rate: int, max_queue: int = MAX_QUEUE
    ) -> None:
        self._clock = clock
        self._rate_limit = RateLimit(max_rate)
        self._max_concurrency = max_concurrency
        self._in_flight = 0
        self._max_details = max(max_concurrency - max_concurrency // RESERVED_RATIO, 1)
        self._details_in_flight = 0
        self._is_throttled = False
        self._is_probing = False
        self._shares = FairShare()
        self._max_queue = max_queue
        self._queue: list[_QueuedCall] = []
        self._timer: TimerHandle | None = None

    @property
    def rate(self) -> float:
        """The calls per second that may start."""
        return self._rate_limit.rate(self._clock.monotonic())

    @property
    def in_flight(self) -> int:
        """The calls in flight."""
        return self._in_flight

    @property
    def queued(self) -> int:
        """The calls that wait."""
        return len(self._queue)

    def set_processes(self, processes: int) -> None:
        """Share the rate evenly with other processes; `processes` includes this one."""
        self._rate_limit.set_processes(processes)
        self._dispatch()

    def state(self) -> LimiterState:
        """Return the present state."""
        now = self._clock.monotonic()
        queued = Counter(call.operation for call in self._queue)
        return LimiterState(
            self.rate,
            max(int(self._rate_limit.share), 1),
            max(self._rate_limit.paused_until - now, 0.0),
            self._in_flight,
            self._max_concurrency,
            {operation: queued[operation] for operation in Operation},
        )

    async def acquire(self, deadline: float, operation: Operation = Operation.LIST) -> CallStart:
        """Wait until one call may start; `release` must be called when it has ended.

        Returns:
            Its start, which the caller updates when the call is actually sent.

        Raises:
            DeadlineExceeded: no call may start before the deadline.
            UpstreamThrottled: the Retry-After of an earlier call ends after the deadline.
            UpstreamUnavailable: the queue is full.
        """
        now = self._clock.monotonic()
        if now >= deadline:
            raise DeadlineExceeded("no time was left for the call")
        if self._rate_limit.paused_until >= deadline:
            raise _throttled_error(self._rate_limit.paused_until - now)
        if not self._queue and self._may_start(now) and self._is_allowed(operation):
            return self._start(now, operation)
        future = asyncio.get_running_loop().create_future()
        flight, caller = current_flight(), current_caller.current()
        call = _QueuedCall(future, operation, flight, caller, deadline)
        self._make_room(call)
        self._queue.append(call)
        self._dispatch()
        return await self._wait_turn(call, deadline - now)

    def release(self, start: CallStart, *, responded: bool = False) -> None:
        """Record that a call has ended, and let the next one start.

        `responded` is whether the upstream responded, and did not throttle the call.
        """
        self._in_flight -= 1
        self._details_in_flight -= start.operation is Operation.DETAIL
        if start.is_probe:
            self._is_probing = False
            self._is_throttled = not responded
        self._dispatch()

    def on_throttled(self, started: float, retry_after: float | None) -> None:
        """Pause, and continue at half the rate, after a call started at `started` was throttled.

        Queued calls that cannot start before their deadline any more are rejected.
        """
        now = self._clock.monotonic()
        self._is_throttled = True
        self._rate_limit.on_throttled(started, now, retry_after)
        paused_until = self._rate_limit.paused_until
        self._reject(
            [call for call in self._queue if call.deadline <= paused_until],
            _throttled_error(paused_until - now),
        )

    def reject_all(self, error: UpstreamError, operations: Container[Operation]) -> None:
        """Raise a copy of `error` for every queued call of these operations."""
        self._reject([call for call in self._queue if call.operation in operations], error)

    async def _wait_turn(self, call: _QueuedCall, seconds: float) -> CallStart:
        try:
            await self._clock.finishes_within(call.start, seconds)
        except asyncio.CancelledError:
            # The turn may have come just before the cancellation: pass it on.
            if call.start.done() and not call.start.exception():
                self.release(call.start.result())
            raise
        finally:
            if not call.start.done():
                self._queue.remove(call)
                self._set_timer()
        if not call.start.done():
            raise DeadlineExceeded("no call could start before the deadline")
        return call.start.result()

    def _make_room(self, call: _QueuedCall) -> None:
        """Reject a queued call in favor of `call` if the queue is full.

        Raises:
            UpstreamUnavailable: there is none, or half of the queue is of the caller of `call`.
        """
        queued = [one for one in self._queue if one.operation is call.operation]
        if len(queued) < self._max_queue // 2:
            return
        counts = Counter(caller for one in queued for caller in one.callers)
        own = min(counts[caller] for caller in call.callers)
        is_limited = all(call.callers)  # not a refresh for all callers
        seconds = self.queued / self.rate
        error = UpstreamUnavailable("too many calls are queued", retry_after=seconds)
        if is_limited and own >= self._max_queue // 2:
            raise error
        if len(queued) >= self._max_queue:
            refreshes = [] if call.is_background else [one for one in queued if one.is_background]
            caller, most = counts.most_common(1)[0]
            evictable = refreshes or [
                one for one in queued if caller in one.callers and most > own + 1
            ]
            if not evictable:
                raise error
            self._reject(evictable[-1:], error)

    def _may_start(self, now: float) -> bool:
        return self._has_slot() and self._rate_limit.next_slot(now) <= now

    def _has_slot(self) -> bool:
        return self._in_flight < self._max_concurrency and not self._is_probing

    def _is_allowed(self, operation: Operation) -> bool:
        return operation is not Operation.DETAIL or self._details_in_flight < self._max_details

    def _start(self, now: float, operation: Operation) -> CallStart:
        self._in_flight += 1
        self._details_in_flight += operation is Operation.DETAIL
        self._is_probing = self._is_throttled
        start = CallStart(now, operation, is_probe=self._is_probing)
        self._rate_limit.record(start)
        return start

    def _dispatch(self) -> None:
        """Start as many queued calls as the limits allow."""
        now = self._clock.monotonic()
        while self._queue and self._may_start(now):
            call = self._shares.take(self._startable())
            if call is None:
                break
            self._queue.remove(call)
            call.start.set_result(self._start(now, call.operation))
        self._set_timer()

    def _startable(self) -> Iterator[_QueuedCall]:
        return (call for call in self._queue if self._is_allowed(call.operation))

    def _set_timer(self) -> None:
        """Dispatch again when the rate allows. If calls in flight are the limit, `release` does."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._has_slot() and any(self._startable()):
            now = self._clock.monotonic()
            delay = max(self._rate_limit.next_slot(now) - now, 0.0)
            self._timer = self._clock.call_later(delay, self._dispatch)

    def _reject(self, calls: list[_QueuedCall], error: UpstreamError) -> None:
        for call in calls:
            self._queue.remove(call)
            call.start.set_exception(copy(error))
        self._set_timer()


def _throttled_error(seconds: float) -> UpstreamThrottled:
    return UpstreamThrottled("the upstream is rate limiting the proxy", retry_after=seconds)
