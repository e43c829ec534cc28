"""Computations over the whole list: cooperative loops, and each result computed once.

A loop over 100,000 rows would block the event loop, so it runs in chunks. One computation runs at
a time; concurrent requests for the same result share it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from app.cache.lru import LruStore
from app.clock import Clock
from app.single_flight import SingleFlight

T = TypeVar("T")

CHUNK_SIZE = 2000
"""Items processed between two turns of the event loop: a few milliseconds of work."""

MAX_QUEUED = 100
"""Computations that run or wait."""

MAX_RESULTS = 32
"""Results cached per list; the largest is one integer per row."""


async def cooperative_chunks(
    items: Iterable[T], size: int = CHUNK_SIZE
) -> AsyncIterator[Sequence[T]]:
    """Yield `items`, `size` at a time, with a turn of the event loop after each chunk."""
    iterator = iter(items)
    while chunk := tuple(islice(iterator, size)):
        yield chunk
        await asyncio.sleep(0)


class ComputeQueueFull(Exception):
    """Too many computations are queued, or this one was not done in time."""


class ResultCache(LruStore[Hashable, Any]):
    """The results computed from one list. It is dropped together with the list."""

    def __init__(self) -> None:
        super().__init__(max_entries=MAX_RESULTS)


class ComputeQueue:
    """Runs computations one at a time and shares each with all who wait for the same result."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._flights: SingleFlight[tuple[int, Hashable], Any] = SingleFlight(clock)

    async def get_or_compute(
        self,
        results: ResultCache,
        key: Hashable,
        compute: Callable[[], Coroutine[Any, Any, T]],
        *,
        deadline: float,
    ) -> T:
        """Return the result cached in `results` for `key`, or compute and cache it.

        Raises:
            ComputeQueueFull: the queue is full, or `deadline`, on the monotonic clock, has passed.
                A computation that has begun is completed.
        """

        async def compute_and_cache() -> T:
            async with self._lock:
                result = await compute()
            results.put(key, result)
            return result

        cached: T | None = results.get(key)
        if cached is not None:
            return cached
        flight_key = (id(results), key)
        flight = self._flights.get(flight_key)
        if flight is None:
            if len(self._flights) >= MAX_QUEUED:
                raise ComputeQueueFull
            flight = self._flights.launch(flight_key, compute_and_cache)
        if not await flight.wait(deadline - self._clock.monotonic()):
            raise ComputeQueueFull
        result: T = flight.task.result()
        return result

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for running computations, then cancel them."""
        await self._flights.close(timeout)
