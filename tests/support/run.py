"""Run a coroutine that waits for nobody, without a loop: property tests run thousands."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it may let others have their turn, and there are none."""
    try:
        while True:
            work.send(None)
    except StopIteration as stopped:
        result: T = stopped.value
        return result
