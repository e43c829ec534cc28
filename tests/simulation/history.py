"""What has happened in a world, as seen from outside: by its callers and by the upstream."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from app.cache.freshness import Freshness
from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.mapping import Row
from tests.simulation.loop import START
from tests.simulation.plan import BLOCK_SIZE, Caller, Plan
from tests.simulation.rules import Rule


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken."""

    rule: Rule
    detail: str
    at: float

    def __str__(self) -> str:
        return f"{self.rule.value}: {self.detail} (at {self.at - START:g} s)"


@dataclass(frozen=True, slots=True, eq=False)
class ListState:
    """The upstream's list between two changes."""

    version: int
    orders: tuple[Row, ...]

    def block(self, index: int) -> tuple[Row, ...]:
        """Return the rows of a block, as the upstream sends them."""
        return self.orders[index * BLOCK_SIZE : (index + 1) * BLOCK_SIZE]

    def total(self, index: int) -> int:
        """Return the total that the upstream states with a block."""
        del index
        return len(self.orders)


@dataclass(frozen=True, slots=True)
class CallerRequest:
    """A request of a caller."""

    number: int
    caller: Caller
    started_at: float


@dataclass(slots=True)
class Fetch:
    """One fetch of a block.

    Attributes:
        request: the request that caused it, if any.
        has_waiters: whether anybody waits for it.
        rejections: calls that were rejected for their token.
        version: of the list from which it was answered.
        first_version: of the list when it started.
        last_version: of the list when it completed.
    """

    number: int
    index: int
    started_at: float
    request: CallerRequest | None = None
    has_waiters: Callable[[], bool] = lambda: True
    completed_at: float | None = None
    failed_at: float | None = None
    rejections: int = 0
    calls: int = 0
    version: int = -1
    first_version: int = -1
    last_version: int = -1
    total: int = 0
    rows: tuple[Row, ...] = ()

    def completed_before(self, time: float) -> bool:
        """Return whether it had succeeded before `time`."""
        return self.completed_at is not None and self.completed_at < time

    def completed_since(self, time: float) -> bool:
        """Return whether it succeeded at `time` or later."""
        return self.completed_at is not None and self.completed_at >= time


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got.

    Attributes:
        entries: the cached blocks that the answer is based on.
        freshness: what each of them was reported as.
        is_fallback: whether a fetch failed, and a cached block was served instead.
        keeps_duplicates: whether an order that two blocks have is there twice, because the list
            contradicts itself although each block was fetched twice.
    """

    rows: tuple[Row, ...]
    total: int
    inconsistent: bool
    entries: tuple[Entry[Block], ...]
    freshness: tuple[Freshness, ...]
    is_fallback: bool = False
    keeps_duplicates: bool = False


class CallResult(Enum):
    """What the end of a call says about the health of the upstream."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


@dataclass(slots=True)
class Call:
    """One HTTP call.

    Attributes:
        target: what is requested.
        credential: the access key for a token, the token for a page.
        epoch: of the circuit breaker when the call started; 0 if its result does not count.
    """

    target: str
    credential: str
    started_at: float
    result: CallResult = CallResult.IGNORED
    retry_after: float = 0.0
    epoch: int = 0
    is_probe: bool = False


@dataclass(slots=True)
class History:
    """What has happened in a world.

    Attributes:
        time: returns the current time.
        trace: a line for each event; None if nobody reads it.
        in_progress: the fetches in progress by block.
        waiting: numbers of the requests in progress.
        last_departure: when a caller last got its answer, or disconnected.
    """

    plan: Plan
    time: Callable[[], float]
    trace: list[str] | None = None
    violations: list[Violation] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    in_progress: dict[int, Fetch] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    last_departure: float = 0.0

    def log(self, source: str, event: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.time() - START:9.3f}  {source:<12} {event}")

    def report(self, rule: Rule, detail: str) -> None:
        """Record that a rule was broken."""
        self.log("VIOLATION", f"{rule.value}: {detail}")
        self.violations.append(Violation(rule, detail, self.time()))

    def completed(self) -> list[Fetch]:
        """Return the fetches that have succeeded."""
        return [fetch for fetch in self.fetches if fetch.completed_at is not None]

    def has_failed(self, index: int) -> bool:
        """Return whether the last fetch of a block that has ended failed."""
        for fetch in reversed(self.fetches):
            if fetch.index == index and (fetch.completed_at or fetch.failed_at):
                return fetch.failed_at is not None
        return False
