"""Computations over the whole list: cooperative loops, and each result computed once.

A loop over 100,000 rows would block the event loop, so it runs in chunks. One computation runs at
a time, the kinds of computations in rotation, and of one kind those of the callers by even shares;
concurrent requests for the same result share it.
"""

import asyncio
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Hashable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from sys import getsizeof
from typing import Any, TypeVar

from app import current_caller
from app.cache.lru import LruStore
from app.caller_shares import CallerShares
from app.clock import Clock
from app.current_caller import CallerKey
from app.single_flight import Flight, SingleFlight, current_flight

T = TypeVar("T")

CHUNK_SIZE = 2000
"""Items processed between two turns of the event loop: a few milliseconds of work."""

MAX_QUEUED = 100
"""Computations of one kind that run or wait, at most half of them for one caller."""

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


async def free_gradually(items: list[Any]) -> None:
    """Empty the list. To free 100,000 rows all at once would stall the event loop."""
    while items:
        del items[-CHUNK_SIZE:]
        await asyncio.sleep(0)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A computation that waits; `turn` is set, or raises the error that it is rejected with."""

    flight: Flight[Any] | None = field(default_factory=current_flight)
    launched_by: CallerKey = field(default_factory=current_caller.current)
    turn: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def callers(self) -> Collection[CallerKey]:
        """The callers that wait for it, or the one that requested it if none waits any more."""
        return (self.flight and self.flight.callers()) or (self.launched_by,)

    def has_turn(self) -> bool:
        """Return whether its turn has come, and it was not rejected."""
        turn = self.turn
        return turn.done() and not turn.cancelled() and not turn.exception()


class Turns:
    """Lets one computation run at a time. The kinds take turns, and of one kind the callers."""

    def __init__(self) -> None:
        self._is_taken = False
        # By kind, the kind whose turn is next first.
        self._waiting: dict[str, list[_Waiting]] = {}
        self._shares: dict[str, CallerShares] = {}

    @asynccontextmanager
    async def take(self, kind: str) -> AsyncIterator[None]:
        """Wait for a turn, which ends with the context.

        Raises:
            ComputeQueueFull: it has been rejected in favor of another caller.
        """
        if self._is_taken:
            waiting = _Waiting()
            self._waiting.setdefault(kind, []).append(waiting)
            try:
                await waiting.turn
            except asyncio.CancelledError:
                # The turn may have come just before the cancellation: pass it on.
                if waiting.has_turn():
                    self._pass_on()
                raise
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    def reject_for(self, kind: str, caller: CallerKey) -> bool:
        """Reject the last computation of the caller with the most of this kind, except `caller`.

        Returns whether there was one.
        """
        waiting = [one for one in self._waiting.get(kind, ()) if not one.turn.done()]
        counts = Counter(other for one in waiting for other in one.callers)
        most = max(counts, key=counts.__getitem__, default=caller)
        if counts[most] <= counts[caller] + 1:
            return False
        rejected = [one for one in waiting if most in one.callers][-1]
        rejected.turn.set_exception(ComputeQueueFull())
        return True

    def _pass_on(self) -> None:
        while self._waiting:
            kind = next(iter(self._waiting))
            queue = [one for one in self._waiting.pop(kind) if not one.turn.done()]
            if queue:
                waiting = self._shares.setdefault(kind, CallerShares()).take(queue)
                queue.remove(waiting)
                if queue:
                    self._waiting[kind] = queue
                waiting.turn.set_result(None)
                return
        self._is_taken = False


class ComputeQueue:
    """Runs computations one at a time and shares each with all who wait for the same result."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns = Turns()
        self._queued: Counter[tuple[str, CallerKey]] = Counter()
        self._flights: SingleFlight[tuple[int, Hashable], Any] = SingleFlight(clock)

    async def get_or_compute(
        self,
        results: ResultCache,
        key: Hashable,
        compute: Callable[[], Coroutine[Any, Any, T]],
        *,
        kind: str,
        deadline: float,
        admit: Callable[[], Exception | None] = lambda: None,
    ) -> T:
        """Return the result cached in `results` for `key`, or compute and cache it.

        Args:
            results: the cache of the list that it is computed from.
            key: names the result.
            compute: computes it.
            kind: which queue it waits in. Many computations of one kind delay one of another kind
                by at most one of theirs.
            deadline: when the caller stops waiting, on the monotonic clock.
            admit: called before a computation is started for this caller. If it returns an error,
                that is raised.

        Raises:
            ComputeQueueFull: the queue is full, half of it is of this caller, it was rejected in
                favor of another caller, or the deadline has passed. A computation that has begun
                is completed; one that nobody waits for any more is not begun.
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
            rejection = admit()
            if rejection:
                raise rejection
            queued = (kind, current_caller.current())
            self._make_room(*queued)
            self._queued[queued] += 1
            flight = self._flights.launch(flight_key, compute_and_cache)
            flight.task.add_done_callback(lambda _: self._release(queued))
        if not await flight.wait(deadline - self._clock.monotonic()):
            raise ComputeQueueFull
        result: T = flight.task.result()
        return result

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for running computations, then cancel them."""
        await self._flights.close(timeout)

    def _make_room(self, kind: str, caller: CallerKey) -> None:
        if caller and self._queued[kind, caller] >= MAX_QUEUED // 2:
            raise ComputeQueueFull
        queued = sum(count for (other, _), count in self._queued.items() if other == kind)
        if queued >= MAX_QUEUED and not self._turns.reject_for(kind, caller):
            raise ComputeQueueFull

    def _release(self, queued: tuple[str, CallerKey]) -> None:
        self._queued[queued] -= 1
        if not self._queued[queued]:
            del self._queued[queued]
