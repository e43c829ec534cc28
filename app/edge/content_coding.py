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

GZIP = "gzip"

IDENTITY = "identity"

MIN_COMPRESS_BYTES = 1024
"""Smallest body that is compressed, in bytes: below this it fits one packet either way."""

INLINE_COMPRESS_BYTES = 64 * 1024
"""Largest body compressed on the event loop (under a millisecond), in bytes; others in a thread."""

_MEMBER = re.compile(
    rb"[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*"
    rb"(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.IGNORECASE,
)


def negotiate(accept_encoding: bytes, size: int) -> str:
    """Return the coding for a body of `size` bytes: `GZIP` or `IDENTITY`, by the header's weights.

    Without the header, and if neither is acceptable, it is `IDENTITY`: a server may disregard the
    header (RFC 9110 section 12.4.1), and a plain body is of more use than a 406.
    """
    weights = _weights(accept_encoding)
    others = weights.get("*")
    compressed = weights.get(GZIP, others or 0)
    plain = weights.get(IDENTITY, others)  # acceptable without a preference unless listed
    if compressed == 0 or plain == 0:
        return GZIP if compressed else IDENTITY
    return IDENTITY if size < MIN_COMPRESS_BYTES or (plain or 0) > compressed else GZIP


@lru_cache(maxsize=128)  # of headers, whose size the server limits
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


class EncodedBodies:
    """One body in the content codings in which it has been requested so far."""

    def __init__(self, body: bytes) -> None:
        self._bodies = {IDENTITY: body}
        self._tasks: dict[str, asyncio.Task[bytes]] = {}

    @property
    def size(self) -> int:
        """The bytes of all encoded bodies."""
        return sum(map(len, self._bodies.values()))

    def get(self, coding: str) -> bytes | None:
        """Return the body in `coding` if it is already encoded."""
        return self._bodies.get(coding)

    async def encoded(self, coding: str) -> bytes:
        """Return the body in `coding`. A large one is encoded in a thread, once for all callers."""
        body = self._bodies.get(coding)
        if body is None:
            plain = self._bodies[IDENTITY]
            is_small = len(plain) <= INLINE_COMPRESS_BYTES
            body = compress(plain) if is_small else await self._compressed_in_thread(coding)
            self._bodies[coding] = body
        return body

    async def _compressed_in_thread(self, coding: str) -> bytes:
        task = self._tasks.get(coding)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(compress, self._bodies[IDENTITY]))
            self._tasks[coding] = task
            task.add_done_callback(lambda _: self._tasks.pop(coding))
        # Shared by all callers: cancelling one of them must not cancel it for the others.
        return await asyncio.shield(task)
