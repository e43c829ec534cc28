"""What no layer has handled becomes a problem without internal details."""

import asyncio

from starlette.types import Message, Scope

from app.edge.access_log import AccessLog
from app.edge.unhandled_errors import UnhandledErrors
from tests.edge.asgi_harness import failing, logging_to, request
from tests.support.clock import ManualClock

SECRET = "obff_canary-5f0c"


async def test_an_exception_becomes_a_problem_and_its_message_is_not_shown() -> None:
    with logging_to() as log:
        response = await request(
            UnhandledErrors(failing(lambda: RuntimeError(SECRET))),
            headers={"X-Request-Id": "caller-0001"},
        )

    error, access = log.lines()
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert response.json()["request_id"] == "caller-0001"
    assert error["event"] == "unhandled_exception"
    assert error["error"] == "RuntimeError"
    assert error["request_id"] == "caller-0001"
    assert any(frame.startswith("asgi_harness.py:") for frame in error["frames"])
    assert access["problem"] == "internal_error"
    assert SECRET not in log.text() + response.text


async def test_an_exception_after_the_response_started_is_only_logged() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    app = UnhandledErrors(failing(lambda: RuntimeError(SECRET), after_start=True))
    access_log = AccessLog(app, ManualClock())
    with logging_to() as log:
        await access_log(_scope(), receive, send)

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [line["event"] for line in log.lines()] == ["unhandled_exception", "request"]


async def test_a_request_cancelled_by_the_server_gets_503_and_logs_no_error() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    access_log = AccessLog(UnhandledErrors(failing(asyncio.CancelledError)), ManualClock())
    with logging_to() as log:
        await access_log(_scope(), receive, send)

    assert sent[0]["status"] == 503
    assert [(line["event"], line.get("problem")) for line in log.lines()] == [
        ("request", "shutting_down")
    ]


def _scope() -> Scope:
    return {"type": "http", "method": "GET", "path": "/v1/orders", "headers": []}
