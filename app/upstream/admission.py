"""What stands between us and the upstream: breaker, then governor. Knows no HTTP.

Each call goes through here, the token's too, and how it ended is told to both.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clock import Clock
from app.single_flight import Awaited, always_awaited
from app.upstream.breaker import Breaker, Health
from app.upstream.errors import (
    DiedIdle,
    OutOfTime,
    UpstreamError,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from app.upstream.limiter import Governor
from app.upstream.rate import Start

_logger = logging.getLogger("orders_bff.upstream")


class Guard:
    """Lets a call go out, or refuses it.

    Args:
        governor: gives each call its place.
        breaker: refuses calls while the upstream is ill.
        clock: the only source of time.
    """

    def __init__(self, governor: Governor, breaker: Breaker, clock: Clock) -> None:
        self._governor = governor
        self._breaker = breaker
        self._clock = clock

    @property
    def refuses(self) -> bool:
        """Whether no call may go out now."""
        return self._breaker.refused_for(self._clock.monotonic()) is not None

    @asynccontextmanager
    async def place(
        self, deadline: float, awaited: Awaited = always_awaited
    ) -> AsyncIterator[Start]:
        """One call's place; what is raised within says how the upstream is.

        Gives its start, to be set anew when the call goes out.

        Raises:
            UpstreamUnavailable: the breaker is open, or the queue is full.
            OutOfTime, UpstreamThrottled: as the governor has it.
        """
        refused_for = self._breaker.refused_for(self._clock.monotonic())
        if refused_for is not None:
            raise _in_peace(refused_for)
        turn = self._breaker.enter()
        try:
            start = await self._governor.take(deadline, awaited)
        except BaseException:
            self._note(turn, Health.UNTOLD)
            raise
        health = Health.UNTOLD
        try:
            yield start
            health = Health.WELL
        except UpstreamError as error:
            health = health_told_by(error)
            if isinstance(error, UpstreamThrottled):
                self._governor.throttled(start.at, error.retry_after)
            raise
        finally:
            # In this order: who is given the place must not be the next to fail.
            self._note(turn, health)
            self._governor.give()

    def _note(self, turn: int, health: Health) -> None:
        was_open = self._breaker.is_open
        opened_for = self._breaker.leave(turn, health, self._clock.monotonic())
        if self._breaker.is_open is not was_open:
            _logger.warning("upstream_well" if was_open else "upstream_ill")
        if opened_for is not None:
            self._governor.dismiss(_in_peace(opened_for))


def health_told_by(error: UpstreamError) -> Health:
    """What an error of a call that went out tells of the upstream.

    It is well as long as it answers, were it only to refuse us.
    """
    match error:
        case OutOfTime() | DiedIdle():
            return Health.UNTOLD
        case UpstreamUnreachable() | UpstreamTimeout() | UpstreamFailed():
            return Health.ILL
        case _:
            return Health.WELL


def _in_peace(seconds: float) -> UpstreamUnavailable:
    return UpstreamUnavailable("the upstream is left in peace for a moment", retry_after=seconds)
