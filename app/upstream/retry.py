"""Whether and when to try a call again, so that it makes no outage worse.

A decision, a budget and a thin loop of our own: tenacity and stamina know no budget, and take their
time and their chance from the machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.clock import Clock
from app.upstream.admission import Admission
from app.upstream.errors import (
    StaleConnection,
    UpstreamError,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnreachable,
)

MAX_ATTEMPTS = 3
"""How often one question is asked at most."""

RETRY_RATIO = 0.2
"""Of the calls: so many may be tried again..."""

MIN_RETRIES_PER_SECOND = 3.0
"""... and so many a second at least, so that a quiet proxy may try again as well."""

MAX_SAVED = 10.0
"""Retries that many calls without one save up at most."""

SHORTEST, LONGEST = 0.2, 2.0
"""Seconds: the longest pause before the first retry, doubled before each other; its bound."""

_WORTH_ANOTHER = (UpstreamUnreachable, UpstreamTimeout, UpstreamFailed, UpstreamThrottled)

RandomFloat = Callable[[], float]
"""A number from 0 to below 1, each as likely as the other."""


def backoff(error: UpstreamError, tried: int, chance: float) -> float | None:
    """Seconds to wait after the try `tried` (from 1) failed with `error`; None for no other try.

    Full jitter: anything from nothing to a bound that doubles, so that those who failed together
    do not come back together. What the upstream itself asks for is waited in full.
    """
    if not isinstance(error, _WORTH_ANOTHER):
        return None
    if isinstance(error, StaleConnection):
        return 0.0
    jitter = chance * min(SHORTEST * 2.0 ** (tried - 1), LONGEST)
    return jitter + (error.retry_after or 0.0)


class RetryBudget:
    """How many retries there may be: a share of the calls, or a few a second if that is more.

    Two buckets: one fills with calls, one with time. A retry needs one, and takes from both.
    """

    def __init__(self) -> None:
        self._by_calls = 0.0
        self._by_time = MIN_RETRIES_PER_SECOND
        self._filled_at = 0.0

    def on_call(self) -> None:
        """A first try goes out."""
        self._by_calls = min(self._by_calls + RETRY_RATIO, MAX_SAVED)

    def try_spend(self, now: float) -> bool:
        """Take one retry, if there is one."""
        self._by_time = min(
            self._by_time + (now - self._filled_at) * MIN_RETRIES_PER_SECOND, MIN_RETRIES_PER_SECOND
        )
        self._filled_at = now
        if max(self._by_calls, self._by_time) < 1.0:
            return False
        self._by_calls = max(self._by_calls - 1.0, 0.0)
        self._by_time = max(self._by_time - 1.0, 0.0)
        return True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What the tries of all questions share.

    Attributes:
        guard: no other try while it refuses calls.
        budget: no other try beyond it.
        clock: the only source of time.
        chance: where jitter comes from.
        tries: how often one question is asked at most.
    """

    guard: Admission
    budget: RetryBudget
    clock: Clock
    chance: RandomFloat
    tries: int = MAX_ATTEMPTS


class RetryState:
    """The tries of one question, of which the first goes out now."""

    def __init__(self, shared: RetryPolicy) -> None:
        self._shared = shared
        self._tried = 0
        shared.budget.on_call()

    async def should_retry(self, error: UpstreamError, deadline: float) -> bool:
        """Whether to try again after `error`; True once the pause before it is over.

        False at once where it is not worth it, or could not begin before the moment `deadline`.
        """
        self._tried += 1
        shared = self._shared
        pause = backoff(error, self._tried, shared.chance())
        if pause is None or self._tried >= shared.tries or shared.guard.is_rejecting:
            return False
        now = shared.clock.monotonic()
        if now + pause >= deadline or not shared.budget.try_spend(now):
            return False
        if pause:
            await shared.clock.sleep(pause)
        return True
