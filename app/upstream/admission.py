"""What stands between us and the upstream: breaker, then governor. Knows no HTTP.

Each call goes through here, the token's too, and how it ended is told to both.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clock import Clock
from app.single_flight import Awaited, always_awaited
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
    """Lets a call go out, or refuses it.

    Args:
        governor: gives each call its place.
        breaker: refuses calls while the upstream is ill.
        clock: the only source of time.
    """

    def __init__(self, governor: CallLimiter, breaker: Breaker, clock: Clock) -> None:
        self._governor = governor
        self._breaker = breaker
        self._clock = clock

    @property
    def is_rejecting(self) -> bool:
        """Whether no call may go out now."""
        return self._breaker.retry_in(self._clock.monotonic()) is not None

    @asynccontextmanager
    async def slot(
        self, deadline: float, awaited: Awaited = always_awaited
    ) -> AsyncIterator[CallStart]:
        """One call's place; what is raised within says how the upstream is.

        Gives its start, to be set anew when the call goes out.

        Raises:
            UpstreamUnavailable: the breaker is open, or the queue is full.
            OutOfTime, UpstreamThrottled: as the governor has it.
        """
        retry_in = self._breaker.retry_in(self._clock.monotonic())
        if retry_in is not None:
            raise _in_peace(retry_in)
        turn = self._breaker.before_call()
        try:
            start = await self._governor.acquire(deadline, awaited)
        except BaseException:
            self._note(turn, CallResult.IGNORED)
            raise
        health = CallResult.IGNORED
        try:
            yield start
            health = CallResult.SUCCESS
        except UpstreamError as error:
            health = classify_error(error)
            if isinstance(error, UpstreamThrottled):
                self._governor.on_throttled(start.at, error.retry_after)
            raise
        finally:
            # In this order: who is given the place must not be the next to fail.
            self._note(turn, health)
            self._governor.release()

    def _note(self, turn: int, health: CallResult) -> None:
        was_open = self._breaker.is_open
        opened_for = self._breaker.after_call(turn, health, self._clock.monotonic())
        if self._breaker.is_open is not was_open:
            _logger.warning("upstream_well" if was_open else "upstream_ill")
        if opened_for is not None:
            self._governor.reject_all(_in_peace(opened_for))


def classify_error(error: UpstreamError) -> CallResult:
    """What an error of a call that went out tells of the upstream.

    It is well as long as it answers, were it only to refuse us.
    """
    match error:
        case DeadlineExceeded() | StaleConnection():
            return CallResult.IGNORED
        case UpstreamUnreachable() | UpstreamTimeout() | UpstreamFailed():
            return CallResult.FAILURE
        case _:
            return CallResult.SUCCESS


def _in_peace(seconds: float) -> UpstreamUnavailable:
    return UpstreamUnavailable("the upstream is left in peace for a moment", retry_after=seconds)
