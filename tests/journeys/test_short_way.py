"""The short way past the layers: whoever takes it is told what the long way tells."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from app.edge.at_once import Whole
from app.edge.leaving import Leaving
from app.edge.server import open_server
from tests.edge.door import Lines, logging_to
from tests.edge.wire import Answer, Connection, Running
from tests.support.proxy import Proxy

KEY = "obff_canary-short-way-0123456789"
POOR = "obff_canary-without-scope-0123456789"
TARGET = "/v1/orders?page=2&limit=50"
ASKED = "X-Request-Id: caller-0001\r\n"
WITH_KEY = f"Host: localhost\r\nX-API-Key: {KEY}\r\n{ASKED}"


def proxy(**groups: Any) -> Proxy:
    keys = [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "scopes": [scope]}
        for name, key, scope in (
            ("dashboard", KEY, "orders:read"),
            ("poor", POOR, "payments:read"),
        )
    ]
    return Proxy(environ={"ORDERS_CALLERS__API_KEYS": json.dumps(keys)}, **groups)


class Counted:
    """The short way, and how often it was gone to its end."""

    def __init__(self, proxy: Proxy) -> None:
        self._way = proxy.app.at_once
        self.answered = 0

    def __call__(self, target: bytes, headers: list[tuple[bytes, bytes]]) -> Whole | None:
        whole = self._way(target, headers)
        self.answered += whole is not None
        return whole


@asynccontextmanager
async def serving(proxy: Proxy, **how: Any) -> AsyncIterator[Running]:
    leaving = Leaving(proxy.clock, delay=0, drain=0.1)
    server = open_server(
        proxy.app, host="127.0.0.1", port=0, clock=proxy.clock, leaving=leaving, **how
    )
    server.config.lifespan = "off"
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    await server.on_tick(0)
    here: Any = Running(server, proxy.app, proxy.clock, leaving, [])  # type: ignore[arg-type]
    try:
        yield here
    finally:
        for connection in here.connections:
            connection.writer.close()
            with suppress(ConnectionError):
                await connection.writer.wait_closed()
        await here.leave()


def question(headers: str = WITH_KEY, line: str = f"GET {TARGET} HTTP/1.1") -> bytes:
    return f"{line}\r\n{headers}\r\n".encode()


async def answer(connection: Connection, said: bytes) -> Answer:
    connection.writer.write(said)
    head = (await connection.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    has_body = not said.startswith(b"HEAD") and "content-length" in headers
    body = await connection.reader.readexactly(int(headers["content-length"]) if has_body else 0)
    headers.pop("date", None)
    return Answer(int(head[0].split(" ")[1]), headers, body)


def request_lines(lines: Lines) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if name not in ("duration_ms", "time")}
        for line in lines.facts()
        if line["event"] == "request"
    ]


QUESTIONS = [
    (question(), True),
    (question(WITH_KEY + "If-None-Match: *\r\n"), True),
    (question(WITH_KEY + 'If-None-Match: W/"another"\r\n'), True),
    (question(WITH_KEY + "Accept-Encoding: gzip, br\r\n"), True),
    (question(WITH_KEY + "Accept-Encoding: br\r\n"), True),
    (question(WITH_KEY.replace("X-API-Key: ", "Authorization: Bearer ")), True),
    (question(WITH_KEY, f"GET http://localhost{TARGET} HTTP/1.1"), True),
    (question(WITH_KEY, "GET /v1/orders?page=0 HTTP/1.1"), False),
    (question(WITH_KEY, f"HEAD {TARGET} HTTP/1.1"), False),
    (question(WITH_KEY, f"GET {TARGET} HTTP/1.0"), False),
    (question(WITH_KEY, "GET /v1/me HTTP/1.1"), False),
    (question(WITH_KEY, "GET /livez HTTP/1.1"), False),
    (question(WITH_KEY + "Connection: close\r\n"), False),
    (question(WITH_KEY + "Cache-Control: max-age=60\r\n"), False),
    (question(WITH_KEY + "Origin: https://dash.example\r\n"), False),
    (question(WITH_KEY + "Content-Length: 0\r\n"), False),
    (question(WITH_KEY + "Host: localhost\r\n"), False),
    (question(WITH_KEY.replace("localhost", "rebound.example")), False),
    (question(f"X-API-Key: {KEY}\r\n{ASKED}"), False),
    (question(WITH_KEY.replace(KEY, KEY[::-1])), False),
    (question(WITH_KEY.replace(KEY, POOR)), False),
    (question(f"Host: localhost\r\n{ASKED}"), False),
    (question(WITH_KEY + "X-Long: " + "x" * 5000 + "\r\n"), False),
    (question(WITH_KEY + "".join(f"X-{at}: 1\r\n" for at in range(40))), False),
]
"""What is asked, and whether it may be answered at once."""


async def test_the_short_way_tells_what_the_long_way_tells() -> None:
    here = proxy(cors={"origins": ["https://dash.example"]})
    await here.get(TARGET, x_api_key=KEY)
    await here.clock.advance(3.5)
    async with serving(here) as long, serving(here, at_once=(way := Counted(here))) as short:
        for said, goes_short in QUESTIONS:
            with logging_to(clock=here.clock) as lines:
                way.answered = 0
                expected = await answer(await long.connect(), said)
                got = await answer(await short.connect(), said)

            assert got == expected, said
            assert way.answered == goes_short, said
            first, second = request_lines(lines)
            assert first == second, said


async def test_what_is_told_within_a_second_is_told_anew_in_the_next() -> None:
    here = proxy()
    await here.get(TARGET, x_api_key=KEY)
    way = Counted(here)
    async with serving(here, at_once=way) as server:
        connection = await server.connect()
        ages = []
        for _ in range(3):
            first, second = [await answer(connection, question()) for _ in range(2)]
            assert first == second
            ages.append((first.headers["age"], first.headers["cache-status"]))
            await here.clock.advance(1)

    assert way.answered == 6
    assert ages == [(str(n), f"orders-bff; hit; ttl={60 - n}") for n in range(3)]


async def test_an_answer_that_is_fresh_no_more_is_not_given_at_once() -> None:
    here = proxy()
    await here.get(TARGET, x_api_key=KEY)
    way = Counted(here)
    async with serving(here, at_once=way) as server:
        connection = await server.connect()
        await here.clock.advance(61)
        told = await answer(connection, question())

    assert way.answered == 0
    assert told.headers["x-freshness"] == "stale"


async def test_of_many_questions_in_one_write_each_is_answered_in_its_turn() -> None:
    here = proxy()
    await here.get(TARGET, x_api_key=KEY)
    way = Counted(here)
    other = question(WITH_KEY, "GET /v1/me HTTP/1.1")
    async with serving(here, at_once=way) as server:
        connection = await server.connect()
        connection.writer.write(question() * 3 + other + question() * 40)
        told = [await answer(connection, b"") for _ in range(44)]

    assert [b"dashboard" in each.body for each in told] == [False] * 3 + [True] + [False] * 40
    assert way.answered >= 1
    # What came in one read must not keep the loop from the others.
    assert way.answered < 5


async def test_a_coding_that_nobody_has_wanted_yet_is_made_on_the_long_way_once() -> None:
    here = proxy()
    await here.get(TARGET, x_api_key=KEY, accept_encoding="identity")
    way = Counted(here)
    said = question(WITH_KEY + "Accept-Encoding: gzip\r\n")
    async with serving(here, at_once=way) as server:
        connection = await server.connect()
        first, second = [await answer(connection, said) for _ in range(2)]

    assert way.answered == 1
    assert first == second
    assert first.headers["content-encoding"] == "gzip"


async def test_who_went_the_short_way_is_kept_as_long_as_any_caller() -> None:
    here = proxy()
    await here.get(TARGET, x_api_key=KEY)
    async with serving(here, at_once=Counted(here)) as server:
        connection = await server.connect()
        await answer(connection, question())
        await server.wait(60)
        told = await answer(connection, question())

    assert told.status == 200


async def test_two_headers_of_one_name_are_read_on_the_long_way() -> None:
    here = proxy()
    etag = (await here.get(TARGET, x_api_key=KEY)).headers["etag"]
    way = Counted(here)
    twice = f'If-None-Match: {etag}\r\nIf-None-Match: "another"\r\n'
    async with serving(here, at_once=way) as server:
        told = await answer(await server.connect(), question(WITH_KEY + twice))

    assert way.answered == 0
    assert told.status == 304  # any of them names it (RFC 9110 section 5.3)
