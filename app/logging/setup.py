"""How a log line is written, whoever writes it: one line, no secret, no forgery.

Of an exception only its type and where it passed are told: its message and the values around it
may hold a key, an order or raw database text. Knows no request but its id.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from pydantic_core import to_json

from app.clock import Clock
from app.logging.handler import BufferedHandler
from app.request_id import current

LOGGER = "orders_bff"
"""The root of our own loggers."""

_QUIET = ("httpx", "httpcore", "uvicorn", "uvicorn.access", "uvicorn.error", "asyncio")
"""Libraries that would write URLs, headers or addresses; they speak from warnings on."""

_FRAMES = 20
"""Frames told of one error, the innermost: an endless recursion has a thousand."""

_ROOT = logging.getLogger()

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


def configure(
    level: str, layout: Literal["auto", "json", "text"], stream: TextIO, clock: Clock
) -> logging.Handler:
    """Write our events from `level` on, and everybody's warnings, to `stream`.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        layout: `auto` is text for a person at a terminal, JSON for everything else.
        stream: where lines go.
        clock: gives each line its time.

    Returns:
        The handler, for who wants to remove it at the end.
    """
    as_text = layout == "text" or (layout == "auto" and stream.isatty())
    handler = BufferedHandler(stream, _TextLines(clock) if as_text else _JsonLines(clock))
    # The quiet ones have a level of their own: "error" must hold for them too.
    handler.setLevel(level.upper())
    # Facts that no line of ours tells need not be found out.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


def traceback_frames(error: BaseException) -> list[str]:
    """Where an error came from, as `file:line:function`, the innermost last."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return frames[-_FRAMES:]


def log_request(facts: Mapping[str, object]) -> None:
    """Write the line of one request to wherever lines go."""
    for handler in _ROOT.handlers:
        if isinstance(handler, BufferedHandler):
            handler.request(facts)


class _Lines(logging.Formatter):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._second = datetime.min.replace(tzinfo=UTC)
        self._second_told = ""

    def _time(self) -> str:
        """Now, in milliseconds; the seconds are spelt out once each."""
        now = self._clock.now()
        passed = now - self._second
        if passed.days or passed.seconds:
            self._second = now.replace(microsecond=0)
            self._second_told = self._second.isoformat()[:19]
        return f"{self._second_told}.{now.microsecond // 1000:03d}Z"

    def _told(self, record: logging.LogRecord) -> dict[str, Any]:
        told: dict[str, Any] = {
            "time": self._time(),
            "level": record.levelname.lower(),
            # What asyncio adds in further lines is the repr of an exception, message and all.
            "event": record.getMessage().partition("\n")[0],
        }
        if request_id := current():
            told["request_id"] = request_id
        told.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            told["error"] = type(record.exc_info[1]).__name__
            told["frames"] = traceback_frames(record.exc_info[1])
        return told


class _JsonLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        return _encode(self._told(record))

    def request(self, facts: Mapping[str, object]) -> str:
        told = to_json(facts, ensure_ascii=True).decode("ascii")
        return f'{{"time":"{self._time()}","level":"info","event":"request",{told[1:]}'


class _TextLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        told = self._told(record)
        return _as_text(told.pop("time"), told.pop("level"), told.pop("event"), told)

    def request(self, facts: Mapping[str, object]) -> str:
        return _as_text(self._time(), "info", "request", facts)


def _as_text(time: str, level: str, event: str, facts: Mapping[str, object]) -> str:
    told = " ".join(f"{name}={_plain(value)}" for name, value in facts.items())
    return f"{time[11:19]} {level:7} {_plain(event, spaces=True)} {told}".rstrip()


def _plain(value: object, *, spaces: bool = False) -> str:
    """`value` as JSON escapes it, with quotes only where they are needed."""
    encoded = _encode(value)
    return encoded.strip('"') if spaces or " " not in encoded else encoded
