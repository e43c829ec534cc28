"""The id of the request that a task works for, in a context variable."""

import random
import re
from contextvars import ContextVar

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Ids are not secret: seeding once is enough, and saves a system call per id.
_random = random.Random()  # noqa: S311
_current: ContextVar[str] = ContextVar("request_id", default="")


def adopt_or_mint(offered: str | None) -> str:
    """Return the caller's id if it is 8 to 64 characters of `A-Z a-z 0-9 . _ -`, else a new one."""
    if offered is not None and _WELL_FORMED.fullmatch(offered):
        return offered
    return _random.getrandbits(128).to_bytes(16, "big").hex()


def current() -> str:
    """Return the id of the request that this task works for, or an empty string."""
    return _current.get()


def set_current(request_id: str) -> None:
    """Set the id for this task and every task that it starts."""
    _current.set(request_id)
