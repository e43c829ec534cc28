"""Circuit breakers, and the admission of calls to the upstream by them and by the limiter.

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
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto

from app.clock import Clock
from app.upstream.calls import AdmissionState
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
from app.upstream.fair_share import Operation
from app.upstream.limiter import CallLimiter, CallStart, LimiterState

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
        self._failed_subjects: set[str] = set()  # since the last success
        self._probe_at: float | None = None  # None while closed
        self._probing = False
        self._epoch = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are rejected, except for probes (open or half-open)."""
        return self._probe_at is not None

    def state(self, now: float) -> str:
        """Return `closed`, `open` or `half_open`."""
        if self._probe_at is None:
            return "closed"
        return "open" if now < self._probe_at else "half_open"

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

    def after_call(
        self, epoch: int, result: CallResult, now: float, subject: str = ""
    ) -> float | None:
        """Record the result of a call that started in `epoch`.

        Results from before the circuit last opened or closed are ignored, and so are failures of a
        `subject`, if there is one, that has failed since the last success. Returns the seconds
        until the next probe if this opened the circuit, else None.
        """
        if epoch != self._epoch:
            return None
        was_probe = self._probing
        self._probing = False
        if result is CallResult.IGNORED:
            return None
        failed = result is CallResult.FAILURE
        if not failed:
            self._failed_subjects.clear()
        elif subject in self._failed_subjects:
            return None
        elif subject:
            self._failed_subjects.add(subject)
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


@dataclass(frozen=True, slots=True)
class CircuitState:
    """The circuit of some operations: `closed`, `open` or `half_open`.

    `retry_in` is the number of seconds for which calls are rejected; None if they are not.
    """

    operations: tuple[str, ...]
    state: str
    retry_in: float | None


DETAIL_OPERATIONS = frozenset({Operation.DETAIL})
LIST_OPERATIONS = frozenset({Operation.LIST, Operation.TOKEN})


class Admission:
    """Lets each call start, or rejects it: first by a circuit breaker, then by the limiter.

    How a call ended is reported to both. Detail calls have a circuit of their own: callers choose
    the order numbers, and those that fail say nothing about the list. Nor does one order that fails
    again and again say anything about the others.
    """

    def __init__(
        self, limiter: CallLimiter, make_breaker: Callable[[], Breaker], clock: Clock
    ) -> None:
        self._limiter = limiter
        self._breakers = {
            LIST_OPERATIONS: make_breaker(),
            DETAIL_OPERATIONS: make_breaker(),
        }
        self._clock = clock

    def is_rejecting(self, operation: Operation) -> bool:
        """Return whether a call would be rejected now because its circuit is open."""
        breaker = self._breakers[_circuit_of(operation)]
        return breaker.retry_in(self._clock.monotonic()) is not None

    def state(self, operation: Operation) -> AdmissionState:
        """Return the state of the operation's circuit and of the limiter."""
        now = self._clock.monotonic()
        limiter = self._limiter
        circuit = self._breakers[_circuit_of(operation)].state(now)
        return AdmissionState(circuit, limiter.rate, limiter.in_flight, limiter.queued)

    def set_processes(self, processes: int) -> None:
        """Share the rate of calls evenly with other processes; `processes` includes this one."""
        self._limiter.set_processes(processes)

    def limiter_state(self) -> LimiterState:
        """Return what the limiter allows at the moment."""
        return self._limiter.state()

    def circuits(self) -> tuple[CircuitState, ...]:
        """Return the state of each circuit."""
        now = self._clock.monotonic()
        return tuple(
            CircuitState(
                tuple(sorted(operation.value for operation in operations)),
                breaker.state(now),
                breaker.retry_in(now),
            )
            for operations, breaker in self._breakers.items()
        )

    @asynccontextmanager
    async def slot(
        self, deadline: float, operation: Operation = Operation.LIST, subject: str = ""
    ) -> AsyncIterator[CallStart]:
        """Hold a slot for one call; an error raised within decides what the breaker records.

        `subject` is the order that the call is about, if it is about one.

        Yields:
            The call's start, to be updated when the call is actually sent.

        Raises:
            UpstreamUnavailable: the circuit is open.
            UpstreamError: as `CallLimiter.acquire`.
        """
        circuit = _circuit_of(operation)
        retry_in = self._breakers[circuit].retry_in(self._clock.monotonic())
        if retry_in is not None:
            raise _circuit_open_error(retry_in)
        epoch = self._breakers[circuit].before_call()
        try:
            start = await self._limiter.acquire(deadline, operation)
        except BaseException:
            self._record(circuit, epoch, CallResult.IGNORED, subject)
            raise
        result, responded = CallResult.IGNORED, False
        try:
            yield start
            result, responded = CallResult.SUCCESS, True
        except UpstreamError as error:
            result = classify_error(error, operation)
            responded = not isinstance(error, (UpstreamThrottled, *_NO_RESPONSE))
            if isinstance(error, UpstreamThrottled):
                self._limiter.on_throttled(start.at, error.retry_after)
            raise
        finally:
            # Record first: if the circuit opens, the queue must be rejected, not dispatched.
            self._record(circuit, epoch, result, subject)
            self._limiter.release(start, responded=responded)

    def _record(
        self, circuit: frozenset[Operation], epoch: int, result: CallResult, subject: str
    ) -> None:
        breaker = self._breakers[circuit]
        was_open = breaker.is_open
        opened_for = breaker.after_call(epoch, result, self._clock.monotonic(), subject)
        fields = {"operations": sorted(operation.value for operation in circuit)}
        if was_open and not breaker.is_open:
            _logger.info("circuit_closed", extra={"fields": fields})
        elif breaker.is_open and not was_open:
            _logger.warning("circuit_opened", extra={"fields": fields})
        if opened_for is not None:
            self._limiter.reject_all(_circuit_open_error(opened_for), circuit)


_NO_RESPONSE = (UpstreamUnreachable, UpstreamTimeout)


def classify_error(error: UpstreamError, operation: Operation = Operation.LIST) -> CallResult:
    """Return what the error of a call that was sent says about the upstream's health.

    An upstream that responds is healthy, even if it rejects the request. One that fails for a
    single order may fail for that order only.
    """
    match error:
        case UpstreamFailed() if operation is Operation.DETAIL:
            return CallResult.IGNORED
        case DeadlineExceeded() | StaleConnection():
            return CallResult.IGNORED
        case UpstreamUnreachable() | UpstreamTimeout() | UpstreamFailed():
            return CallResult.FAILURE
        case _:
            return CallResult.SUCCESS


def _circuit_of(operation: Operation) -> frozenset[Operation]:
    return DETAIL_OPERATIONS if operation in DETAIL_OPERATIONS else LIST_OPERATIONS


def _circuit_open_error(seconds: float) -> UpstreamUnavailable:
    return UpstreamUnavailable("the circuit to the upstream is open", retry_after=seconds)
