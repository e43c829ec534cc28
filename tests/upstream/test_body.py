"""A body is read to its end within its bounds, or the reading fails by name."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from app.upstream.body import MAX_BODY_BYTES, read_body
from app.upstream.errors import UpstreamMalformed, UpstreamTimeout, UpstreamUnreachable
from tests.support.clock import ManualClock


async def pieces_of(content: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(content: bytes, coding: str = "", size: int = 7) -> bytes:
    clock = ManualClock()
    return await read_body(pieces_of(content, size), coding, clock, deadline=clock.monotonic() + 8)


@pytest.mark.parametrize("coding", ["", "identity"])
async def test_an_uncoded_body_is_read_as_it_is(coding: str):
    assert await read(b"a plain body", coding) == b"a plain body"


async def test_a_gzip_body_is_decoded_piece_by_piece():
    assert await read(gzip.compress(b"a coded body" * 1000), "gzip") == b"a coded body" * 1000


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_no_body_at_all_is_empty(coding: str):
    assert await read(b"", coding) == b""


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip"])
async def test_a_coding_that_was_not_asked_for_is_malformed(coding: str):
    with pytest.raises(UpstreamMalformed):
        await read(b"body", coding)


@pytest.mark.parametrize("end", [5, 12, 60, -1])
async def test_a_gzip_body_that_ends_half_way_is_a_broken_connection(end: int):
    coded = gzip.compress(bytes(range(256)))
    with pytest.raises(UpstreamUnreachable):
        await read(coded[:end], "gzip")


async def test_a_body_that_is_not_the_gzip_it_says_it_is_is_malformed():
    with pytest.raises(UpstreamMalformed) as raised:
        await read(b"not gzip at all", "gzip")
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


async def test_a_body_may_be_as_large_as_the_bound_and_no_larger():
    full = b"x" * MAX_BODY_BYTES
    assert len(await read(full, size=65536)) == MAX_BODY_BYTES
    assert len(await read(gzip.compress(full, 1), "gzip", size=65536)) == MAX_BODY_BYTES
    with pytest.raises(UpstreamMalformed):
        await read(full + b"x", size=65536)
    with pytest.raises(UpstreamMalformed):
        await read(gzip.compress(full + b"x", 1), "gzip", size=65536)


async def test_a_small_body_that_would_decode_to_much_more_is_never_decoded_whole():
    coder = zlib.compressobj(wbits=31)
    coded = b"".join(coder.compress(bytes(2**20)) for _ in range(128)) + coder.flush()
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamMalformed):
            await read(coded, "gzip", size=len(coded))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_BODY_BYTES


async def test_a_body_that_drips_past_the_deadline_is_a_timeout():
    clock = ManualClock()
    taken: list[int] = []

    async def dripping() -> AsyncIterator[bytes]:
        for second in range(100):
            taken.append(second)
            yield b"x"
            await clock.advance(1)

    with pytest.raises(UpstreamTimeout):
        await read_body(dripping(), "", clock, deadline=clock.monotonic() + 8)
    assert len(taken) == 9


async def test_what_follows_the_end_of_a_gzip_body_is_malformed():
    taken = 0

    async def trailing() -> AsyncIterator[bytes]:
        nonlocal taken
        yield gzip.compress(b"{}")
        for _ in range(16):
            taken += 65536
            yield b"\0" * 65536

    clock = ManualClock()
    with pytest.raises(UpstreamMalformed):
        await read_body(trailing(), "gzip", clock, deadline=clock.monotonic() + 8)
    assert taken == 65536
