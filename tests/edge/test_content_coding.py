"""Negotiation of the content coding, and compression."""

import asyncio
import gzip

import pytest

from app.edge.content_coding import (
    INLINE_COMPRESS_BYTES,
    MIN_COMPRESS_BYTES,
    GzipBody,
    compress,
    prefers_gzip,
)

LARGE = MIN_COMPRESS_BYTES


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("zstd", False),
        ("gzip, deflate, br", True),
        ("br, deflate", False),
        ("gzip;q=0.9, br;q=1.0", True),
        ("gzip ; q=0.5,identity;q=0.5", True),
        ("gzip;q=0.000", False),
        ("*", True),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("*;q=0, gzip;q=0.1", True),
        ("identity", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip", True),
        ("identity;q=0.5, *;q=0.2", False),
        ("identity;q=0", False),
        ("gzip;q=2", False),
        ("gzip;q=high, gzip;level=3", False),
        ("gzip,,", True),
        ("gzip," + "x" * 300, True),
        ("gzip," + "x" * 500, False),
    ],
)
def test_gzip_is_used_if_it_is_acceptable_and_preferred(accept: str, *, expected: bool) -> None:
    assert prefers_gzip(accept.encode(), LARGE) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("gzip, br", False), ("gzip, identity;q=0", True), ("gzip, *;q=0", True)],
)
def test_a_small_body_is_compressed_only_if_identity_is_not_acceptable(
    accept: str, *, expected: bool
) -> None:
    assert prefers_gzip(accept.encode(), MIN_COMPRESS_BYTES - 1) is expected


def test_equal_bodies_are_compressed_to_equal_bytes() -> None:
    body = b'{"data":[]}' * 500
    compressed = compress(body)

    assert compressed == compress(body)
    assert len(compressed) < len(body) // 5
    assert gzip.decompress(compressed) == body


@pytest.mark.parametrize("size", [INLINE_COMPRESS_BYTES, INLINE_COMPRESS_BYTES + 1])
async def test_a_body_is_compressed_once_for_all_callers(size: int) -> None:
    body = GzipBody(b"x" * size)
    assert body.size == 0

    results = await asyncio.gather(*(body.get() for _ in range(10)))

    assert len({id(result) for result in results}) == 1
    assert gzip.decompress(results[0]) == b"x" * size
    assert body.size == len(results[0])


async def test_a_cancelled_caller_does_not_stop_the_compression_for_others() -> None:
    body = GzipBody(b"x" * (INLINE_COMPRESS_BYTES + 1))
    cancelled = asyncio.ensure_future(body.get())
    waiting = asyncio.ensure_future(body.get())
    await asyncio.sleep(0)
    cancelled.cancel()

    assert gzip.decompress(await waiting) == b"x" * (INLINE_COMPRESS_BYTES + 1)
