"""The id of the request that a task works for, in a context variable."""

import random
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import chain

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Ids are not secret: seeding once is enough, and saves a system call per id.
_random = random.Random()  # noqa: S311
_ID_BYTES = 16
_ID = re.compile("." * 2 * _ID_BYTES)
_BATCH = 64
_current: ContextVar[str] = ContextVar("request_id", default="")


def adopt_or_mint(offered: str | None) -> str:
    """Return the caller's id if it is 8 to 64 characters of `A-Z a-z 0-9 . _ -`, else a new one."""
    return adopted(offered) or mint()


def adopted(offered: str | None) -> str:
    """Return the caller's id if it is well-formed, else an empty string."""
    return offered if offered is not None and _WELL_FORMED.fullmatch(offered) else ""


def _batches() -> Iterator[list[str]]:
    """Yield lists of ids of 32 hexadecimal digits, each cut out of one random number."""
    while True:
        yield _ID.findall(_random.randbytes(_BATCH * _ID_BYTES).hex())


mint: Callable[[], str] = chain.from_iterable(_batches()).__next__
"""Returns a new id. For the thread of the event loop only."""


def current() -> str:
    """Return the id of the request that this task works for, or an empty string."""
    return _current.get()


def set_current(request_id: str) -> None:
    """Set the id for this task and every task that it starts."""
    _current.set(request_id)
