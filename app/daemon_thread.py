"""Runs a function that may never return, such as reading a file on a hung mount."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Thread
from typing import Protocol, TypeVar

T = TypeVar("T")


class RunInThread(Protocol):
    """Calls a function in another thread and returns its result, as `run_in_thread` does."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]: ...


async def run_in_thread(function: Callable[[], T]) -> T:
    """Return the result of `function`, which is called in a daemon thread of its own.

    Being cancelled does not end the thread.
    """
    return await asyncio.wrap_future(start_daemon_thread(function))


def start_daemon_thread(function: Callable[[], T]) -> Future[T]:
    """Call `function` in a thread of its own, and return the future of its result.

    Unlike the threads of an executor, a daemon thread does not keep the process from exiting. The
    future cannot be cancelled.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever reads the future
            future.set_exception(error)
        else:
            future.set_result(result)

    Thread(target=run, daemon=True).start()
    return future
