"""Admits each call to the upstream, token calls included: circuit breaker first, then limiter.

How a call ended is reported to both.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clock import Clock
from app.upstream.breaker import Breaker, CallResult
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
from app.upstream.limiter import CallLimiter
from app.upstream.rate import CallStart

_logger = logging.getLogger("orders_bff.upstream")


class Admission:
    """Lets a call start, or rejects it.

    Args:
        limiter: bounds concurrency and rate.
        breaker: rejects calls while the upstream fails.
        clock: the only source of time.
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
            The call's start, to be updated when the call is really sent.

        Raises:
            UpstreamUnavailable: the circuit is open, or the queue is full.
            DeadlineExceeded: no call may start before `deadline`.
            UpstreamThrottled: the upstream asked for a pause beyond `deadline`.
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
