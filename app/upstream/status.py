"""How the last requests to the upstream ended, known without calling it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from app.clock import Clock
from app.upstream.errors import UpstreamError

TOKEN_OPERATION = "get-management-token"  # noqa: S105  not a secret


@dataclass(frozen=True, slots=True)
class LastContact:
    """The ages of the last success and failure; `error` is a failure with no success after it."""

    seconds_since_success: float | None
    seconds_since_failure: float | None
    error: UpstreamError | None


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """How the last requests of one operation ended, after all retries. Times are wall-clock times.

    Attributes:
        succeeded_at: when the last success was received.
        request_id: the upstream's id of that response.
        failed_at: when the last failure was recorded.
        error: that failure.
        failing_since: the first failure since the last success; None if that is the latest result.
    """

    succeeded_at: datetime | None = None
    request_id: str | None = None
    failed_at: datetime | None = None
    error: UpstreamError | None = None
    failing_since: datetime | None = None


class UpstreamStatus:
    """Remembers the last success and the last failure, in all and of each operation.

    An operation is the last segment of an endpoint's path.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._succeeded_at: float | None = None
        self._failed_at: float | None = None
        self._error: UpstreamError | None = None
        self._operations: dict[str, OperationStatus] = {}

    def on_success(self, operation: str, request_id: str | None = None) -> None:
        """Record that the upstream answered a request."""
        self._operations[operation] = replace(
            self.operation(operation),
            succeeded_at=self._clock.now(),
            request_id=request_id,
            failing_since=None,
        )
        if operation != TOKEN_OPERATION:
            self._succeeded_at, self._error = self._clock.monotonic(), None

    def on_failure(self, operation: str, error: UpstreamError) -> None:
        """Record that a request failed with `error`, without keeping its traceback alive."""
        error, now = error.aged(0.0, 0.0), self._clock.now()
        status = self.operation(operation)
        self._operations[operation] = replace(
            status, failed_at=now, error=error, failing_since=status.failing_since or now
        )
        if operation != TOKEN_OPERATION:
            self._failed_at, self._error = self._clock.monotonic(), error

    def last_contact(self) -> LastContact:
        """Return when and how the last requests ended. A token alone is no contact."""
        return LastContact(self._age(self._succeeded_at), self._age(self._failed_at), self._error)

    def operations(self) -> Mapping[str, OperationStatus]:
        """Return how the last requests of each operation ended that has been used."""
        return dict(self._operations)

    def operation(self, operation: str) -> OperationStatus:
        """Return how the last requests of `operation` ended."""
        return self._operations.get(operation) or OperationStatus()

    def _age(self, time: float | None) -> float | None:
        return None if time is None else self._clock.monotonic() - time
