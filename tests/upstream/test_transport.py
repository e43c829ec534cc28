"""Response bodies are read within their limits; an HTTP client that loses calls is replaced."""

import asyncio
import gzip
import logging
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from app.upstream.errors import (
    DeadlineExceeded,
    UpstreamMalformed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.transport import CHUNKS_PER_TURN, MAX_BODY_BYTES, MAX_CHUNKS, read_body
from tests.support.clock import ManualClock, settle
from tests.support.upstream import ScriptedUpstream, client_of


async def chunks_of(content: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(content: bytes, coding: str = "", size: int = 7) -> bytes:
    clock = ManualClock()
    return await read_body(chunks_of(content, size), coding, clock, deadline=clock.monotonic() + 8)


@pytest.mark.parametrize("coding", ["", "identity"])
async def test_a_body_without_coding_is_returned_as_it_is(coding: str):
    assert await read(b"a plain body", coding) == b"a plain body"


async def test_a_gzip_body_is_decoded_chunk_by_chunk():
    assert (
        await read(gzip.compress(b"a compressed body" * 1000), "gzip")
        == b"a compressed body" * 1000
    )


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_a_missing_body_is_empty(coding: str):
    assert await read(b"", coding) == b""


@pytest.mark.parametrize("end", [5, 12, 60, -1])
async def test_an_incomplete_gzip_body_is_a_broken_connection(end: int):
    compressed = gzip.compress(bytes(range(256)))
    with pytest.raises(UpstreamUnreachable):
        await read(compressed[:end], "gzip")


async def test_a_body_may_be_as_large_as_the_limit_and_no_larger():
    full = b"x" * MAX_BODY_BYTES
    assert len(await read(full, size=65536)) == MAX_BODY_BYTES
    assert len(await read(gzip.compress(full, 1), "gzip", size=65536)) == MAX_BODY_BYTES
    with pytest.raises(UpstreamMalformed):
        await read(full + b"x", size=65536)
    with pytest.raises(UpstreamMalformed):
        await read(gzip.compress(full + b"x", 1), "gzip", size=65536)


async def test_a_gzip_bomb_is_never_decoded_completely():
    encoder = zlib.compressobj(wbits=31)
    bomb = b"".join(encoder.compress(bytes(2**20)) for _ in range(128)) + encoder.flush()
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamMalformed):
            await read(bomb, "gzip", size=len(bomb))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_BODY_BYTES


async def test_a_body_that_drips_beyond_the_deadline_is_a_timeout():
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


async def test_a_body_may_have_as_many_chunks_as_the_limit_and_no_more():
    assert len(await read(b"x" * MAX_CHUNKS, size=1)) == MAX_CHUNKS
    with pytest.raises(UpstreamMalformed):
        await read(b"x" * (MAX_CHUNKS + 1), size=1)


async def test_chunks_that_are_received_at_once_are_read_in_many_turns_of_the_event_loop():
    reading = asyncio.create_task(read(b"x" * MAX_CHUNKS, size=1))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= MAX_CHUNKS / CHUNKS_PER_TURN


class CountingTransport(httpx.MockTransport):
    """Counts how often a client closes it."""

    closed = 0

    async def aclose(self) -> None:
        self.closed += 1


async def test_an_http_client_without_a_free_connection_is_replaced_and_closed_later(
    caplog: pytest.LogCaptureFixture,
):
    clock, upstream = ManualClock(), ScriptedUpstream()
    network = CountingTransport(upstream.transport.handler)
    client = client_of(upstream, clock, transport=network)
    before = asyncio.all_tasks()
    upstream.fail_next(error=httpx.PoolTimeout("x"), times=2)
    gate = upstream.hold(times=2)
    deadline = clock.monotonic() + 8
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        calls = [asyncio.create_task(client.list_orders(1, deadline=deadline)) for _ in range(2)]
        await settle()
        gate.release()
        for call in calls:
            with pytest.raises(DeadlineExceeded):
                await call
    replaced = [line for line in caplog.records if line.message == "http_client_replaced"]
    assert [vars(line)["fields"] for line in replaced] == [{"reason": "pool_timeout"}]
    assert (await client.list_orders(1, deadline=clock.monotonic() + 8)).total == 137
    await clock.advance(15)
    assert network.closed == 0, "calls that still use it can end"
    await clock.advance(1)
    assert network.closed == 1
    assert asyncio.all_tasks() == before
    await client.close(0)
    assert network.closed == 2


async def test_closing_closes_a_replaced_http_client_as_well():
    clock, upstream = ManualClock(), ScriptedUpstream()
    network = CountingTransport(upstream.transport.handler)
    client = client_of(upstream, clock, transport=network)
    upstream.fail_next(error=httpx.PoolTimeout("x"))
    with pytest.raises(DeadlineExceeded):
        await client.list_orders(1, deadline=clock.monotonic() + 8)
    await settle()
    await client.close(0)
    assert network.closed == 2


async def test_calls_whose_headers_arrive_too_slowly_are_ended_and_release_their_slots():
    received = asyncio.Semaphore(0)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        received.release()
        writer.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        await reader.read()  # until the connection is closed
        writer.close()

    clock = ManualClock()
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = client_of(
            ScriptedUpstream(),
            clock,
            base_url=f"http://127.0.0.1:{port}",
            scheme="signature",
            transport=None,
            max_concurrency=2,
            read_timeout=3600,
            deadline=3600,
        )
        deadline = clock.monotonic() + 3600
        calls = [asyncio.create_task(client.list_orders(1, deadline=deadline)) for _ in range(2)]
        for _ in calls:
            await received.acquire()
        limiter = client._transport._admission._limiter
        await clock.advance(7200)
        assert limiter._in_flight == 2
        await clock.advance(7200)
        for call in calls:
            with pytest.raises(UpstreamUnreachable):
                await call
        assert limiter._in_flight == 0
        await client.close(0)
