"""Which coding a caller is sent, and what it is sent then."""

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
def test_of_what_is_acceptable_a_caller_is_sent_what_it_likes_best(
    accept: str, coding: str
) -> None:
    assert negotiate(accept.encode(), LARGE) == coding


@pytest.mark.parametrize(
    ("accept", "coding"),
    [("gzip, br", "identity"), ("gzip, identity;q=0", "gzip"), ("gzip, *;q=0", "gzip")],
)
def test_a_small_body_is_coded_only_for_who_takes_no_plain_one(accept: str, coding: str) -> None:
    assert negotiate(accept.encode(), MIN_COMPRESS_BYTES - 1) == coding


def test_equal_bodies_are_compressed_to_equal_bytes() -> None:
    body = b'{"data":[]}' * 500
    compressed = compress(body)

    assert compressed == compress(body)
    assert len(compressed) < len(body) // 5
    assert gzip.decompress(compressed) == body


@pytest.mark.parametrize("size", [INLINE_COMPRESS_BYTES, INLINE_COMPRESS_BYTES + 1])
async def test_a_body_is_coded_once_however_many_want_it(size: int) -> None:
    codings = EncodedBodies(b"x" * size)

    assert codings.get("gzip") is None
    bodies = await asyncio.gather(*(codings.encoded("gzip") for _ in range(10)))

    assert len({id(body) for body in bodies}) == 1
    assert codings.get("gzip") is bodies[0]
    assert codings.size == size + len(bodies[0])


async def test_who_leaves_while_a_large_body_is_coded_ends_nothing() -> None:
    codings = EncodedBodies(b"x" * (INLINE_COMPRESS_BYTES + 1))
    leaver = asyncio.ensure_future(codings.encoded("gzip"))
    stayer = asyncio.ensure_future(codings.encoded("gzip"))
    await asyncio.sleep(0)
    leaver.cancel()

    assert await stayer == codings.get("gzip")


async def test_who_wants_it_plain_is_sent_what_was_given() -> None:
    body = b"plain"

    assert await EncodedBodies(body).encoded("identity") is body
