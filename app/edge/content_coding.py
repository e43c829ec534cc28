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

_REMEMBERED = 256
"""Longest Accept-Encoding whose parsed form is cached, in bytes."""

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
    short = len(accept_encoding) <= _REMEMBERED
    weights = (_remembered if short else _weights)(accept_encoding)
    others = weights.get("*")
    compressed = weights.get(GZIP, others or 0)
    plain = weights.get(IDENTITY, others)  # acceptable without a preference unless listed
    if compressed == 0 or plain == 0:
        return GZIP if compressed else IDENTITY
    return IDENTITY if size < MIN_COMPRESS_BYTES or (plain or 0) > compressed else GZIP


def _weights(accept_encoding: bytes) -> Mapping[str, float]:
    weights = {}
    for member in accept_encoding.split(b","):
        if read := _MEMBER.fullmatch(member):
            name = read[1].decode("ascii").lower().removeprefix("x-")
            weights[name] = float(read[2] or 1)
    return weights


_remembered = lru_cache(maxsize=128)(_weights)


def compress(body: bytes) -> bytes:
    """Return `body` compressed with gzip. Without a timestamp, so equal bodies give equal bytes."""
    return gzip.compress(body, 6, mtime=0)


class EncodedBodies:
    """One body in every coding that somebody has wanted it in so far."""

    def __init__(self, body: bytes) -> None:
        self._bodies = {IDENTITY: body}
        self._making: dict[str, asyncio.Task[bytes]] = {}

    @property
    def size(self) -> int:
        """The bytes of them all."""
        return sum(map(len, self._bodies.values()))

    def get(self, coding: str) -> bytes | None:
        """The body in `coding`, if that is made."""
        return self._bodies.get(coding)

    async def encoded(self, coding: str) -> bytes:
        """The body in `coding`; a large one is made in a thread, once for all who wait for it."""
        body = self._bodies.get(coding)
        if body is None:
            plain = self._bodies[IDENTITY]
            body = (
                compress(plain)
                if len(plain) <= INLINE_COMPRESS_BYTES
                else await self._elsewhere(coding)
            )
            self._bodies[coding] = body
        return body

    async def _elsewhere(self, coding: str) -> bytes:
        making = self._making.get(coding)
        if making is None:
            work = asyncio.to_thread(compress, self._bodies[IDENTITY])
            self._making[coding] = making = asyncio.create_task(work)
        # It belongs to all who wait: one who leaves ends nothing.
        return await asyncio.shield(making)
