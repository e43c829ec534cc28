"""A log handler that buffers lines briefly, writes them together and never blocks the event loop.

A system call for each line would cost more than the line. A process that is killed (SIGKILL, a
crash of the interpreter) loses the lines of the last `FLUSH_INTERVAL`; any other exit flushes them.

If the reader of the log is slow (a full pipe, a stopped terminal), up to `MAX_BUFFERED_CHARS` and
the lines of one interval are buffered for it. Then lines are dropped, and the log says how many.
"""

import asyncio
import logging
import os
import select
import stat
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TextIO

from app.clock import Clock
from app.logging.redaction import Redaction
from app.logging.repeat_limit import RepeatLimit

MAX_BUFFERED_CHARS = 2 * 1024 * 1024

FLUSH_INTERVAL = 0.02
"""Seconds for which a line is buffered, on the timer of the event loop."""

FLUSH_TIMEOUT = 2.0
"""Longest time that a flush at exit waits for the reader of the log."""

WRITE_CHUNK = 4096
"""Characters per write: a pipe that is writable accepts this many without blocking (PIPE_BUF)."""

FILE_CHUNK = 64 * 1024
"""The same for a regular file, which never blocks."""


RequestWriter = Callable[[str, float], None]
"""Buffers the line of a request, given its id and the seconds that it has taken.

For the thread of the event loop only: it takes no lock. Other threads may log meanwhile.
"""

_MILLISECONDS = tuple(f"0.{microseconds:03d}" for microseconds in range(1000))
"""Durations of less than a millisecond, by microseconds: nearly all of them."""


class RequestTemplate(NamedTuple):
    """The constant parts of the line of a request: its time, id and milliseconds are in between."""

    start: str
    before_id: str
    before_duration: str
    end: str


class LineFormatter(Protocol):
    """Formats records and requests, each as one line of ASCII."""

    def format(self, record: logging.LogRecord) -> str: ...

    def request_template(self, fields: Mapping[str, object]) -> RequestTemplate: ...

    def time(self) -> str:
        """Return the current time, as lines have it."""


class BufferedHandler(logging.Handler):
    """Writes formatted lines to `stream`, `interval` seconds after the first of them.

    Of the same warning or error, `RepeatLimit` admits a number of lines per minute. Credentials are
    removed by `redaction`.
    """

    lock: Any  # logging.Handler creates it, and holds it while it calls emit()

    def __init__(
        self,
        stream: TextIO,
        formatter: LineFormatter,
        clock: Clock,
        *,
        interval: float = FLUSH_INTERVAL,
        flush_timeout: float = FLUSH_TIMEOUT,
        redaction: Redaction | None = None,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._line_formatter = formatter
        self._clock = clock
        self._chunk = FILE_CHUNK if _is_regular_file(stream) else WRITE_CHUNK
        self._interval = interval
        self._flush_timeout = flush_timeout
        self._buffer: list[str] = []
        self._size = 0  # of what the reader has not taken at the last write
        self._dropped = 0
        self._redaction = redaction or Redaction()
        self._repeats = RepeatLimit(clock)
        self._timer_loop: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._report_suppressed()
        fields: Mapping[str, object] = getattr(record, "fields", {})
        kind = (str(record.msg), str(fields.get("operation", "")))
        if record.levelno < logging.WARNING or self._repeats.admit(kind):
            self._append(self._redaction.apply(self._line_formatter.format(record)) + "\n")

    def request_writer(self, fields: Mapping[str, object]) -> RequestWriter:
        """Return what buffers the lines of requests with these fields, without a record for each.

        The ids are well-formed (`app.request_id`), so that they need no escaping.
        """
        start, before_id, before_duration, end = self._line_formatter.request_template(fields)
        end += "\n"
        time = self._line_formatter.time

        def write(request_id: str, seconds: float) -> None:
            microseconds = round(seconds * 1_000_000)
            if microseconds < len(_MILLISECONDS):
                duration = _MILLISECONDS[microseconds]
            else:
                duration = f"{microseconds / 1000:.3f}"
            self._append(start, time(), before_id, request_id, before_duration, duration, end)

        return write

    def flush(self) -> None:
        """Write everything that is buffered; give up after the flush timeout. Called at exit."""
        with self.lock:
            if self._dropped:
                self._report_dropped()
            self._report_suppressed(now=True)
            self._write(self._flush_timeout)

    def _append(self, *parts: str) -> None:
        """Buffer a line and start the timer, or write at once where no event loop runs.

        The parts are joined when they are written: most lines have most of them in common.
        """
        if self._size > MAX_BUFFERED_CHARS:
            self._dropped += 1
        else:
            if self._dropped:
                self._report_dropped()
            self._buffer += parts
        if self._timer_loop is not None and self._timer_loop.is_running():
            return
        try:
            self._start_timer(asyncio.get_running_loop())
        except RuntimeError:
            self._write(0)

    def _start_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer_loop = loop
        loop.call_later(self._interval, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        with self.lock:
            self._timer_loop = None
            self._report_suppressed()
            self._write(0)
            if self._size:
                self._start_timer(loop)

    def _report_dropped(self) -> None:
        count, self._dropped = self._dropped, 0
        self._report("log_lines_dropped", {"count": count})

    def _report_suppressed(self, *, now: bool = False) -> None:
        for (event, operation), count in self._repeats.end_window(now=now):
            fields: dict[str, object] = {"suppressed": self._redaction.apply(event), "count": count}
            if operation:
                fields["operation"] = operation
            self._report("log_lines_suppressed", fields)

    def _report(self, event: str, fields: Mapping[str, object]) -> None:
        record = {"levelname": "WARNING", "msg": event, "fields": fields}
        line = self._line_formatter.format(logging.makeLogRecord(record)) + "\n"
        self._buffer.append(line)

    def _write(self, timeout: float) -> None:
        """Write what the stream accepts, waiting about `timeout` seconds for it in all.

        Meanwhile the thread of the event loop may buffer the line of a request, without the lock.
        So only the parts that were joined are removed, and the list stays the same.
        """
        parts = self._buffer.copy()
        text = "".join(parts)
        written = 0
        deadline = self._clock.monotonic() + timeout
        try:
            while written < len(text) and self._is_writable(deadline - self._clock.monotonic()):
                self._stream.write(text[written : written + self._chunk])
                self._stream.flush()
                written += self._chunk
        except (OSError, ValueError):
            written = len(text)  # the reader has closed its end
        left = text[written:]
        self._buffer[: len(parts)] = [left] if left else []
        self._size = len(left)

    def _is_writable(self, timeout: float) -> bool:
        try:
            return bool(select.select((), (self._stream,), (), max(0.0, timeout))[1])
        except (OSError, ValueError):
            return True  # not a file descriptor, so it does not block


def _is_regular_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False  # not a file descriptor
