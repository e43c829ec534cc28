"""Read one answer's body, bounded while it is read. Decides nothing about what it says."""

import zlib
from collections.abc import AsyncIterator

from app.clock import Clock
from app.upstream.errors import UpstreamMalformed, UpstreamTimeout, UpstreamUnreachable

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Bytes of one answer, decoded."""

_GZIP = 16 + zlib.MAX_WBITS


async def read_body(
    pieces: AsyncIterator[bytes], coding: str, clock: Clock, *, deadline: float
) -> bytes:
    """All of a body, decoded; `deadline` is a moment of the monotonic clock.

    Raises:
        UpstreamMalformed: over `MAX_BODY`, or in a coding that was not asked for.
        UpstreamTimeout: the deadline came between two pieces.
        UpstreamUnreachable: a coded body that ends half-way.
    """
    if coding not in ("", "identity", "gzip"):
        raise UpstreamMalformed("the answer is in a content coding that was not asked for")
    decoder = zlib.decompressobj(_GZIP) if coding == "gzip" else None
    body = bytearray()
    begun = False
    async for piece in pieces:
        begun = True
        if clock.monotonic() >= deadline:
            raise UpstreamTimeout("the answer did not end in time")
        # Never decode more than may be kept: a small piece can hold a thousand times its size.
        body += _decoded(decoder, piece, MAX_BODY_BYTES + 1 - len(body)) if decoder else piece
        if decoder and decoder.unused_data:
            raise UpstreamMalformed("the answer goes on after its end")
        if len(body) > MAX_BODY_BYTES:
            raise UpstreamMalformed("the answer is larger than 8 MiB")
    if decoder and begun and not decoder.eof:
        raise UpstreamUnreachable("the answer ended half-way")
    return bytes(body)


def _decoded(decoder: "zlib._Decompress", piece: bytes, most: int) -> bytes:
    try:
        return decoder.decompress(piece, most)
    except zlib.error:
        raise UpstreamMalformed("the answer is not the gzip that it says it is") from None
