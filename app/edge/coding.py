"""Which content coding an answer is sent in, and how it is made (RFC 9110 sections 8.4 and 12.5.3).

A body is coded once, by the first who wants it so, and then held beside the plain one. Knows no
resource. What of an answer may not be coded is for whoever answers to know: an attacker who can put
text beside a secret, and sees the length of both together, learns the secret (BREACH).
"""

import asyncio
import gzip
import re
from collections.abc import Mapping
from functools import lru_cache

import zstandard

CODINGS = ("zstd", "gzip")
"""The codings that are made, the better first: zstd is as small and costs half."""

IDENTITY = "identity"

SMALLEST = 1024
"""Bytes of a body that is worth coding: below, a header more and a packet all the same."""

IN_PLACE = 64 * 1024
"""Bytes of a body that is coded where it is asked for, within a millisecond; else in a thread."""

_REMEMBERED = 256
"""Longest Accept-Encoding that is remembered once it is read; there are only so many that occur."""

_MEMBER = re.compile(
    rb"[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*"
    rb"(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.IGNORECASE,
)


def coding_for(accept_encoding: bytes, size: int) -> str:
    """The coding for a body of `size` bytes: of what is acceptable, what the caller likes best.

    A caller who does not say gets identity. So does one who accepts nothing that we have: the
    standard lets a server disregard that (RFC 9110 section 12.4.1), and bytes serve better than a
    refusal.
    """
    short = len(accept_encoding) <= _REMEMBERED
    weights = (_remembered if short else _weights)(accept_encoding)
    others = weights.get("*")
    best = max(CODINGS, key=lambda name: weights.get(name, others or 0))
    worth = weights.get(best, others or 0)
    plain = weights.get(IDENTITY, others)  # unless it is named, it is acceptable and not asked for
    if worth == 0 or plain == 0:
        return best if worth else IDENTITY
    return IDENTITY if size < SMALLEST or (plain or 0) > worth else best


def _weights(accept_encoding: bytes) -> Mapping[str, float]:
    weights = {}
    for member in accept_encoding.split(b","):
        if read := _MEMBER.fullmatch(member):
            name = read[1].decode("ascii").lower().removeprefix("x-")
            weights[name] = float(read[2] or 1)
    return weights


_remembered = lru_cache(maxsize=128)(_weights)


def encode(body: bytes, coding: str) -> bytes:
    """`body` in one of `CODINGS`: the same bytes for the same body, always."""
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=6).compress(body)
    return gzip.compress(body, 6, mtime=0)


class Codings:
    """One body in every coding that somebody has wanted it in so far."""

    def __init__(self, body: bytes) -> None:
        self._bodies = {IDENTITY: body}
        self._making: dict[str, asyncio.Task[bytes]] = {}

    @property
    def weight(self) -> int:
        """The bytes of them all."""
        return sum(map(len, self._bodies.values()))

    def get(self, coding: str) -> bytes | None:
        """The body in `coding`, if that is made."""
        return self._bodies.get(coding)

    async def made(self, coding: str) -> bytes:
        """The body in `coding`; a large one is made in a thread, once for all who wait for it."""
        body = self._bodies.get(coding)
        if body is None:
            plain = self._bodies[IDENTITY]
            body = (
                encode(plain, coding) if len(plain) <= IN_PLACE else await self._elsewhere(coding)
            )
            self._bodies[coding] = body
        return body

    async def _elsewhere(self, coding: str) -> bytes:
        making = self._making.get(coding)
        if making is None:
            work = asyncio.to_thread(encode, self._bodies[IDENTITY], coding)
            self._making[coding] = making = asyncio.create_task(work)
        # It belongs to all who wait: one who leaves ends nothing.
        return await asyncio.shield(making)
