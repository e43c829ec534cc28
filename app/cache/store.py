"""The store that processes share: values with the order of their fetches, and leases to fetch them.

A value is fetched by one process at a time, under a lease that expires unless it is renewed. With
the lease comes a number from a counter that only grows (a fencing token): it decides which of two
fetches started later, whatever the clocks of the processes show. Ages are computed by the clock of
the store when it answers.

`app/cache/sqlite_store.py` and `app/cache/redis_store.py` implement it. Everything in a store may
be lost at any time, and every value expires by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

SCHEMA_VERSION = 1
"""Part of every key. To be raised when what is stored changes its form or its meaning."""

KEY_PREFIX = f"orders-bff:{SCHEMA_VERSION}:"

LEASE_SECONDS = 2.0
"""Seconds after which a lease that is not renewed is free again."""

MAX_VALUE_BYTES = 4 * 1024 * 1024
"""A larger value is not stored."""

MAX_STEPS = 1000
MAX_STEPS_BYTES = 4 * 1024 * 1024
"""Bounds of the history in one space: beyond them the oldest steps are deleted."""

MEMBER_SECONDS = 3.0
"""Seconds after its last exchange for which a process counts as running."""

COUNTER_SECONDS = 30 * 86400.0
"""Seconds for which counters and purge markers are kept after they were last used."""

MAX_CLOCK_STEP = 1.0
"""Seconds by which the store's clock may be set back unnoticed. Values from further in the future
are ignored: their age is unknown."""


MAX_SEQUENCE = 2**52
"""Numbers of fetches are smaller, and exact in a script of Redis; a larger one is not ours."""


class StoreError(Exception):
    """The store failed. The message contains no secret."""


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value, and the fetch that it comes from.

    Attributes:
        data: the encoded value.
        sequence: the number of its fetch.
        completed_at: the number of the fetch that had started last when this one was complete.
        age: seconds since its fetch started.
        refetched_early: whether it replaced an outdated value that was younger than the TTL.
        purged: whether it was fetched before the last purge.
    """

    data: bytes
    sequence: int
    completed_at: int
    age: float
    refetched_early: bool = False
    purged: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which stored value makes a fetch unnecessary. One from before the last purge never does.

    Attributes:
        max_age: seconds; it must be younger.
        after: the number of a fetch; its own must have started later.
        after_early: the same for a value that has replaced an outdated one ahead of time.
        latest_sequence: the number of the latest fetch that the process knows of. New numbers are
            greater, even if the store has lost its counter.
    """

    max_age: float
    after: int = 0
    after_early: int = 0
    latest_sequence: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fetch a value, for `LEASE_SECONDS` or until it is published or released.

    Attributes:
        sequence: the number of the fetch.
        started_at: now, by the store's clock.
        replaced_sequence: the number of the fetch of the stored value; 0 if there is none.
        replaced_age: the age of that value.
    """

    sequence: int
    started_at: float
    replaced_sequence: int = 0
    replaced_age: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a history: from one state to a later one; `data` says what differs."""

    before: str
    after: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Purge:
    """The last purge: a number that grows with each one, and whether values were deleted."""

    number: int
    drop: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the running processes have reported.

    Attributes:
        members: how many processes are running, this one included.
        purge: the last purge; None if there was none.
        reports: the latest report of each other process.
    """

    members: int
    purge: Purge | None = None
    reports: Mapping[str, bytes] = field(default_factory=dict)


class Store(Protocol):
    """A store. `space` begins the names of everything that belongs to one order list.

    Every method raises `StoreError` if the store fails. What another program has overwritten is no
    failure: it is missing.

    Attributes:
        on_unreadable: called with the kind of each such value.
    """

    on_unreadable: Callable[[str], object]

    async def read(self, space: str, keys: Sequence[str]) -> list[StoredValue | None]:
        """Return the value of each key, None where there is none."""

    async def acquire(self, space: str, key: str, wanted: Wanted) -> StoredValue | Lease | None:
        """Return the value if it is as wanted, else a lease; None if another process has it."""

    async def renew(self, space: str, key: str, lease: Lease) -> None:
        """Let the lease expire later, if it has not expired yet."""

    async def publish(
        self, space: str, key: str, lease: Lease, data: bytes, *, early: bool, lifetime: float
    ) -> int:
        """Store a fetched value for `lifetime` seconds and end the lease.

        It is not stored if a later fetch, or a purge, was there before.

        Returns:
            The number of the fetch that has started last.
        """

    async def release(self, space: str, key: str, lease: Lease) -> None:
        """End the lease without a value."""

    async def purge(self, space: str, *, drop: bool, latest_sequence: int = 0) -> int:
        """Make all values unwanted; with `drop` delete them. Return the number of the purge.

        It is greater than that of any fetch, and than `latest_sequence`, the greatest number that
        the process knows: the store may have lost its own.
        """

    async def add_step(self, space: str, step: Step, *, lifetime: float) -> None:
        """Add a step to the history, unless it has one between the same states."""

    async def steps(self, space: str) -> list[Step]:
        """Return the history, the oldest step first."""

    async def exchange(self, space: str, member: str, report: bytes) -> Exchange:
        """Report that the process `member` is running, and return what the others report."""

    async def get_text(self, name: str) -> str | None:
        """Return a text that was stored under this name."""

    async def put_text(self, name: str, text: str, *, lifetime: float) -> None:
        """Store a text for `lifetime` seconds."""

    async def close(self) -> None:
        """Close connections and files."""
