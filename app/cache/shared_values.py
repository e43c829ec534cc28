"""Values of one kind in a shared store: read by all processes, fetched by one at a time.

A process that needs a newer value takes the lease for it, fetches it and publishes it. The others
wait for that, as long as the lease is renewed, and adopt what was published.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from app.cache.grace_cache import Entry
from app.cache.store import LEASE_SECONDS, Lease, StoredValue, Wanted
from app.cache.store_access import LIST_BUDGET, MISS_BUDGET, StoreAccess, StoreUnavailable
from app.clock import Clock

V = TypeVar("V")

RENEW_SECONDS = LEASE_SECONDS / 4
"""Seconds after which the lease of a fetch in progress is renewed."""

POLL_SECONDS = (0.02, 0.05, 0.1, 0.2)
"""Seconds between two looks at whether another process has published; then always the last one."""


class _Place(NamedTuple):
    """Where a value is stored."""

    space: str
    key: str


class Space(Protocol):
    """What the names of all values begin with. It depends on the pool, which may be unknown.

    Both methods raise `StoreUnavailable` if it cannot be found out.
    """

    async def find(self) -> str:
        """Return it without a call to the upstream."""

    async def require(self) -> str:
        """Return it, if need be with a call to the upstream, whose errors are raised."""


class SharedValues(Generic[V]):
    """The values of one kind.

    Args:
        access: the store.
        space: what the names of all values begin with.
        kind: begins the key of each value.
        encode: returns a value as bytes.
        decode: returns the value of bytes; raises ValueError if they cannot be read.
        max_wait: seconds that the fetch of another process is waited for.
    """

    def __init__(
        self,
        access: StoreAccess,
        space: Space,
        clock: Clock,
        *,
        kind: str,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        max_wait: float,
    ) -> None:
        self._access = access
        self._space = space
        self._clock = clock
        self._kind = kind
        self._encode = encode
        self._decode = decode
        self._max_wait = max_wait

    async def read(self, numbers: Sequence[int]) -> dict[int, tuple[Entry[V], bool]]:
        """Return the values that are stored, whatever their age, and whether they were purged.

        Raises:
            StoreUnavailable: none can be read now.
        """
        space = await self._space.find()
        now = self._clock.monotonic()
        keys = [f"{self._kind}:{number}" for number in numbers]
        budget = LIST_BUDGET if len(keys) > 1 else MISS_BUDGET
        found = await self._access.run(
            partial(self._access.store.read, space, keys), caller_budget=budget
        )
        entries = {}
        for number, value in zip(numbers, found, strict=True):
            entry = self._entry(value, now) if value else None
            if value and entry:
                entries[number] = entry, value.purged
        return entries

    async def obtain(
        self,
        number: int,
        fetch: Callable[[], Coroutine[Any, Any, V]],
        wanted: Callable[[], Wanted],
        *,
        ttl: float,
        lifetime: float,
        caller_budget: float,
        may_be_early: bool = True,
    ) -> Entry[V]:
        """Return a value as wanted: a stored one, or one that is fetched and then stored.

        Args:
            number: which value.
            fetch: fetches it.
            wanted: returns which stored value makes the fetch unnecessary.
            ttl: seconds for which it is fresh.
            lifetime: seconds for which it is stored.
            caller_budget: seconds that one operation of the store may delay a caller.
            may_be_early: whether a fetch while the stored value is fresh is one ahead of time.

        Raises:
            StoreUnavailable: nothing was fetched, because the store cannot be used, or another
                process takes too long.
            Exception: the fetch raised this.
        """
        place = _Place(await self._space.require(), f"{self._kind}:{number}")
        started_at = self._clock.monotonic()
        polls = unreadable = 0
        while True:
            now = self._clock.monotonic()
            found = await self._access.run(
                partial(self._access.store.acquire, *place, _newer(wanted(), unreadable)),
                caller_budget=caller_budget,
                on_late=partial(self._release, place),
            )
            if isinstance(found, StoredValue):
                entry = self._entry(found, now)
                if entry:
                    return entry
                unreadable = found.sequence
                continue
            if found:
                # It replaces a younger one that was outdated, not one a caller did not accept.
                replaces = 0 < found.replaced_sequence <= wanted().after
                is_early = may_be_early and replaces and found.replaced_age < ttl
                value = await self._fetch(place, found, fetch)
                publish = partial(
                    self._access.store.publish,
                    *place,
                    found,
                    self._encode(value),
                    early=is_early,
                    lifetime=lifetime,
                )
                try:
                    completed_at = await self._access.run(publish, caller_budget=caller_budget)
                except StoreUnavailable:
                    completed_at = found.sequence
                return Entry(value, now, found.sequence, is_early, completed_at=completed_at)
            if now - started_at > self._max_wait:
                raise StoreUnavailable
            await self._clock.sleep(POLL_SECONDS[min(polls, len(POLL_SECONDS) - 1)])
            polls += 1

    async def _fetch(
        self, place: "_Place", lease: Lease, fetch: Callable[[], Coroutine[Any, Any, V]]
    ) -> V:
        """Return what `fetch` returns, and renew the lease meanwhile."""
        renewal = asyncio.create_task(self._renew(place, lease))
        try:
            return await fetch()
        except Exception:
            self._release(place, lease)
            raise
        finally:
            renewal.cancel()

    async def _renew(self, place: "_Place", lease: Lease) -> None:
        while True:
            await self._clock.sleep(RENEW_SECONDS)
            self._access.start(partial(self._access.store.renew, *place, lease))

    def _release(self, place: "_Place", lease: Lease | StoredValue | None) -> None:
        """End a lease that is not used; nobody waits for that."""
        if isinstance(lease, Lease):
            self._access.start(partial(self._access.store.release, *place, lease))

    def _entry(self, value: StoredValue, now: float) -> Entry[V] | None:
        """Return the entry of a value that was requested at `now`; None if it cannot be read.

        Its age may be too great by as much as the operation took.
        """
        try:
            decoded = self._decode(value.data)
        except ValueError:
            self._access.store.on_unreadable("value")
            return None
        return Entry(
            decoded,
            now - value.age,
            value.sequence,
            refetched_early=value.refetched_early,
            completed_at=value.completed_at,
            adopted=True,
        )


def _newer(wanted: Wanted, sequence: int) -> Wanted:
    after, early = max(wanted.after, sequence), max(wanted.after_early, sequence)
    return replace(wanted, after=after, after_early=early)
