"""Buffering of log lines, with readers that are fast, slow, stuck or closed."""

import asyncio
import io
import logging
import os
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from app.clock import SystemClock
from app.logging.handler import MAX_BUFFERED_CHARS, WRITE_CHUNK, BufferedHandler, RequestTemplate
from tests.support.clock import settle

LOOP_TURNS = 5000
"""More than any of these tests needs."""


class CountingStream(io.StringIO):
    """Counts writes."""

    writes = 0

    def write(self, text: str, /) -> int:
        self.writes += 1
        return super().write(text)


class ClosedPipe(io.StringIO):
    """Its reader has closed."""

    def write(self, _text: str, /) -> int:
        raise BrokenPipeError


class WaitingStream(io.StringIO):
    """Waits in each write until `continued` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_writing, self.continued = threading.Event(), threading.Event()

    def write(self, text: str, /) -> int:
        self.is_writing.set()
        self.continued.wait(20)
        return super().write(text)


@contextmanager
def pipe() -> Iterator[tuple[TextIO, int]]:
    """Yield the stream to write to, and the file descriptor to read from."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream:
        try:
            yield stream, reader
        finally:
            os.close(reader)


def read_available(reader: int) -> str:
    text = b""
    while select.select((reader,), (), (), 0)[0]:
        text += os.read(reader, 65536)
    return text.decode("ascii")


class PlainFormatter(logging.Formatter):
    """The message, and the fields if there are any."""

    def __init__(self) -> None:
        super().__init__("%(message)s%(fields)s", defaults={"fields": ""})

    def request_template(self, fields: Mapping[str, object]) -> RequestTemplate:
        return RequestTemplate("at ", ": request ", ", milliseconds: ", f", {fields}")

    def time(self) -> str:
        return "noon"


def handler_for(stream: TextIO, *, flush_timeout: float = 20) -> BufferedHandler:
    return BufferedHandler(
        stream, PlainFormatter(), SystemClock(), interval=0, flush_timeout=flush_timeout
    )


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelname": "INFO", "levelno": logging.INFO})


async def test_lines_of_one_interval_are_written_together() -> None:
    stream = CountingStream()
    handler = handler_for(stream)
    for at in range(20):
        handler.handle(record(f"line {at}"))
    assert stream.writes == 0

    await settle()

    assert stream.writes == 1
    assert stream.getvalue().splitlines() == [f"line {at}" for at in range(20)]


def test_a_line_is_written_at_once_if_no_event_loop_runs() -> None:
    stream = io.StringIO()
    handler_for(stream).handle(record("line"))

    assert stream.getvalue() == "line\n"


async def test_a_line_of_another_thread_is_written() -> None:
    stream = io.StringIO()
    handler = handler_for(stream)
    thread = threading.Thread(target=handler.handle, args=(record("line"),))
    thread.start()
    thread.join()

    assert stream.getvalue() == "line\n"


async def test_a_request_is_logged_while_another_thread_writes() -> None:
    stream = WaitingStream()
    handler = handler_for(stream)
    write_request = handler.request_writer({})
    thread = threading.Thread(target=handler.handle, args=(record("from a thread"),))
    thread.start()
    stream.is_writing.wait(20)
    write_request("the-request-id", 0.001)
    stream.continued.set()
    thread.join()
    handler.flush()
    first, second = stream.getvalue().splitlines()
    assert first == "from a thread"
    assert "the-request-id" in second


async def test_a_flush_writes_what_is_buffered() -> None:
    stream = io.StringIO()
    handler = handler_for(stream)
    handler.handle(record("line"))
    handler.flush()

    assert stream.getvalue() == "line\n"


async def test_a_slow_reader_gets_every_line_although_nothing_more_is_logged() -> None:
    expected = [f"{at} " + "x" * 1000 for at in range(400)]
    received = ""
    with pipe() as (stream, reader):
        handler = handler_for(stream)
        for text in expected:
            handler.handle(record(text))
        for _ in range(LOOP_TURNS):
            await asyncio.sleep(0)
            received += read_available(reader)
            if received.count("\n") == 400:
                break

    assert received.splitlines() == expected


async def test_a_file_is_written_in_large_pieces(tmp_path: Path) -> None:
    class CountingFile(io.TextIOWrapper):
        flushes = 0

        def flush(self) -> None:
            self.flushes += 1
            super().flush()

    with CountingFile((tmp_path / "log").open("wb"), "ascii") as stream:
        handler = handler_for(stream)
        for _ in range(100):
            handler.handle(record("x" * 1000))
        await settle()
        assert stream.flushes == 2
    assert (tmp_path / "log").stat().st_size == 100 * 1001


async def test_a_stuck_reader_costs_bounded_memory_and_dropped_lines_are_counted() -> None:
    with pipe() as (stream, reader):
        handler = handler_for(stream)
        while handler._size <= MAX_BUFFERED_CHARS:
            handler.handle(record("x" * WRITE_CHUNK))
            await asyncio.sleep(0)
        for _ in range(7):
            handler.handle(record("dropped"))
        size = handler._size
        flushing = threading.Thread(target=handler.flush)
        flushing.start()
        received = ""
        while flushing.is_alive():
            received += read_available(reader)
        received += read_available(reader)

    assert size < MAX_BUFFERED_CHARS + 2 * WRITE_CHUNK
    assert "\ndropped" not in received
    assert received.splitlines()[-1] == "log_lines_dropped{'count': 7}"


async def test_a_flush_gives_up_on_a_stuck_reader() -> None:
    with pipe() as (stream, _):
        handler = handler_for(stream, flush_timeout=0)
        for _ in range(100):
            handler.handle(record("x" * WRITE_CHUNK))
        handler.flush()

        assert handler._size > WRITE_CHUNK


async def test_logging_continues_after_lines_were_dropped() -> None:
    stream = io.StringIO()
    handler = handler_for(stream)
    handler._size = MAX_BUFFERED_CHARS + 1
    handler.handle(record("dropped"))
    await settle()
    handler.handle(record("line"))
    await settle()

    assert stream.getvalue().splitlines() == ["log_lines_dropped{'count': 1}", "line"]


async def test_a_closed_reader_causes_no_error() -> None:
    handler = handler_for(ClosedPipe())
    handler.handle(record("line"))
    await settle()
    handler.handle(record("line"))
    handler.flush()

    assert handler._size == 0


def test_a_second_event_loop_writes_too() -> None:
    stream = io.StringIO()
    handler = handler_for(stream)

    async def log() -> None:
        handler.handle(record("line"))

    asyncio.run(log())
    asyncio.run(log())

    assert stream.getvalue() == "line\n" * 2
