"""Where log lines go: together, a moment later, and never waiting for their reader.

A system call for each line would cost a request more than the line itself. So lines are held for a
moment, and then written at once. A process that is killed (SIGKILL, a crash of the interpreter)
loses the lines of its last moment, and no others: at any other exit what is held is written.

A reader who does not read (a full pipe, a stopped terminal) stops no request: lines are held for
it, at most `MOST_HELD`, and the log says how many it has not got. Knows no request, and not what a
line says.
"""

import asyncio
import logging
import select
from collections.abc import Mapping
from typing import Protocol, TextIO

MAX_BUFFERED_CHARS = 2 * 1024 * 1024
"""Characters held for a reader who does not read."""

FLUSH_INTERVAL = 0.02
"""Seconds for which a line is held. The loop's own timer, not the clock's: it decides nothing."""

WRITE_CHUNK = 4096
"""Characters written at once: a pipe that takes anything takes so many without waiting."""


class LineFormatter(Protocol):
    """How a line is written: one, of ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""

    def request(self, facts: Mapping[str, object]) -> str:
        """The line of a request."""


class BufferedHandler(logging.Handler):
    """Writes lines to `stream`, as `layout` has them, `moment` seconds later."""

    def __init__(
        self, stream: TextIO, layout: LineFormatter, moment: float = FLUSH_INTERVAL
    ) -> None:
        super().__init__()
        self._moment = moment
        self._stream = stream
        self._layout = layout
        self._held: list[str] = []
        self._size = 0
        self._lost = 0
        self._held_by: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take the line of a record."""
        self._take(self._layout.format(record))

    def request(self, facts: Mapping[str, object]) -> None:
        """Take the line of a request, without the detour by a record: there are many."""
        self.acquire()
        try:
            self._take(self._layout.request(facts))
        finally:
            self.release()

    def _take(self, line: str) -> None:
        """Hold a line for a moment; where no loop runs, write it."""
        if self._size > MAX_BUFFERED_CHARS:
            self._lost += 1
        else:
            self._tell_what_was_lost()
            self._hold(line)
        if self._held_by is not None and self._held_by.is_running():
            return
        try:
            self._held_by = asyncio.get_running_loop()
        except RuntimeError:
            self._write(patient=False)
        else:
            self._held_by.call_later(self._moment, self._moment_passed)

    def flush(self) -> None:
        """Write all that is held, however long its reader takes; called at the exit."""
        self.acquire()
        try:
            self._tell_what_was_lost()
            self._write(patient=True)
        finally:
            self.release()

    def _moment_passed(self) -> None:
        self.acquire()
        try:
            self._held_by = None
            self._write(patient=False)
        finally:
            self.release()

    def _hold(self, line: str) -> None:
        self._held.append(line)
        self._held.append("\n")
        self._size += len(line) + 1

    def _tell_what_was_lost(self) -> None:
        if self._lost:
            facts = {"lines": self._lost}
            told = {"levelname": "WARNING", "msg": "log_lines_lost", "fields": facts}
            self._lost = 0
            self._hold(self._layout.format(logging.makeLogRecord(told)))

    def _write(self, *, patient: bool) -> None:
        if not (patient or self._takes_more()):
            return
        text = "".join(self._held)
        at = 0
        try:
            while at < len(text) and (at == 0 or patient or self._takes_more()):
                self._stream.write(text[at : at + WRITE_CHUNK])
                self._stream.flush()
                at += WRITE_CHUNK
        except (OSError, ValueError):
            at = len(text)  # whoever read has gone, and nobody is left to be told
        self._held = [text[at:]]
        self._size = len(self._held[0])

    def _takes_more(self) -> bool:
        try:
            return bool(select.select((), (self._stream,), (), 0)[1])
        except (OSError, ValueError):
            return True  # not a file of the system's: it makes nobody wait
