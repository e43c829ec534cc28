"""Runs a coroutine without an event loop, and a function without a thread."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of `coroutine`, resuming it at once whenever it yields.

    This is cheap enough for property tests.

    It must not wait for a future or a task: without an event loop nothing would complete it.
    """
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stopped:
        result: T = stopped.value
        return result


def turns_of(coroutine: Coroutine[Any, Any, Any]) -> int:
    """Return in how many turns of the event loop `coroutine` does its work."""
    turns = 1
    try:
        while True:
            coroutine.send(None)
            turns += 1
    except StopIteration:
        return turns


async def run_inline(function: Callable[[], T]) -> T:
    """Return the result of `function`, where the program would call it in another thread."""
    return function()
