"""What one caller may take of us: connections, bytes and seconds. Knows no request."""

from dataclasses import dataclass

REFUSAL_HEADROOM = 32
"""Connections more than may be open that are let in, to be told that they are too many."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the door; each is a setting of the same name.

    `connections` is `max_connections`, and so on. Bytes of a target are its path and query, bytes
    of headers their names and values. Times are in seconds, and looked at once a second.
    """

    max_connections: int = 8192
    request_timeout: float = 10
    keep_alive: float = 75
    send_timeout: float = 60
    url_bytes: int = 8 * 1024
    header_bytes: int = 64 * 1024
    headers: int = 128
    body_bytes: int = 64 * 1024

    @property
    def head_bytes(self) -> int:
        """Bytes of a request that are held while its head still comes in."""
        return self.url_bytes + self.header_bytes

    @property
    def hard_max_connections(self) -> int:
        """Connections open at once, those included that are only there to be refused."""
        return self.max_connections + REFUSAL_HEADROOM
