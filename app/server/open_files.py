"""The limit of open files: raised as far as it may be, and the callers kept below it."""

from contextlib import suppress
from dataclasses import replace

from app.server.limits import REFUSAL_HEADROOM, Limits

RESERVED_FDS = 48
"""Open files that are nobody's connection: output, event loop, listener, keys, name look-ups."""


def limits_for_fd_limit(limits: Limits, *, others: int) -> Limits:
    """`limits`, with as many connections as this process may have open.

    Without it, callers who do no more than hold connections would leave none to the upstream.

    Args:
        limits: the bounds of the door.
        others: connections that are not the callers'.
    """
    return within(
        limits, _raised(limits.hard_max_connections + others + RESERVED_FDS), others=others
    )


def within(limits: Limits, files: int, *, others: int) -> Limits:
    """`limits`, with as many connections as `files` leave room for, and at least one."""
    room = files - others - RESERVED_FDS - REFUSAL_HEADROOM
    return replace(limits, max_connections=max(1, min(limits.max_connections, room)))


def _raised(wanted: int) -> int:
    """How many files may be open, once it is as many as are wanted or as the system allows."""
    allowed = wanted
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource  # noqa: PLC0415

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        endless = resource.RLIM_INFINITY
        allowed = wanted if soft == endless else soft
        most = wanted if hard == endless else min(wanted, hard)
        if allowed < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            allowed = most
    return allowed
