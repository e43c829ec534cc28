"""Every form of a content coding is decoded, in bounded memory; unknown codings are named."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.content_coding import MAX_GZIP_MEMBERS, BodyDecoder, parse_codings
from app.upstream.errors import UpstreamMalformed

BODY = b'{"statusCode":200}' * 100


def gzip_of(content: bytes) -> bytes:
    # Without the time: xdist compares the names of the tests that its workers collect.
    return gzip.compress(content, mtime=0)


def raw_deflate(content: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(content) + encoder.flush()


def decode(content: bytes, coding: str, *, size: int = 7, max_bytes: int = 10_000) -> bytes:
    decoder = BodyDecoder(coding, max_bytes)
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    body = b"".join(decoder.decode(piece) for piece in pieces)
    assert decoder.is_complete()
    return body


@pytest.mark.parametrize(
    ("content_encoding", "codings"),
    [
        ("", []),
        ("identity", []),
        ("Identity, identity", []),
        (" , ,", []),
        ("gzip", ["gzip"]),
        ("GZip", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("\tgzip ,identity,, ", ["gzip"]),
        ("deflate", ["deflate"]),
        ("deflate, gzip", ["gzip", "deflate"]),
        ("gzip,X-GZIP", ["gzip", "gzip"]),
    ],
)
def test_codings_are_a_list_in_any_case_and_are_decoded_in_reverse_order(
    content_encoding: str, codings: list[str]
):
    assert parse_codings(content_encoding) == codings


@pytest.mark.parametrize(
    ("content_encoding", "message"),
    [
        ("br", "the content coding br is not supported"),
        ("gzip, ZSTD", "the content coding zstd is not supported"),
        ("compress", "the content coding compress is not supported"),
        ("gzip;q=1", "the content coding of the response is not supported"),
        ("x" * 21, "the content coding of the response is not supported"),
        ("<script>", "the content coding of the response is not supported"),
        ("gzip, gzip, gzip", "the response has too many content codings"),
    ],
)
def test_a_coding_that_cannot_be_decoded_is_refused_by_name(content_encoding: str, message: str):
    with pytest.raises(UpstreamMalformed) as raised:
        BodyDecoder(content_encoding, 100)
    assert str(raised.value) == message


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        ("", BODY),
        ("gzip", gzip_of(BODY)),
        ("gzip", gzip_of(BODY[:50]) + gzip_of(b"") + gzip_of(BODY[50:])),
        ("gzip", gzip_of(BODY) + bytes(512)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("gzip, gzip", gzip_of(gzip_of(BODY))),
        ("deflate, gzip", gzip_of(raw_deflate(BODY))),
    ],
    ids=["none", "gzip", "members", "padding", "zlib", "raw", "twice", "both"],
)
def test_a_body_is_decoded_in_pieces_of_any_size(coding: str, encoded: bytes, size: int):
    assert decode(encoded, coding, size=size) == BODY


@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "gzip, deflate"])
def test_a_missing_body_is_complete(coding: str):
    assert decode(b"", coding) == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("end", [1, 5, 12, -1])
def test_a_body_that_ends_too_early_is_incomplete(coding: str, end: int):
    decoder = BodyDecoder(coding, 10_000)
    decoder.decode((gzip.compress if coding == "gzip" else zlib.compress)(BODY)[:end])
    assert not decoder.is_complete()


@pytest.mark.parametrize(
    ("coding", "encoded", "message"),
    [
        ("gzip", b"not gzip at all", "the response is not valid gzip"),
        ("gzip", gzip_of(BODY) + b"<html>", "the response is not valid gzip"),
        ("deflate", b"\xff" * 20, "the response is not valid deflate"),
        (
            "deflate",
            zlib.compress(BODY) + b"x",
            "the response has data after the end of its deflate",
        ),
        (
            "gzip",
            gzip_of(b"") * (MAX_GZIP_MEMBERS + 1),
            "the response has data after the end of its gzip",
        ),
    ],
)
def test_a_body_that_is_not_valid_in_its_coding_is_malformed(
    coding: str, encoded: bytes, message: str
):
    with pytest.raises(UpstreamMalformed) as raised:
        decode(encoded, coding, max_bytes=100_000)
    assert str(raised.value) == message
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("coding", ["", "gzip", "gzip, gzip", "deflate"])
def test_a_body_may_be_as_large_as_the_limit_and_no_larger(coding: str):
    def encoded(content: bytes) -> bytes:
        if coding == "deflate":
            return zlib.compress(content)
        for _ in filter(None, coding.split(",")):
            content = gzip_of(content)
        return content

    assert len(decode(encoded(bytes(5000)), coding, max_bytes=5000)) == 5000
    with pytest.raises(UpstreamMalformed):
        decode(encoded(bytes(5001)), coding, max_bytes=5000)


def test_a_stage_in_between_is_bounded_as_well():
    empty_members = gzip_of(b"") * 900
    with pytest.raises(UpstreamMalformed, match="too large"):
        decode(gzip_of(empty_members), "gzip, gzip", max_bytes=10_000)


def test_a_bomb_is_never_decoded_completely():
    encoder = zlib.compressobj(wbits=31)
    bomb = b"".join(encoder.compress(bytes(2**20)) for _ in range(64)) + encoder.flush()
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamMalformed):
            decode(bomb, "gzip", size=len(bomb), max_bytes=2**20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "gzip, deflate"]))
def test_any_bytes_are_decoded_or_malformed(content: bytes, coding: str):
    decoder = BodyDecoder(coding, 1000)
    try:
        for start in range(0, len(content), 3):
            decoder.decode(content[start : start + 3])
    except UpstreamMalformed:
        pass
