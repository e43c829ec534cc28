"""What a log line looks like, whoever writes it."""

import io
import logging
from typing import Literal

import pytest

from app.logging.setup import traceback_frames
from app.request_id import set_current
from tests.edge.asgi_harness import logging_to
from tests.support.clock import ManualClock

SECRET = "obff_canary-77aa"
OURS = logging.getLogger("orders_bff.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("layout", ["json", "text"])
def test_nothing_in_a_fact_can_forge_a_line(layout: Literal["json", "text"]) -> None:
    with logging_to(layout) as lines:
        OURS.info("event", extra={"fields": {"name": "a\r\nb\x1b[2Jc\u2028d\x85e"}})

    assert len(lines.text().splitlines()) == 1
    assert not set("\r\x1b\u2028\x85") & set(lines.text())


def test_a_name_that_is_no_unicode_is_still_a_line() -> None:
    with logging_to() as lines:
        OURS.info("event", extra={"fields": {"file": "keys\udc80.json"}})

    assert lines.facts()[0]["file"] == "keys\udc80.json"


async def test_a_line_tells_the_time_of_its_own_millisecond() -> None:
    clock = ManualClock()
    with logging_to(clock=clock) as lines:
        for seconds in (0.25, 0.25, 1.5, 86400):
            await clock.advance(seconds)
            OURS.info("event")

    assert [line["time"] for line in lines.facts()] == [
        "2026-11-23T12:00:00.250Z",
        "2026-11-23T12:00:00.500Z",
        "2026-11-23T12:00:02.000Z",
        "2026-11-24T12:00:02.000Z",
    ]


def test_a_person_at_a_terminal_reads_text() -> None:
    with logging_to("auto", stream=Terminal()) as lines:
        OURS.warning("something happened", extra={"fields": {"status": 503, "route": "/a b"}})

    assert lines.text() == '12:00:00 warning something happened status=503 route="/a b"\n'


def test_everything_else_reads_json() -> None:
    with logging_to("auto") as lines:
        OURS.info("event")

    assert lines.facts() == [
        {"time": "2026-11-23T12:00:00.000Z", "level": "info", "event": "event"}
    ]


def test_an_exception_is_told_by_type_and_place_alone() -> None:
    def fail() -> None:
        raise ValueError(SECRET)

    with logging_to() as lines:
        try:
            fail()
        except ValueError:
            OURS.exception("failed")

    (line,) = lines.facts()
    assert line["error"] == "ValueError"
    assert line["frames"][-1].endswith(":fail")
    assert SECRET not in lines.text()


def test_what_asyncio_says_of_a_lost_task_does_not_quote_its_error() -> None:
    with logging_to() as lines:
        logging.getLogger("asyncio").error(
            "Task exception was never retrieved\nfuture: <Task exception=ValueError('%s')>", SECRET
        )

    assert lines.facts()[0]["event"] == "Task exception was never retrieved"
    assert SECRET not in lines.text()


def test_an_endless_recursion_is_still_one_short_line() -> None:
    def again() -> None:
        again()

    with pytest.raises(RecursionError) as caught:
        again()

    assert len(traceback_frames(caught.value)) == 20


async def test_a_line_bears_the_id_of_the_request_it_was_written_for() -> None:
    set_current("request-0001")
    with logging_to() as lines:
        OURS.info("event")

    assert lines.facts()[0]["request_id"] == "request-0001"


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "uvicorn", "uvicorn.error"])
def test_libraries_that_tell_urls_speak_from_warnings_on(name: str) -> None:
    with logging_to(level="debug") as lines:
        logging.getLogger(name).info("GET https://upstream.example/?secret=1")
        logging.getLogger(name).warning("warned")

    assert [line["event"] for line in lines.facts()] == ["warned"]


def test_the_level_holds_for_libraries_too() -> None:
    with logging_to(level="error") as lines:
        logging.getLogger("httpx").warning("warned")

    assert lines.text() == ""
