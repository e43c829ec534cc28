"""Computations over the whole list: cooperative loops, and each result computed once.

A loop over 100,000 rows would block the event loop, so it runs in chunks. One computation runs at
a time, the kinds of computations in rotation; concurrent requests for the same result share it.
"""

import asyncio
from collections import Counter, deque
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Hashable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from itertools import islice
from sys import getsizeof
from typing import Any, TypeVar

from app.cache.lru import LruStore
from app.clock import Clock
from app.single_flight import SingleFlight, current_flight

T = TypeVar("T")

CHUNK_SIZE = 2000
"""Items processed between two turns of the event loop: a few milliseconds of work."""

MAX_QUEUED = 100
"""Computations of one kind that run or wait."""

MAX_RESULTS = 32
"""Results cached per list; the largest is one integer per row."""

MAX_RESULT_BYTES = 64 * 1024 * 1024
"""Memory of the results cached per list."""


async def cooperative_chunks(
    items: Iterable[T], size: int = CHUNK_SIZE, cost: Callable[[T], int] | None = None
) -> AsyncIterator[Sequence[T]]:
    """Yield `items` in chunks, with a turn of the event loop after each chunk.

    Args:
        items: what to process.
        size: the items of a chunk, or with `cost` their costs together. A chunk ends with the item
            that reaches it.
        cost: returns the cost of an item, at least 1, if they differ.
    """
    iterator = iter(items)
    while chunk := _take(iterator, size, cost):
        yield chunk
        await asyncio.sleep(0)


def _take(iterator: Iterator[T], size: int, cost: Callable[[T], int] | None) -> Sequence[T]:
    if cost is None:
        return tuple(islice(iterator, size))
    chunk: list[T] = []
    for item in iterator:
        chunk.append(item)
        size -= cost(item)
        if size <= 0:
            break
    return chunk


class ComputeQueueFull(Exception):
    """Too many computations are queued, or this one was not done in time."""


class ResultCache(LruStore[Hashable, Any]):
    """The results computed from one list. It is dropped together with the list."""

    def __init__(self) -> None:
        super().__init__(
            max_entries=MAX_RESULTS, max_bytes=MAX_RESULT_BYTES, size_of=_size_of_result
        )


def _size_of_result(result: object) -> int:
    return getattr(result, "size", 0) + getsizeof(result)


class Turns:
    """Lets one computation run at a time. Those that wait get their turn by kind in rotation."""

    def __init__(self) -> None:
        self._is_taken = False
        # By kind, the kind whose turn is next first.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def take(self, kind: str) -> AsyncIterator[None]:
        """Wait for a turn, which ends with the context."""
        if self._is_taken:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(kind, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                # The turn may have come just before the cancellation: pass it on.
                if turn.done() and not turn.cancelled():
                    self._pass_on()
                raise
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            kind = next(iter(self._waiting))
            queue = self._waiting.pop(kind)
            turn = queue.popleft()
            if queue:
                self._waiting[kind] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False


class ComputeQueue:
    """Runs computations one at a time and shares each with all who wait for the same result."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns = Turns()
        self._queued: Counter[str] = Counter()
        self._flights: SingleFlight[tuple[int, Hashable], Any] = SingleFlight(clock)

    async def get_or_compute(
        self,
        results: ResultCache,
        key: Hashable,
        compute: Callable[[], Coroutine[Any, Any, T]],
        *,
        kind: str,
        deadline: float,
    ) -> T:
        """Return the result cached in `results` for `key`, or compute and cache it.

        Args:
            results: the cache of the list that it is computed from.
            key: names the result.
            compute: computes it.
            kind: which queue it waits in. Many computations of one kind delay one of another kind
                by at most one of theirs.
            deadline: when the caller stops waiting, on the monotonic clock.

        Raises:
            ComputeQueueFull: the queue is full, or the deadline has passed. A computation that has
                begun is completed; one that nobody waits for any more is not begun.
        """

        async def compute_and_cache() -> T:
            async with self._turns.take(kind):
                running = current_flight()
                if running and not running.has_waiters():
                    raise ComputeQueueFull
                result = await compute()
            results.put(key, result)
            return result

        cached: T | None = results.get(key)
        if cached is not None:
            return cached
        flight_key = (id(results), key)
        flight = self._flights.get(flight_key)
        if flight is None:
            if self._queued[kind] >= MAX_QUEUED:
                raise ComputeQueueFull
            self._queued[kind] += 1
            flight = self._flights.launch(flight_key, compute_and_cache)
            flight.task.add_done_callback(lambda _: self._queued.subtract([kind]))
        if not await flight.wait(deadline - self._clock.monotonic()):
            raise ComputeQueueFull
        result: T = flight.task.result()
        return result

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for running computations, then cancel them."""
        await self._flights.close(timeout)
