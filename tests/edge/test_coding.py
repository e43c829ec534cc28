"""Which coding a caller is sent, and what it is sent then."""

import asyncio
import gzip

import pytest
import zstandard

from app.edge.coding import CODINGS, IN_PLACE, SMALLEST, Codings, coding_for, encode

LARGE = SMALLEST


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "gzip"),
        ("br, deflate", "identity"),
        ("gzip;q=1.0, zstd;q=0.9", "gzip"),
        ("gzip;q=0.5,zstd ; q=0.5", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("zstd;q=0.000, gzip;q=0", "identity"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("*;q=0", "identity"),
        ("*;q=0, gzip;q=0.1", "gzip"),
        ("identity", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity;q=0.5, *;q=0.2", "identity"),
        ("identity;q=0", "identity"),
        ("gzip;q=2", "identity"),
        ("gzip;q=high, zstd;level=3", "identity"),
        ("gzip,,", "gzip"),
        ("gzip," + "x" * 300, "gzip"),
    ],
)
def test_of_what_is_acceptable_a_caller_is_sent_what_it_likes_best(
    accept: str, coding: str
) -> None:
    assert coding_for(accept.encode(), LARGE) == coding


@pytest.mark.parametrize(
    ("accept", "coding"),
    [("gzip, zstd", "identity"), ("gzip, identity;q=0", "gzip"), ("gzip, *;q=0", "gzip")],
)
def test_a_small_body_is_coded_only_for_who_takes_no_plain_one(accept: str, coding: str) -> None:
    assert coding_for(accept.encode(), SMALLEST - 1) == coding


@pytest.mark.parametrize("coding", CODINGS)
def test_the_same_body_is_coded_to_the_same_bytes(coding: str) -> None:
    body = b'{"data":[]}' * 500
    coded = encode(body, coding)

    assert coded == encode(body, coding)
    assert len(coded) < len(body) // 5
    plain = gzip.decompress if coding == "gzip" else zstandard.ZstdDecompressor().decompress
    assert plain(coded) == body


def test_what_is_sent_in_zstd_needs_no_larger_window_than_the_standard_allows() -> None:
    coded = encode(b"x" * 20_000_000, "zstd")

    assert zstandard.get_frame_parameters(coded).window_size <= 8 * 1024 * 1024  # RFC 9659


@pytest.mark.parametrize("size", [IN_PLACE, IN_PLACE + 1])
async def test_a_body_is_coded_once_however_many_want_it(size: int) -> None:
    codings = Codings(b"x" * size)

    assert codings.get("gzip") is None
    bodies = await asyncio.gather(*(codings.made("gzip") for _ in range(10)))

    assert len({id(body) for body in bodies}) == 1
    assert codings.get("gzip") is bodies[0]
    assert codings.weight == size + len(bodies[0])


async def test_who_leaves_while_a_large_body_is_coded_ends_nothing() -> None:
    codings = Codings(b"x" * (IN_PLACE + 1))
    leaver = asyncio.ensure_future(codings.made("zstd"))
    stayer = asyncio.ensure_future(codings.made("zstd"))
    await asyncio.sleep(0)
    leaver.cancel()

    assert await stayer == codings.get("zstd")


async def test_who_wants_it_plain_is_sent_what_was_given() -> None:
    body = b"plain"

    assert await Codings(body).made("identity") is body
