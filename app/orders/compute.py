"""What is worked out from a list: once a question, one at a time, so that nobody else has to wait.

Knows nothing of orders: a list is whatever a memory hangs on.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar, cast

from app.cache.lru import LruStore
from app.clock import Clock
from app.single_flight import SingleFlight

T = TypeVar("T")

MAX_QUEUED = 100
"""Questions that are worked on or wait for it."""

MAX_RESULTS = 32
"""Answers that one list remembers; each holds a number a row at most."""


class ComputeQueueFull(Exception):
    """Too many questions wait already, or this one waited for too long."""


class ResultCache:
    """The memory of one list; it dies with it."""

    def __init__(self) -> None:
        self._results: LruStore[Hashable, object] = LruStore(
            max_entries=MAX_RESULTS, max_bytes=MAX_RESULTS, size_of=lambda _: 1
        )

    def get(self, question: Hashable) -> object | None:
        """What was worked out for `question`."""
        return self._results.get(question)

    def put(self, question: Hashable, result: object) -> None:
        """Remember `result`."""
        self._results.put(question, result)


class ComputeQueue:
    """Works things out, each for everybody who asks the same of the same list."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._flights: SingleFlight[tuple[int, Hashable], object] = SingleFlight(clock)

    async def get_or_compute(
        self,
        worked: ResultCache,
        question: Hashable,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        until: float,
    ) -> T:
        """What `work` gives; remembered in `worked`, waited for until the moment `until`.

        Raises:
            TooMuchWork: it could not be had in time.
        """
        held = worked.get(question)
        if held is not None:
            return cast("T", held)
        key = (id(worked), question)
        flight = self._flights.under_way(key)
        if flight is None:
            if len(self._flights) >= MAX_QUEUED:
                raise ComputeQueueFull
            flight = self._flights.launch(key, lambda: self._work(worked, question, work))
        if not await flight.landed_within(max(until - self._clock.monotonic(), 0.0)):
            raise ComputeQueueFull
        return cast("T", flight.result())

    async def close(self, seconds: float) -> None:
        """Let the work under way come to its end, at most `seconds`."""
        await self._flights.close(seconds)

    async def _work(
        self,
        worked: ResultCache,
        question: Hashable,
        work: Callable[[], Coroutine[Any, Any, object]],
    ) -> object:
        async with self._turn:
            result = await work()
        worked.put(question, result)
        return result
