"""Retries of failed calls, bounded so that they do not make an outage worse.

Tenacity and stamina have no retry budget, and take time and randomness from the machine.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.backoff import exponential_backoff
from app.clock import Clock
from app.upstream.breaker import Admission
from app.upstream.errors import (
    DeadlineExceeded,
    StaleConnection,
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from app.upstream.fair_share import Operation

T = TypeVar("T")

MAX_ATTEMPTS = 3
"""Calls for one request, the first included."""

RETRY_RATIO = 0.2
"""Retries per call that the budget allows."""

MIN_RETRIES_PER_SECOND = 3.0
"""Retries that it allows in any case, so that a quiet proxy may retry."""

MAX_SAVED_RETRIES = 10.0
"""Retries that calls can save up."""

BASE_BACKOFF_SECONDS = 0.2
"""Upper bound of the first backoff; it doubles with each attempt."""

MAX_BACKOFF_SECONDS = 2.0

REJECTED_BACKOFF_SECONDS = 10.0
"""Seconds before a rejected credential is sent again."""

_RETRYABLE = (UpstreamUnreachable, UpstreamTimeout, UpstreamFailed, UpstreamThrottled)

RandomFloat = Callable[[], float]
"""Returns a uniformly distributed number in [0, 1), like `random.random`."""


def backoff(error: UpstreamError, attempt: int, random: float) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there should be none.

    With full jitter, so that calls that failed together are not repeated together. A Retry-After
    is waited for in full. A call on a stale connection is repeated at once. `attempt` is the number
    of the one that failed, from 1.
    """
    if not isinstance(error, _RETRYABLE):
        return None
    if isinstance(error, StaleConnection):
        return 0.0
    jitter = random * min(BASE_BACKOFF_SECONDS * 2.0 ** (attempt - 1), MAX_BACKOFF_SECONDS)
    return jitter + (error.retry_after or 0.0)


def upstream_backoff(error: Exception, failures: int) -> float:
    """Return the seconds without new requests after all retries failed (a `BackoffPolicy`)."""
    retry_after = error.retry_after if isinstance(error, UpstreamError) else None
    if isinstance(error, UpstreamUnavailable):
        return retry_after or exponential_backoff(error, 1)  # the upstream was not called
    if isinstance(error, UpstreamCredentialRejected):
        return retry_after or REJECTED_BACKOFF_SECONDS
    return max(exponential_backoff(error, failures), retry_after or 0.0)


class RetryBudget:
    """Bounds retries to a ratio of the calls, or to a few per second if that is more.

    Two token buckets: one filled by calls, one by time. A retry needs a token in either, and
    takes one from both.
    """

    def __init__(self) -> None:
        self._from_calls = 0.0
        self._from_time = MIN_RETRIES_PER_SECOND
        self._filled_at = 0.0

    def on_call(self) -> None:
        """Record the first attempt of a request."""
        self._from_calls = min(self._from_calls + RETRY_RATIO, MAX_SAVED_RETRIES)

    def try_spend(self, now: float) -> bool:
        """Take one retry from the budget; return whether there was one."""
        self._from_time = min(
            self._from_time + (now - self._filled_at) * MIN_RETRIES_PER_SECOND,
            MIN_RETRIES_PER_SECOND,
        )
        self._filled_at = now
        if max(self._from_calls, self._from_time) < 1.0:
            return False
        self._from_calls = max(self._from_calls - 1.0, 0.0)
        self._from_time = max(self._from_time - 1.0, 0.0)
        return True


class Retries:
    """The attempts of one request: none after its deadline or while the circuit is open.

    `max_attempts` includes the first one. `budget` is shared by all requests of the operation.
    """

    def __init__(
        self,
        admission: Admission,
        budget: RetryBudget,
        clock: Clock,
        deadline: float,
        operation: Operation,
        *,
        random: RandomFloat,
        max_attempts: int,
    ) -> None:
        self._admission = admission
        self._budget = budget
        self._clock = clock
        self._random = random
        self._max_attempts = max_attempts
        self._attempts = 0
        self._deadline = deadline
        self._operation = operation
        self._timeout: UpstreamTimeout | None = None
        budget.on_call()

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what `attempt` returns; repeat it after transient errors.

        A second `run` continues to count where the first one ended.

        Raises:
            UpstreamError: the error of the last attempt; or an earlier timeout of the upstream, if
                the last attempt only had too little time left.
        """
        while True:
            try:
                return await attempt()
            except UpstreamError as error:
                if not await self._should_retry(error):
                    if self._timeout and isinstance(error, DeadlineExceeded):
                        raise self._timeout from None
                    raise
                if type(error) is UpstreamTimeout:
                    self._timeout = error

    async def _should_retry(self, error: UpstreamError) -> bool:
        """Return whether to retry after `error`, once the backoff is over; False at once if not."""
        seconds = backoff(error, self._attempts + 1, self._random())
        if seconds is None:
            return False
        self._attempts += 1
        if self._attempts >= self._max_attempts or self._admission.is_rejecting(self._operation):
            return False
        now = self._clock.monotonic()
        if now + seconds >= self._deadline or not self._budget.try_spend(now):
            return False
        if seconds:
            await self._clock.sleep(seconds)
        return True
