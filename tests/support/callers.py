"""Work for one caller or another."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from app import current_caller

T = TypeVar("T")


def start_for(caller: str, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start a task that works for `caller`; for nobody if that is empty."""
    context = copy_context()
    context.run(current_caller.set_current, (caller,) if caller else ())
    return asyncio.get_running_loop().create_task(work, context=context)
