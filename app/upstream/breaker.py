"""A circuit breaker, and the admission of calls to the upstream by it and by the limiter.

        5 consecutive failures,
        or half of the last 20 calls
closed ------------------------------> open
  ^                                     | open_seconds have passed
  | the probe succeeds                  v
  +--------------------------------- half-open: one probe at a time
                                        | the probe fails: open again
"""

import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto

from app.clock import Clock
from app.upstream.errors import (
    DeadlineExceeded,
    StaleConnection,
    UpstreamError,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from app.upstream.limiter import CallLimiter, CallStart

CONSECUTIVE_FAILURES = 5
WINDOW_SIZE = 20
FAILURE_RATIO = 0.5
"""Part of the last `WINDOW_SIZE` calls: so many failures open the circuit."""

PROBE_RETRY_SECONDS = 1.0
"""`retry_in` while a probe is in flight, whose duration is unknown."""

_logger = logging.getLogger("orders_bff.upstream")


class CallResult(Enum):
    """What a finished call says about the upstream's health."""

    SUCCESS = auto()
    FAILURE = auto()
    IGNORED = auto()
    """It says nothing: for example, our own deadline passed first."""


class Breaker:
    """Rejects calls while the upstream fails.

    A state machine that makes no call and reads no clock. Times are monotonic, in seconds. An open
    circuit rejects all calls for `open_seconds` before it lets a probe pass.
    """

    def __init__(self, *, open_seconds: float) -> None:
        self._open_seconds = open_seconds
        self._recent_failures: deque[bool] = deque(maxlen=WINDOW_SIZE)
        self._probe_at: float | None = None  # None while closed
        self._probing = False
        self._epoch = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are rejected, except for probes (open or half-open)."""
        return self._probe_at is not None

    def retry_in(self, now: float) -> float | None:
        """Return the seconds after which to try again, or None if a call may go out now."""
        if self._probe_at is None:
            return None
        if now < self._probe_at:
            return self._probe_at - now
        return PROBE_RETRY_SECONDS if self._probing else None

    def before_call(self) -> int:
        """Record that a call goes out; return the epoch to pass to `after_call`."""
        self._probing = self.is_open
        return self._epoch

    def after_call(self, epoch: int, result: CallResult, now: float) -> float | None:
        """Record the result of a call that started in `epoch`.

        Results from before the circuit last opened or closed are ignored. Returns the seconds until
        the next probe if this opened the circuit, else None.
        """
        if epoch != self._epoch:
            return None
        was_probe = self._probing
        self._probing = False
        if result is CallResult.IGNORED:
            return None
        failed = result is CallResult.FAILURE
        self._recent_failures.append(failed)
        if was_probe or self._is_over_threshold():
            self._probe_at = now + self._open_seconds if failed else None
            self._epoch += 1
            self._recent_failures.clear()
        return self.retry_in(now)

    def _is_over_threshold(self) -> bool:
        last_results = list(self._recent_failures)[-CONSECUTIVE_FAILURES:]
        return (
            last_results == [True] * CONSECUTIVE_FAILURES
            or sum(self._recent_failures) >= WINDOW_SIZE * FAILURE_RATIO
        )


class Admission:
    """Lets each call start, or rejects it: first by the circuit breaker, then by the limiter.

    How a call ended is reported to both.
    """

    def __init__(self, limiter: CallLimiter, breaker: Breaker, clock: Clock) -> None:
        self._limiter = limiter
        self._breaker = breaker
        self._clock = clock

    @property
    def is_rejecting(self) -> bool:
        """Whether a call would be rejected now because the circuit is open."""
        return self._breaker.retry_in(self._clock.monotonic()) is not None

    @asynccontextmanager
    async def slot(self, deadline: float) -> AsyncIterator[CallStart]:
        """Hold a slot for one call; an error raised within decides what the breaker records.

        Yields:
            The call's start, to be updated when the call is actually sent.

        Raises:
            UpstreamUnavailable: the circuit is open.
            UpstreamError: as `CallLimiter.acquire`.
        """
        retry_in = self._breaker.retry_in(self._clock.monotonic())
        if retry_in is not None:
            raise _circuit_open_error(retry_in)
        epoch = self._breaker.before_call()
        try:
            start = await self._limiter.acquire(deadline)
        except BaseException:
            self._record(epoch, CallResult.IGNORED)
            raise
        result = CallResult.IGNORED
        try:
            yield start
            result = CallResult.SUCCESS
        except UpstreamError as error:
            result = classify_error(error)
            if isinstance(error, UpstreamThrottled):
                self._limiter.on_throttled(start.at, error.retry_after)
            raise
        finally:
            # Record first: if the circuit opens, the queue must be rejected, not dispatched.
            self._record(epoch, result)
            self._limiter.release()

    def _record(self, epoch: int, result: CallResult) -> None:
        was_open = self._breaker.is_open
        opened_for = self._breaker.after_call(epoch, result, self._clock.monotonic())
        if was_open and not self._breaker.is_open:
            _logger.info("circuit_closed")
        elif self._breaker.is_open and not was_open:
            _logger.warning("circuit_opened")
        if opened_for is not None:
            self._limiter.reject_all(_circuit_open_error(opened_for))


def classify_error(error: UpstreamError) -> CallResult:
    """Return what the error of a call that was sent says about the upstream's health.

    An upstream that responds is healthy, even if it rejects the request.
    """
    match error:
        case DeadlineExceeded() | StaleConnection():
            return CallResult.IGNORED
        case UpstreamUnreachable() | UpstreamTimeout() | UpstreamFailed():
            return CallResult.FAILURE
        case _:
            return CallResult.SUCCESS


def _circuit_open_error(seconds: float) -> UpstreamUnavailable:
    return UpstreamUnavailable("the circuit to the upstream is open", retry_after=seconds)
