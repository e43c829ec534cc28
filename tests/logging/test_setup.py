"""The formats of log lines, and what they never contain."""

import io
import logging
from typing import Literal

import pytest

from app.logging.setup import request_writers, traceback_frames
from app.request_id import set_current
from tests.edge.asgi_harness import logging_to
from tests.support.clock import ManualClock

SECRET = "obff_canary-77aa"
LOGGER = logging.getLogger("orders_bff.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_field_can_forge_a_line(log_format: Literal["json", "text"]) -> None:
    with logging_to(log_format) as lines:
        LOGGER.info("event", extra={"fields": {"name": "a\r\nb\x1b[2Jc\u2028d\x85e\u202ef\x7f"}})

    assert len(lines.text().splitlines()) == 1
    assert not set("\r\x1b\u2028\x85\u202e") & set(lines.text())


def test_no_control_character_reaches_a_terminal() -> None:
    controls = "".join(map(chr, (*range(32), 127, *range(128, 160), 0x202E, 0x2066)))
    with logging_to("text") as lines:
        LOGGER.info("event", extra={"fields": {"name": controls}})
        (write,) = request_writers({"method": controls})
        write("request-0001", 0.1)

    assert set(lines.text()) & set(controls) == {"\n"}


def test_a_lone_surrogate_is_escaped() -> None:
    with logging_to() as lines:
        LOGGER.info("event", extra={"fields": {"file": "keys\udc80.json"}})

    assert lines.lines()[0]["file"] == "keys\udc80.json"


async def test_each_line_has_its_time_in_milliseconds() -> None:
    clock = ManualClock()
    with logging_to(clock=clock) as lines:
        for seconds in (0.25, 0.25, 1.5, 86400):
            await clock.advance(seconds)
            LOGGER.info("event")

    assert [line["time"] for line in lines.lines()] == [
        "2026-11-23T12:00:00.250Z",
        "2026-11-23T12:00:00.500Z",
        "2026-11-23T12:00:02.000Z",
        "2026-11-24T12:00:02.000Z",
    ]


def test_auto_format_is_text_on_a_terminal() -> None:
    with logging_to("auto", stream=Terminal()) as lines:
        LOGGER.warning("something happened", extra={"fields": {"status": 503, "route": "/a b"}})

    assert lines.text() == '12:00:00 warning something happened status=503 route="/a b"\n'


def test_a_request_is_one_line_of_text() -> None:
    with logging_to("text") as lines:
        (write,) = request_writers({"route": "/v1/orders", "status": 200})
        write("id", 0.0015)

    assert lines.text() == (
        "12:00:00 info    request request_id=id route=/v1/orders status=200 duration_ms=1.500\n"
    )


async def test_requests_with_the_same_fields_have_lines_of_their_own() -> None:
    clock = ManualClock()
    with logging_to("json", clock=clock) as lines:
        (write,) = request_writers({"route": "/v1/orders"})
        write("first", 0.0015)
        await clock.advance(0.25)
        write("second", 0.0)

    common = {"level": "info", "event": "request", "route": "/v1/orders"}
    first = {"time": "2026-11-23T12:00:00.000Z", "request_id": "first", "duration_ms": 1.5}
    second = {"time": "2026-11-23T12:00:00.250Z", "request_id": "second", "duration_ms": 0.0}
    assert lines.lines() == [common | first, common | second]


def test_auto_format_is_json_elsewhere() -> None:
    with logging_to("auto") as lines:
        LOGGER.info("event")

    assert lines.lines() == [
        {"time": "2026-11-23T12:00:00.000Z", "level": "info", "event": "event"}
    ]


def test_an_exception_is_logged_by_type_and_frames_only() -> None:
    def fail() -> None:
        raise ValueError(SECRET)

    with logging_to() as lines:
        try:
            fail()
        except ValueError:
            LOGGER.exception("failed")

    (line,) = lines.lines()
    assert line["error"] == "ValueError"
    assert line["frames"][-1].endswith(":fail")
    assert SECRET not in lines.text()


def test_the_exception_of_a_lost_task_is_not_quoted() -> None:
    with logging_to() as lines:
        logging.getLogger("asyncio").error(
            "Task exception was never retrieved\nfuture: <Task exception=ValueError('%s')>", SECRET
        )

    assert lines.lines()[0]["event"] == "Task exception was never retrieved"
    assert SECRET not in lines.text()


def test_only_the_innermost_frames_of_a_recursion_are_logged() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as caught:
        recurse()

    assert len(traceback_frames(caught.value)) == 20


async def test_a_line_has_the_id_of_its_request() -> None:
    set_current("request-0001")
    with logging_to() as lines:
        LOGGER.info("event")

    assert lines.lines()[0]["request_id"] == "request-0001"


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "uvicorn", "uvicorn.error"])
def test_libraries_that_log_urls_log_warnings_only(name: str) -> None:
    with logging_to(level="debug") as lines:
        logging.getLogger(name).info("GET https://upstream.example/?secret=1")
        logging.getLogger(name).warning("warned")

    assert [line["event"] for line in lines.lines()] == ["warned"]


def test_the_level_applies_to_libraries_too() -> None:
    with logging_to(level="error") as lines:
        logging.getLogger("httpx").warning("warned")

    assert lines.text() == ""
