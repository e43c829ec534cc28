"""What happens in one world: plain data, so that a failure can be read. Times are in seconds."""

from dataclasses import dataclass
from enum import Enum

from app.cache.freshness import CacheDirective

ALL_ORDERS = (0, 10**6)
BLOCK_SIZE = 50
HOUR = 3600


class Seam(Enum):
    """Where the simulated upstream replaces the real code.

    Attributes:
        FETCH: right below the order book, without a client or a credential. Small and fast.
        TRANSPORT: below the HTTP client, which is real.
    """

    FETCH = "fetch"
    TRANSPORT = "transport"


class Fault(Enum):
    """How a call to the upstream fails."""

    SERVER_ERROR = "server error"
    TIMEOUT = "timeout"
    CONNECTION_ERROR = "connection error"
    THROTTLED = "throttled"
    MALFORMED = "malformed"
    CREDENTIAL_REJECTED = "credential rejected"


class ChangeKind(Enum):
    """How the list changes.

    Attributes:
        REPLACED: one order removed and another one added, so the total stays the same.
        EDITED: no order moves.
        MOVED: an order goes to where new orders appear.
    """

    ADDED = "added"
    REMOVED = "removed"
    REPLACED = "replaced"
    EDITED = "edited"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a world, named like those of the proxy."""

    ttl: float
    stale_while_revalidate: float
    stale_if_error: float
    max_stale_wait: float
    no_cache_min_age: float
    deadline: float
    max_concurrency: int = 8
    max_rate: int = 50
    max_blocks: int = 100

    @property
    def breaker_open_seconds(self) -> float:
        """How long an open circuit breaker rejects all calls."""
        return min(self.ttl, 5.0)

    @property
    def has_low_limits(self) -> bool:
        """Whether calls have to wait for each other."""
        return self.max_concurrency < 8 or self.max_rate < 50

    @property
    def max_age(self) -> float:
        """The age at which an answer expires."""
        return self.ttl + self.stale_if_error


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that requests the orders at positions `start` to `stop`, or `ALL_ORDERS`.

    Attributes:
        disconnects_after: the caller waits no longer than this.
    """

    at: float
    start: int
    stop: int
    directive: CacheDirective = CacheDirective.DEFAULT
    disconnects_after: float | None = None

    @property
    def requests_all(self) -> bool:
        """Whether the snapshot of all orders is requested, instead of a window."""
        return (self.start, self.stop) == ALL_ORDERS


@dataclass(frozen=True, slots=True)
class ListChange:
    """The list changes at a position."""

    at: float
    kind: ChangeKind
    position: int


@dataclass(frozen=True, slots=True)
class FaultPeriod:
    """For `duration` seconds, calls fail with the given probability."""

    at: float
    duration: float
    fault: Fault
    probability: float


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """The operator configures another access key, and may then delete the old one.

    Attributes:
        valid: whether the upstream knows the new key.
        old_deleted_after: seconds until the old key is deleted; None if it never is.
    """

    at: float
    valid: bool
    old_deleted_after: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One world.

    Attributes:
        size: orders in the list at the start.
        ends_at: when the upstream becomes healthy and stops changing.
        outage_ends_at: when a long outage ends, during which each block is requested often.
        checks_recovery: whether answers are checked once more after `ends_at`.
    """

    seed: int
    seam: Seam
    unfair: bool
    settings: Settings
    size: int
    latencies: tuple[float, ...]
    callers: tuple[Caller, ...]
    changes: tuple[ListChange, ...] = ()
    faults: tuple[FaultPeriod, ...] = ()
    revocations: tuple[float, ...] = ()
    token_lifetime: int = 7200
    rotation: KeyRotation | None = None
    ends_at: float = 0.0
    outage_ends_at: float | None = None
    checks_recovery: bool = False

    @property
    def errors_are_excluded(self) -> bool:
        """Whether every call succeeds, before any caller's deadline."""
        if self.faults or max(self.latencies) >= self.settings.deadline / 2:
            return False
        if self.seam is Seam.FETCH:
            return True
        low_limits = self.settings.has_low_limits
        return not low_limits and not self.revocations and self.token_lifetime > HOUR

    @property
    def cache_fits_all(self) -> bool:
        """Whether the cache has room for every block."""
        return self.settings.max_blocks >= 100
