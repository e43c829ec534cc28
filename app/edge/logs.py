"""Log lines: one event a line, facts as fields, as JSON or for a person. Knows no request."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LOGGER = "orders_bff"

_QUIET = ("httpx", "httpcore", "uvicorn", "uvicorn.access", "uvicorn.error", "asyncio")
"""Libraries that would write URLs, headers or tracebacks; they speak from warnings on."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


def configure(level: str, layout: Literal["json", "text"], stream: TextIO) -> logging.Handler:
    """Write our events to `stream`; returns the handler, to be removed at the end."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines() if layout == "json" else _TextLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


def frames_of(error: BaseException) -> list[str]:
    """Where an error came from, as `file:line:function`. Its message may hold secrets: not told."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return frames


def auto_layout(stream: TextIO = sys.stdout) -> Literal["json", "text"]:
    """Text for a person at a terminal, JSON for everything else."""
    return "text" if stream.isatty() else "json"


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "time": _time(record.created),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
    }
    facts.update(getattr(record, "facts", {}))
    if record.exc_info and record.exc_info[1]:
        facts["error"] = type(record.exc_info[1]).__name__
        facts["frames"] = frames_of(record.exc_info[1])
    return facts


def _time(created: float) -> str:
    moment = datetime.fromtimestamp(created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _encode(_facts(record))


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = _facts(record)
        told = " ".join(
            f"{name}={_encode(value) if ' ' in str(value) else _encode(value).strip(chr(34))}"
            for name, value in facts.items()
            if name not in ("time", "level", "event")
        )
        return f"{facts['time'][11:19]} {facts['level']:7} {_encode(facts['event'])[1:-1]} {told}"
