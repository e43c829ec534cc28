"""The head of a response is sent as uvicorn sends it."""

import asyncio
import logging
from typing import Any, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.server.response_cycle import ResponseCycle

DATE = (b"date", b"Mon, 23 Nov 2026 12:00:00 GMT")
LENGTH = (b"content-length", b"4")

Fields = list[tuple[bytes, bytes]]


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.ended = True

    def resume_reading(self) -> None:
        """Nothing is read."""


async def respond(
    cycle_class: type[RequestResponseCycle],
    fields: Fields,
    *,
    status: int = 200,
    method: str = "GET",
    keep_alive: bool = True,
    chunked: bool | None = None,
    body: bytes = b"body",
) -> dict[str, Any]:
    """Return what is sent, and the state of the cycle after that."""
    transport = cast("Any", Transport())
    logger = logging.getLogger("uvicorn.error")
    cycle = cycle_class(
        cast("Any", {"type": "http", "method": method}),
        transport,
        FlowControl(transport),
        logger,
        logger,
        False,
        [DATE],
        asyncio.Event(),
        True,
        keep_alive,
        lambda: None,
    )
    cycle.chunked_encoding = chunked
    error = ""
    try:
        await cycle.send({"type": "http.response.start", "status": status, "headers": fields})
        await cycle.send({"type": "http.response.body", "body": body, "more_body": False})
    except RuntimeError as raised:
        error = str(raised)
    state = {name: value for name, value in vars(cycle).items() if isinstance(value, bool | int)}
    return state | {"sent": transport.sent, "ended": transport.ended, "error": error}


@pytest.mark.parametrize(
    "case",
    [
        {"fields": [LENGTH, (b"x", b'\ttab, \xe4 and "quotes"')]},
        {"fields": []},
        {"fields": [], "chunked": False, "body": b""},
        {"fields": [LENGTH], "keep_alive": False},
        {"fields": [LENGTH, (b"connection", b"close")]},
        {"fields": [LENGTH, (b"connection", b"keep-alive")], "keep_alive": False},
        {"fields": [(b"transfer-encoding", b"chunked")]},
        {"fields": [LENGTH], "method": "HEAD"},
        {"fields": [], "method": "HEAD"},
        {"fields": [], "status": 304, "body": b""},
        {"fields": [], "status": 204, "body": b""},
        {"fields": [LENGTH, (b"content-length", b"9")]},
        {"fields": [LENGTH], "body": b"longer"},
        {"fields": [(b"Content-Length", b"4"), (b"X-Name", b"value")]},
        {"fields": [LENGTH], "status": 599},
    ],
    ids=str,
)
async def test_the_same_bytes_are_sent(case: dict[str, Any]) -> None:
    assert await respond(ResponseCycle, **case) == await respond(RequestResponseCycle, **case)


async def test_a_field_that_could_begin_another_line_is_not_sent() -> None:
    octets = [bytes([octet]) for octet in range(256)]
    for each in octets:
        for field in ((b"a" + each, b"value"), (b"name", b"a" + each + b"b: c")):
            found = await respond(ResponseCycle, [LENGTH, field])
            assert found == await respond(RequestResponseCycle, [LENGTH, field]), field
            assert found["sent"].count(b"\r\n") in (0, 5)
