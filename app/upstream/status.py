"""What is known of the other side without asking it. Knows no resource, and judges nothing."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from app.clock import Clock

P = ParamSpec("P")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class LastContact:
    """How long ago the other side last answered and last failed, in seconds; None is never.

    `failure` is the problem code of its failing, if that was the last that was heard of it.
    """

    seconds_since_success: float | None
    seconds_since_failure: float | None
    failure: str | None


class UpstreamStatus:
    """Listens to calls that others make.

    Args:
        clock: the only source of time.
        failures: what says that the other side failed; other errors say nothing of it.
        code_of: the problem code of an error.
    """

    def __init__(
        self,
        clock: Clock,
        failures: type[Exception],
        code_of: Callable[[Exception], str],
    ) -> None:
        self._clock = clock
        self._failures = failures
        self._code_of = code_of
        self._answered: float | None = None
        self._failed: float | None = None
        self._failure: str | None = None

    def observe(
        self, call: Callable[P, Coroutine[Any, Any, V]]
    ) -> Callable[P, Coroutine[Any, Any, V]]:
        """`call`, listened to."""

        async def listened_to(*args: P.args, **kwargs: P.kwargs) -> V:
            try:
                answer = await call(*args, **kwargs)
            except self._failures as failure:
                self._failed, self._failure = self._clock.monotonic(), self._code_of(failure)
                raise
            self._answered, self._failure = self._clock.monotonic(), None
            return answer

        return listened_to

    def snapshot(self) -> LastContact:
        """What has been heard until now."""
        return LastContact(self._ago(self._answered), self._ago(self._failed), self._failure)

    def _ago(self, moment: float | None) -> float | None:
        return None if moment is None else self._clock.monotonic() - moment
