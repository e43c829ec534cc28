"""Where log lines go, whoever reads them and however slowly."""

import asyncio
import io
import logging
import os
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from app.logging.handler import MAX_BUFFERED_CHARS, WRITE_CHUNK, BufferedHandler
from tests.support.clock import settle


class Counted(io.StringIO):
    """Counts how often something is written."""

    writes = 0

    def write(self, text: str, /) -> int:
        self.writes += 1
        return super().write(text)


class Gone(io.StringIO):
    """Its reader has gone."""

    def write(self, _text: str, /) -> int:
        raise BrokenPipeError


@contextmanager
def pipe() -> Iterator[tuple[TextIO, int]]:
    """A pipe: the end that is written to, and the one that is read."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream:
        try:
            yield stream, reader
        finally:
            os.close(reader)


def read_all(reader: int) -> str:
    text = b""
    while select.select((reader,), (), (), 0)[0]:
        text += os.read(reader, 65536)
    return text.decode("ascii")


class Plain(logging.Formatter):
    """The message, and facts where there are any."""

    def __init__(self) -> None:
        super().__init__("%(message)s%(fields)s", defaults={"fields": ""})

    def request(self, facts: Mapping[str, object]) -> str:
        return f"request {facts}"


def lines_to(stream: TextIO) -> BufferedHandler:
    return BufferedHandler(stream, Plain(), 0)


def told(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelname": "INFO"})


async def test_the_lines_of_one_moment_are_written_at_once() -> None:
    stream = Counted()
    handler = lines_to(stream)
    for at in range(20):
        handler.handle(told(f"line {at}"))
    assert stream.writes == 0

    await settle()

    assert stream.writes == 1
    assert stream.getvalue().splitlines() == [f"line {at}" for at in range(20)]


def test_where_no_loop_runs_a_line_is_written_at_once() -> None:
    stream = io.StringIO()
    lines_to(stream).handle(told("line"))

    assert stream.getvalue() == "line\n"


async def test_a_line_of_another_thread_is_not_lost() -> None:
    stream = io.StringIO()
    handler = lines_to(stream)
    thread = threading.Thread(target=handler.handle, args=(told("aside"),))
    thread.start()
    thread.join()

    assert stream.getvalue() == "aside\n"


async def test_what_is_held_is_written_at_the_exit() -> None:
    stream = io.StringIO()
    handler = lines_to(stream)
    handler.handle(told("last words"))
    handler.flush()

    assert stream.getvalue() == "last words\n"


async def test_who_does_not_read_makes_nobody_wait_and_gets_every_line_later() -> None:
    expected = [f"{at} " + "x" * 1000 for at in range(400)]
    with pipe() as (stream, reader):
        handler = lines_to(stream)
        for text in expected:
            handler.handle(told(text))
            await asyncio.sleep(0)
        got = ""
        while not got.endswith("the last\n"):
            got += read_all(reader)
            handler.handle(told("the last"))
            await asyncio.sleep(0)

    assert got.splitlines()[:400] == expected


async def test_a_reader_who_never_reads_costs_bounded_memory_and_learns_what_it_missed() -> None:
    with pipe() as (stream, reader):
        handler = lines_to(stream)
        while handler._size <= MAX_BUFFERED_CHARS:
            handler.handle(told("x" * WRITE_CHUNK))
            await asyncio.sleep(0)
        for _at in range(7):
            handler.handle(told("lost"))
        held = handler._size
        flushing = threading.Thread(target=handler.flush)
        flushing.start()
        got = ""
        while flushing.is_alive():
            got += read_all(reader)
        got += read_all(reader)

    assert held < MAX_BUFFERED_CHARS + 2 * WRITE_CHUNK
    assert "\nlost" not in got
    assert got.splitlines()[-1] == "log_lines_lost{'lines': 7}"


async def test_after_a_loss_the_log_goes_on() -> None:
    stream = io.StringIO()
    handler = lines_to(stream)
    handler._size = MAX_BUFFERED_CHARS + 1
    handler.handle(told("lost"))
    await settle()
    handler.handle(told("found"))
    await settle()

    assert stream.getvalue().splitlines() == ["log_lines_lost{'lines': 1}", "found"]


async def test_a_reader_who_is_gone_ends_no_request() -> None:
    handler = lines_to(Gone())
    handler.handle(told("line"))
    await settle()
    handler.handle(told("line"))
    handler.flush()

    assert handler._size == 0


def test_another_loop_writes_too() -> None:
    stream = io.StringIO()
    handler = lines_to(stream)

    async def one() -> None:
        handler.handle(told("line"))

    asyncio.run(one())
    asyncio.run(one())

    assert stream.getvalue() == "line\n" * 2
