"""Each request has one response, whatever bytes arrive, and in whatever pieces."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from random import Random
from types import FrameType

import pytest

from app.server.connection import PIECE_BYTES
from tests.server.live_server import LiveServer, running
from tests.server.memory_transport import MemoryTransport, parse_responses
from tests.server.sequences import ID, SMUGGLED, Sequence, sequences
from tests.support.clock import settle

SEQUENCES = sequences()
Split = Callable[[bytes], Iterator[bytes]]


def in_one_piece(data: bytes) -> Iterator[bytes]:
    yield data


def single_bytes(data: bytes) -> Iterator[bytes]:
    """Yield the bytes one by one, or some at once if there are very many."""
    size = 1 + len(data) // 8192
    for at in range(0, len(data), size):
        yield data[at : at + size]


def random_pieces(seed: int, data: bytes) -> Iterator[bytes]:
    random = Random(f"{seed} {data!r}")  # noqa: S311
    at = 0
    while at < len(data):
        size = random.choice((1, 2, 3, 10, 50, 200, 5000))
        yield data[at : at + size]
        at += size


def test_there_are_some_hundred_sequences() -> None:
    assert len(SEQUENCES) >= 500


@pytest.mark.parametrize(
    "split",
    [in_one_piece, single_bytes, partial(random_pieces, 1), partial(random_pieces, 2)],
    ids=["in one piece", "single bytes", "random pieces 1", "random pieces 2"],
)
async def test_each_request_has_one_response(split: Split) -> None:
    failures = {}
    async with running() as server:
        for name, sequence in SEQUENCES.items():
            transport = MemoryTransport(server.server)
            for piece in split(with_ids(sequence.sent)):
                transport.receive(piece)
                await asyncio.sleep(0)
            failure = await deviation(server, sequence, transport, closes=sequence.closes)
            if failure:
                failures[name] = failure
    assert failures == {}


async def test_empty_lines_before_a_request_are_parsed_together() -> None:
    pieces = 0

    def count_pieces(frame: FrameType, event: str, _: object) -> None:
        nonlocal pieces
        pieces += event == "call" and frame.f_code.co_name == "_take_piece"

    async with running() as server:
        transport = MemoryTransport(server.server)
        sys.setprofile(count_pieces)
        try:
            transport.receive(b"\r\n" * 5000)
            await settle()
        finally:
            sys.setprofile(None)
    assert 1 <= pieces <= 10_000 / PIECE_BYTES + 1


async def test_each_request_has_one_response_after_a_half_close() -> None:
    failures = {}
    async with running() as server:
        for name, sequence in SEQUENCES.items():
            transport = MemoryTransport(server.server)
            transport.receive(with_ids(sequence.sent))
            transport.receive_eof()
            if failure := await deviation(server, sequence, transport, closes=True):
                failures[name] = failure
    assert failures == {}


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])
async def test_each_request_has_one_response_on_sockets() -> None:
    failures = {}
    async with running() as server:
        for name, sequence in SEQUENCES.items():
            client = await server.connect()
            client.send(with_ids(sequence.sent))
            client.writer.write_eof()
            received = await client.reader.read()
            outcomes = tuple(response.outcome for response in parse_responses(received))
            if outcomes != sequence.expected:
                failures[name] = outcomes
    assert failures == {}


def with_ids(data: bytes) -> bytes:
    """Return `data` with a different id in each request."""
    numbers = count()
    return re.sub(re.escape(ID), lambda _: b"id-%08d" % next(numbers), data)


async def deviation(
    server: LiveServer, sequence: Sequence, transport: MemoryTransport, *, closes: bool
) -> object:
    """Return what differs from the expectation, or None."""
    for _ in range(1 + len(sequence.expected) // 5):
        await settle()
    scopes, server.app.scopes = server.app.scopes, []
    responses, ended = parse_responses(bytes(transport.sent)), transport.ended
    transport.close()
    outcomes = tuple(response.outcome for response in responses)
    if outcomes != sequence.expected or ended != closes:
        return outcomes, ended
    if any(scope["path"] == SMUGGLED.decode() for scope in scopes):
        return "a body was taken for a request"
    accepted = [dict(scope["headers"])[b"x-request-id"].decode() for scope in scopes]
    ids = [response.headers["x-request-id"] for response in responses if response.body == b"ok"]
    return None if ids == accepted[: len(ids)] else (ids, accepted)
