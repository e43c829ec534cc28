"""Access to a shared store that may fail, hang or be slow without an effect on callers.

An operation runs in a task of its own: a command that is cancelled midway could leave its answer
to the next one. Whoever waits for it waits for a bounded time and then goes on without the store.
After a failure the store counts as down until a probe succeeds: others may have begun before.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from app.cache.store import Store, StoreError
from app.clock import Clock
from app.single_flight import current_flight

T = TypeVar("T")

CALLER_BUDGET = 0.010
"""Seconds that an operation may delay a caller for whom something is cached."""

MISS_BUDGET = 0.250
"""The same if nothing is cached: a call to the upstream would take longer, and could be avoided."""

LIST_BUDGET = 1.0
"""The same for many values at once, which have to be read before the first answer."""

BACKGROUND_BUDGET = 1.0
"""Seconds for an operation that no caller waits for."""

HANGING_SECONDS = 0.25
"""An operation that takes longer counts as hanging: until it ends, nobody waits for the store."""

DOWN_SECONDS = 1.0
"""An operation that hangs for longer is a failure of the store."""

STABLE_SECONDS = 10.0
"""A failure sooner after a recovery is not a new one: the recovery was premature."""

MAX_DOWN_SECONDS = 30.0
"""The longest time for which a store that fails again and again counts as down although probes
succeed. It starts with `DOWN_SECONDS`, and doubles."""

_TURNS = 5
"""Turns of the event loop in which an answer that has arrived reaches whoever waits for it."""

_logger = logging.getLogger("orders_bff.store")


class StoreUnavailable(Exception):
    """The store is down, or did not answer in time."""


class StoreAccess:
    """Runs operations of a store.

    Attributes:
        store: the store.
        is_down: whether it has failed, and no probe has succeeded since.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self.is_down = False
        self._recovered_at = float("-inf")
        self._down_until = float("-inf")
        self._down_for = 0.0
        self._pending: dict[asyncio.Task[Any], float] = {}

    async def run(
        self,
        operation: Callable[[], Coroutine[Any, Any, T]],
        *,
        caller_budget: float = CALLER_BUDGET,
        on_late: Callable[[T], None] | None = None,
        is_probe: bool = False,
    ) -> T:
        """Return the result of an operation, which goes on when its caller no longer waits.

        Args:
            operation: starts it.
            caller_budget: seconds to wait for it if a caller waits. Otherwise it is
                `BACKGROUND_BUDGET`.
            on_late: called with a result that came too late.
            is_probe: whether to run it although the store is down. If it succeeds the store is up.

        Raises:
            StoreUnavailable: the store is down, the operation failed, or it takes too long.
        """
        if not is_probe and (self.is_down or self._pending_for() > HANGING_SECONDS):
            raise StoreUnavailable
        task = self._launch(operation, is_probe=is_probe)
        if not await self._finishes(task, _budget(caller_budget)):
            if on_late:
                task.add_done_callback(partial(_call_with_result, on_late))
            raise StoreUnavailable
        if task.cancelled() or task.exception():
            raise StoreUnavailable
        return task.result()

    def start(self, operation: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run an operation whose result nobody needs, unless the store is down."""
        if not self.is_down:
            _ = self._launch(operation)

    def check(self) -> None:
        """Report the store as down if an operation has hung for long."""
        if self._pending_for() > DOWN_SECONDS:
            self._report_down("timeout")

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the operations to end, then close the store."""
        if self._pending:
            all_done = asyncio.ensure_future(asyncio.wait(tuple(self._pending)))
            await self._clock.finishes_within(all_done, timeout)
            for task in tuple(self._pending):
                task.cancel()
            await all_done
        closing = asyncio.ensure_future(self.store.close())
        if not await self._clock.finishes_within(closing, BACKGROUND_BUDGET):
            closing.cancel()
        await asyncio.wait([closing])

    def _launch(
        self, operation: Callable[[], Coroutine[Any, Any, T]], *, is_probe: bool = False
    ) -> "asyncio.Task[T]":
        task = asyncio.create_task(operation())
        self._pending[task] = self._clock.monotonic()
        task.add_done_callback(partial(self._on_done, is_probe))
        return task

    async def _finishes(self, task: "asyncio.Task[Any]", budget: float) -> bool:
        if await self._clock.finishes_within(task, budget):
            return True
        # The event loop may have been late itself.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return task.done()

    def _pending_for(self) -> float:
        """Return for how long the oldest operation has been running, in seconds."""
        started_at = next(iter(self._pending.values()), None)
        return 0.0 if started_at is None else self._clock.monotonic() - started_at

    def _on_done(self, is_probe: bool, task: "asyncio.Task[Any]") -> None:
        del self._pending[task]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            if is_probe:
                self._report_up()
        elif isinstance(error, StoreError):
            self._report_down(str(error))
        else:
            # Whatever it is, callers are to be served without the store.
            _logger.error("unhandled_exception", exc_info=error)
            self._report_down(type(error).__name__)

    def _report_down(self, reason: str) -> None:
        if self.is_down:
            return
        now = self._clock.monotonic()
        if now - self._recovered_at < STABLE_SECONDS:
            self._down_for = min(max(self._down_for * 2, DOWN_SECONDS), MAX_DOWN_SECONDS)
        else:
            self._down_for = 0.0
        self._down_until = now + self._down_for
        self.is_down = True
        _logger.warning("store_down", extra={"fields": {"reason": reason}})

    def _report_up(self) -> None:
        now = self._clock.monotonic()
        if self.is_down and now >= self._down_until:
            self.is_down = False
            self._recovered_at = now
            _logger.info("store_up")


def _budget(caller_budget: float) -> float:
    flight = current_flight()
    return caller_budget if flight is None or flight.has_waiters() else BACKGROUND_BUDGET


def _call_with_result(on_late: Callable[[T], None], task: "asyncio.Task[T]") -> None:
    if not task.cancelled() and not task.exception():
        on_late(task.result())
