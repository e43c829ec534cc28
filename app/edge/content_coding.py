"""Content codings: negotiation and gzip compression (RFC 9110 sections 8.4 and 12.5.3).

A body is compressed once, for the first caller that accepts it, and cached beside the plain one.
Callers of this module decide which responses may be compressed: if an attacker can put text beside
a secret and see the compressed length, the secret leaks (BREACH).
"""

import asyncio
import gzip
import re
from collections.abc import Mapping
from functools import lru_cache

MIN_COMPRESS_BYTES = 1024
"""Smallest body that is compressed, in bytes: below this it fits one packet either way."""

INLINE_COMPRESS_BYTES = 64 * 1024
"""Largest body compressed on the event loop (under a millisecond), in bytes; others in a thread."""

MAX_HEADER_BYTES = 500
"""Longest Accept-Encoding that is read, since parsed ones are cached."""

_MEMBER = re.compile(
    rb"[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*"
    rb"(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.IGNORECASE,
)


def prefers_gzip(accept_encoding: bytes, size: int) -> bool:
    """Return whether to compress a body of `size` bytes, by the weights of the header.

    Without the header, if it is absurdly long, and if no coding is acceptable, it is not: a server
    may disregard the header (RFC 9110 section 12.4.1), and a plain body is of more use than a 406.
    """
    weights = _weights(accept_encoding if len(accept_encoding) <= MAX_HEADER_BYTES else b"")
    others = weights.get("*")
    compressed = weights.get("gzip", others or 0)
    plain = weights.get("identity", others)  # acceptable without a preference unless listed
    if compressed == 0 or plain == 0:
        return compressed > 0
    return size >= MIN_COMPRESS_BYTES and (plain or 0) <= compressed


@lru_cache(maxsize=128)
def _weights(accept_encoding: bytes) -> Mapping[str, float]:
    weights = {}
    for member in accept_encoding.split(b","):
        if match := _MEMBER.fullmatch(member):
            name = match[1].decode("ascii").lower().removeprefix("x-")
            weights[name] = float(match[2] or 1)
    return weights


def compress(body: bytes) -> bytes:
    """Return `body` compressed with gzip. Without a timestamp, so equal bodies give equal bytes."""
    return gzip.compress(body, 6, mtime=0)


class GzipBody:
    """The gzip form of a body, compressed when it is requested first."""

    def __init__(self, plain: bytes) -> None:
        self._plain = plain
        self._compressed: bytes | None = None
        self._task: asyncio.Task[bytes] | None = None

    @property
    def size(self) -> int:
        """The bytes of the compressed body; 0 as long as there is none."""
        return len(self._compressed or b"")

    async def get(self) -> bytes:
        """Return the compressed body; a large one is compressed in a thread, once for all."""
        if self._compressed is None:
            is_small = len(self._plain) <= INLINE_COMPRESS_BYTES
            self._compressed = compress(self._plain) if is_small else await self._in_thread()
        return self._compressed

    async def _in_thread(self) -> bytes:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(asyncio.to_thread(compress, self._plain))
        # Shared by all callers: cancelling one of them must not cancel it for the others.
        return await asyncio.shield(self._task)
