"""Negotiation of the content coding, and compression."""

import asyncio
import gzip

import pytest

from app.edge.content_coding import (
    INLINE_COMPRESS_BYTES,
    MIN_COMPRESS_BYTES,
    EncodedBodies,
    compress,
    negotiate,
)

LARGE = MIN_COMPRESS_BYTES


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "identity"),
        ("gzip, deflate, br", "gzip"),
        ("br, deflate", "identity"),
        ("gzip;q=0.9, br;q=1.0", "gzip"),
        ("gzip ; q=0.5,identity;q=0.5", "gzip"),
        ("gzip;q=0.000", "identity"),
        ("*", "gzip"),
        ("gzip;q=0, *", "identity"),
        ("*;q=0", "identity"),
        ("*;q=0, gzip;q=0.1", "gzip"),
        ("identity", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity;q=0.5, *;q=0.2", "identity"),
        ("identity;q=0", "identity"),
        ("gzip;q=2", "identity"),
        ("gzip;q=high, gzip;level=3", "identity"),
        ("gzip,,", "gzip"),
        ("gzip," + "x" * 300, "gzip"),
    ],
)
def test_the_preferred_acceptable_coding_is_chosen(accept: str, coding: str) -> None:
    assert negotiate(accept.encode(), LARGE) == coding


@pytest.mark.parametrize(
    ("accept", "coding"),
    [("gzip, br", "identity"), ("gzip, identity;q=0", "gzip"), ("gzip, *;q=0", "gzip")],
)
def test_a_small_body_is_compressed_only_if_identity_is_not_acceptable(
    accept: str, coding: str
) -> None:
    assert negotiate(accept.encode(), MIN_COMPRESS_BYTES - 1) == coding


def test_equal_bodies_are_compressed_to_equal_bytes() -> None:
    body = b'{"data":[]}' * 500
    compressed = compress(body)

    assert compressed == compress(body)
    assert len(compressed) < len(body) // 5
    assert gzip.decompress(compressed) == body


@pytest.mark.parametrize("size", [INLINE_COMPRESS_BYTES, INLINE_COMPRESS_BYTES + 1])
async def test_a_body_is_compressed_once_for_all_callers(size: int) -> None:
    encoded = EncodedBodies(b"x" * size)

    assert encoded.get("gzip") is None
    bodies = await asyncio.gather(*(encoded.encoded("gzip") for _ in range(10)))

    assert len({id(body) for body in bodies}) == 1
    assert encoded.get("gzip") is bodies[0]
    assert encoded.size == size + len(bodies[0])


async def test_a_cancelled_caller_does_not_stop_the_compression_for_others() -> None:
    encoded = EncodedBodies(b"x" * (INLINE_COMPRESS_BYTES + 1))
    cancelled = asyncio.ensure_future(encoded.encoded("gzip"))
    waiting = asyncio.ensure_future(encoded.encoded("gzip"))
    await asyncio.sleep(0)
    cancelled.cancel()

    assert await waiting == encoded.get("gzip")


async def test_the_identity_coding_is_the_body_itself() -> None:
    body = b"plain"

    assert await EncodedBodies(body).encoded("identity") is body
