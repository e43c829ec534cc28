"""The caller that a task works for, in a context variable, as the key of its limits and shares."""

from contextvars import ContextVar

CallerKey = tuple[str, ...]
"""What identifies a caller; empty for work that belongs to no caller."""

_current: ContextVar[CallerKey] = ContextVar("caller", default=())


def current() -> CallerKey:
    """Return the caller that this task works for."""
    return _current.get()


def set_current(caller: CallerKey) -> None:
    """Set the caller for this task and every task that it starts."""
    _current.set(caller)
