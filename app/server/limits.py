"""Limits on what clients can use: connections, bytes and time; and the limit on open files."""

from contextlib import suppress
from dataclasses import dataclass, replace

OVERLOAD_HEADROOM = 32
"""Connections accepted beyond `max_connections`, to respond to them with 503."""

MAX_METRICS_CONNECTIONS = 16
"""Connections to the listener for metrics: more than a few Prometheus servers use."""

RESERVED_FDS = 48
"""File descriptors for everything but connections: output, event loop, listener, files, DNS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the server; each is the setting of the same name. Times are in seconds.

    Attributes:
        max_connections: connections open at once that are served.
        request_timeout: to receive a whole request, from its first byte; also the time a new
            connection has for its first request.
        keep_alive_timeout: for which a connection can be idle between requests.
        send_timeout: without progress, after which sending a response is given up.
        max_url_bytes: of path and query.
        max_header_bytes: of all header names and values.
    """

    max_connections: int
    request_timeout: float
    keep_alive_timeout: float
    send_timeout: float
    max_url_bytes: int
    max_header_bytes: int
    max_headers: int
    max_body_bytes: int

    @property
    def max_head_bytes(self) -> int:
        """Bytes buffered of an unfinished request head."""
        return self.max_url_bytes + self.max_header_bytes

    @property
    def hard_max_connections(self) -> int:
        """Connections open at once, including those that get 503."""
        return self.max_connections + OVERLOAD_HEADROOM


def metrics_limits(limits: Limits) -> Limits:
    """Return the limits of the listener for metrics: as `limits`, with few connections."""
    return replace(limits, max_connections=MAX_METRICS_CONNECTIONS)


def limits_for_fd_limit(limits: Limits, *, other_sockets: int) -> Limits:
    """Raise the soft limit of open files as far as needed, and return `limits` that fit into it.

    Otherwise client connections could leave no file descriptor for the `other_sockets`.
    """
    files = raise_fd_limit(limits.hard_max_connections + other_sockets + RESERVED_FDS)
    return cap_connections(limits, files, other_sockets=other_sockets)


def cap_connections(limits: Limits, files: int, *, other_sockets: int) -> Limits:
    """Return `limits` with as many connections as `files` leave room for, at least one."""
    room = files - other_sockets - RESERVED_FDS - OVERLOAD_HEADROOM
    return replace(limits, max_connections=max(1, min(limits.max_connections, room)))


def raise_fd_limit(wanted: int) -> int:
    """Raise the soft limit of open files towards `wanted`; return how many files can be open."""
    allowed = wanted
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource  # noqa: PLC0415

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = resource.RLIM_INFINITY
        allowed = wanted if soft == unlimited else soft
        possible = wanted if hard == unlimited else min(wanted, hard)
        if allowed < possible:
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
            allowed = possible
    return allowed
