"""Log setup and formats: one line per event, safe against forged lines and leaked secrets.

Of an exception only its type and its stack frames are logged: its message and local variables can
contain a key, an order or raw database text.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from traceback import walk_tb
from typing import Any, Literal, TextIO

from pydantic_core import to_json

from app.clock import Clock
from app.logging.handler import BufferedHandler, RequestTemplate, RequestWriter
from app.logging.redaction import Redaction
from app.request_id import current

LOGGER = "orders_bff"
"""The parent of the project's own loggers."""

_WARNINGS_ONLY = ("httpx", "httpcore", "uvicorn", "uvicorn.access", "uvicorn.error", "asyncio")
"""Libraries that log URLs, headers or addresses below WARNING."""

_MAX_FRAMES = 20
"""Stack frames logged of one exception, the innermost; a recursion error has a thousand."""

MAX_TEMPLATES = 512
"""Lines of requests whose constant parts are remembered: many requests differ in nothing else."""

_ROOT = logging.getLogger()

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


def configure(
    level: str,
    log_format: Literal["auto", "json", "text"],
    stream: TextIO,
    clock: Clock,
    *,
    secrets: Iterable[str] = (),
) -> logging.Handler:
    """Log the project's events from `level` on, and warnings of libraries, to `stream`.

    The format `auto` is text if `stream` is a terminal, else JSON. `secrets` are removed from all
    lines. Returns the handler, so that it can be removed.
    """
    is_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    formatter = _TextFormatter(clock) if is_text else _JsonFormatter(clock)
    handler = BufferedHandler(stream, formatter, clock, redaction=Redaction(secrets))
    # The loggers below have a level of their own, so `error` has to apply here, too.
    handler.setLevel(level.upper())
    # These fields of a record are never logged, and cost a system call each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(level.upper())
    for name in _WARNINGS_ONLY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


def traceback_frames(error: BaseException) -> list[str]:
    """Return the stack frames of an exception as `file:line:function`, the innermost last."""
    frames = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    return [
        f"{code.co_filename.rpartition('/')[2]}:{line}:{code.co_name}"
        for code, line in frames[-_MAX_FRAMES:]
    ]


def request_writers(fields: Mapping[str, object]) -> list[RequestWriter]:
    """Return what writes the lines of requests, the event `request`, with these fields."""
    handlers = _ROOT.handlers
    return [each.request_writer(fields) for each in handlers if isinstance(each, BufferedHandler)]


class _Formatter:
    def __init__(self, clock: Clock) -> None:
        self._timestamp = clock.timestamp
        self._since = self._until = 0.0
        self._formatted = ""
        self._second = -1
        self._formatted_second = ""

    def time(self) -> str:
        """Return the current time in RFC 3339; each second and millisecond is formatted once."""
        timestamp = self._timestamp()
        if not self._since <= timestamp < self._until:
            # Rounded, because a millisecond is not exact in binary.
            millisecond = round(timestamp * 1000)
            second, fraction = divmod(millisecond, 1000)
            if second != self._second:
                text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
                self._second, self._formatted_second = second, text
            self._formatted = f"{self._formatted_second}.{fraction:03d}Z"
            self._since, self._until = (millisecond - 0.5) / 1000, (millisecond + 0.5) / 1000
        return self._formatted

    def _event_dict(self, record: logging.LogRecord) -> dict[str, Any]:
        event: dict[str, Any] = {
            "time": _Formatter.time(self),
            "level": record.levelname.lower(),
            # asyncio adds the repr of an exception, with its message, on further lines.
            "event": record.getMessage().partition("\n")[0],
        }
        if request_id := current():
            event["request_id"] = request_id
        event.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            event["error"] = type(record.exc_info[1]).__name__
            event["frames"] = traceback_frames(record.exc_info[1])
        return event


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _encode(self._event_dict(record))

    def request_template(self, fields: Mapping[str, object]) -> RequestTemplate:
        return _json_template(tuple(fields.items()))


@lru_cache(maxsize=MAX_TEMPLATES)
def _json_template(fields: tuple[tuple[str, object], ...]) -> RequestTemplate:
    encoded = to_json(dict(fields), ensure_ascii=True).decode("ascii")[1:]
    return RequestTemplate(
        '{"time":"',
        '","level":"info","event":"request","request_id":"',
        '","duration_ms":',
        f",{encoded}",
    )


class _TextFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = self._event_dict(record)
        return _text_line(event.pop("time")[11:19], event.pop("level"), event.pop("event"), event)

    def request_template(self, fields: Mapping[str, object]) -> RequestTemplate:
        pairs = " ".join(f"{name}={_quote(value)}" for name, value in fields.items())
        return RequestTemplate("", " info    request request_id=", f" {pairs} duration_ms=", "")

    def time(self) -> str:
        return super().time()[11:19]


def _text_line(timestamp: str, level: str, event: str, fields: Mapping[str, object]) -> str:
    pairs = " ".join(f"{name}={_quote(value)}" for name, value in fields.items())
    return f"{timestamp} {level:7} {_quote(event, spaces=True)} {pairs}".rstrip()


def _quote(value: object, *, spaces: bool = False) -> str:
    """Return `value` escaped as JSON, in quotes only if it contains spaces that are not allowed.

    ASCII only, so that a terminal shows no control and no bidirectional character.
    """
    encoded = _encode(value).replace("\x7f", "\\u007f")  # JSON does not escape DEL
    return encoded.strip('"') if spaces or " " not in encoded else encoded
