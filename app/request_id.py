"""The request id: adopt a well-formed one, mint otherwise; one ContextVar, no framework."""

import random
import re
from contextvars import ContextVar

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
# An id tells requests apart and is no secret: one seed from the system, not a system call for each.
_dice = random.Random()  # noqa: S311
_current: ContextVar[str] = ContextVar("request_id", default="")


def adopt_or_mint(offered: str | None) -> str:
    """The caller's id if it is 8 to 64 characters of `A-Z a-z 0-9 . _ -`, else a new one."""
    if offered is not None and _WELL_FORMED.fullmatch(offered):
        return offered
    return f"{_dice.getrandbits(128):032x}"


def current() -> str:
    """The id of the request that this task works for; empty outside one."""
    return _current.get()


def set_current(request_id: str) -> None:
    """Name the request that this task, and every task it starts, works for."""
    _current.set(request_id)
