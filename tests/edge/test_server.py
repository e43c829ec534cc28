"""What the server answers by itself, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from app.clock import SystemClock
from app.edge.access_log import AccessLog
from app.edge.head import Head
from app.edge.server import LARGEST_HEAD, server_config
from tests.edge.door import logging_to
from tests.support.clock import settle

GET = b"GET /v1/orders HTTP/1.1\r\nHost: localhost\r\n\r\n"
KEY = b"obff_canary-server-0123456789"


@dataclass
class Answer:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Application:
    """Answers at once, or when the gate opens."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.scopes.append(scope)
        start: Message = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"2")],
        }
        if scope["path"] == "/held":
            await send(start)
            self.arrived.set()
            await self.gate.wait()
        else:
            await send(start)
        await send({"type": "http.response.body", "body": b"ok"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


@dataclass
class Connection:
    """One connection of one client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes, *, is_head: bool = False) -> Answer:
        self.writer.write(data)
        return await self.hear(is_head=is_head)

    async def hear(self, *, is_head: bool = False) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        lines = (line.partition(": ") for line in head[1:] if line)
        headers = {name.lower(): value for name, _, value in lines}
        length = 0 if is_head else int(headers["content-length"])
        body = await self.reader.readexactly(length)
        return Answer(int(head[0].split(" ")[1]), headers, body)

    async def is_closed(self) -> bool:
        return await self.reader.read() == b""


@dataclass
class Running:
    """A server that runs, and the connections to it."""

    port: int
    app: Application
    connections: list[Connection] = field(default_factory=list)

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self.connections.append(connection)
        return connection


@asynccontextmanager
async def running(*, max_connections: int = 8) -> AsyncIterator[Running]:
    app = Application()
    config = server_config(
        AccessLog(Head(app), SystemClock()),
        host="127.0.0.1",
        port=0,
        max_connections=max_connections,
        drain=0.1,
    )
    server = uvicorn.Server(config)
    # Without uvicorn's signal handlers: signals belong to the test runner.
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    await server.on_tick(0)  # sets the headers that uvicorn adds to each answer
    here = Running(server.servers[0].sockets[0].getsockname()[1], app)
    try:
        yield here
    finally:
        app.gate.set()
        for connection in here.connections:
            connection.writer.close()
            with suppress(ConnectionError):
                await connection.writer.wait_closed()
        await server.shutdown()


def problem(answer: Answer) -> str:
    told = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"] == told["request_id"]
    assert told["status"] == answer.status
    return str(told["code"])


async def test_the_server_does_not_say_what_it_is() -> None:
    async with running() as server:
        answer = await (await server.connect()).say(GET)

    assert answer.status == 200
    assert "server" not in answer.headers


async def test_what_is_no_http_is_a_problem_with_an_id_to_look_for() -> None:
    with logging_to() as lines:
        async with running() as server:
            connection = await server.connect()
            answer = await connection.say(b"GET / nonsense " + KEY + b"\r\n\r\n")

            assert problem(answer) == "bad_request"
            assert await connection.is_closed()

    told = next(line for line in lines.facts() if line["event"] == "request")
    assert told["request_id"] == answer.headers["x-request-id"]
    assert KEY.decode() not in lines.text() + answer.body.decode()


async def test_one_connection_too_many_is_a_problem_and_the_others_stay() -> None:
    async with running(max_connections=1) as server:
        first, second = await server.connect(), await server.connect()
        refused = await second.say(GET)

        assert problem(refused) == "overloaded"
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["vary"].startswith("Accept-Encoding")
        assert await second.is_closed()
        assert (await first.say(GET)).status == 200


async def test_a_page_that_is_one_too_many_has_no_vary_of_the_api() -> None:
    async with running(max_connections=1) as server:
        await server.connect()
        refused = await (await server.connect()).say(GET.replace(b"/v1/orders", b"/livez"))

        assert problem(refused) == "overloaded"
        assert "vary" not in refused.headers


async def test_headers_without_end_are_not_held() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(b"GET / HTTP/1.1\r\nX-Long: ")
        connection.writer.write(b"x" * LARGEST_HEAD)

        assert problem(await connection.hear()) == "headers_too_large"


async def test_a_head_that_comes_in_pieces_is_answered() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(GET[:20])
        await connection.writer.drain()
        assert (await connection.say(GET[20:])).status == 200
        assert (await connection.say(GET)).status == 200


async def test_a_body_is_not_taken_for_headers_without_end() -> None:
    length = 2 * LARGEST_HEAD
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length
    async with running() as server:
        connection = await server.connect()
        assert (await connection.say(head)).status == 200
        connection.writer.write(b"x" * length)
        assert (await connection.say(GET)).status == 200


async def test_an_answer_under_way_is_not_cut_into() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(GET.replace(b"/v1/orders", b"/held"))
        await server.app.arrived.wait()
        connection.writer.write(b"nonsense\r\n\r\n")
        heard = await connection.reader.read()

    assert heard.startswith(b"HTTP/1.1 200 OK")
    assert heard.endswith(b"\r\n\r\n")


async def test_head_over_the_wire_has_a_length_and_no_body() -> None:
    async with running() as server:
        connection = await server.connect()
        answer = await connection.say(GET.replace(b"GET", b"HEAD"), is_head=True)
        assert answer.headers["content-length"] == "2"

        assert (await connection.say(GET)).body == b"ok"


async def test_an_offer_to_upgrade_is_not_taken_up_and_not_worth_a_line() -> None:
    offer = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with logging_to(level="warning") as lines:
        async with running() as server:
            assert (await (await server.connect()).say(offer)).status == 200

    assert lines.text() == ""


@pytest.mark.parametrize(("drain", "seconds"), [(0.0, 0), (0.2, 1), (10.0, 10)])
def test_the_drain_is_whole_seconds_and_never_shorter(drain: float, seconds: int) -> None:
    config = server_config(Application(), host="127.0.0.1", port=0, max_connections=1, drain=drain)

    assert config.timeout_graceful_shutdown == seconds


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8",)])
def test_only_named_proxies_are_believed(proxies: tuple[str, ...]) -> None:
    config = server_config(
        Application(),
        host="127.0.0.1",
        port=0,
        max_connections=1,
        drain=1,
        trusted_proxies=proxies,
    )

    assert config.proxy_headers == bool(proxies)
    assert config.forwarded_allow_ips == list(proxies)


async def test_each_head_on_a_connection_is_counted_anew() -> None:
    start = GET.removesuffix(b"\r\n") + b"X-Long: "
    head = start + b"x" * (LARGEST_HEAD - len(start) - len(b"\r\n\r\n"))
    async with running() as server:
        connection = await server.connect()
        for _ in range(3):
            connection.writer.write(head)
            await connection.writer.drain()
            await settle()  # the server reads it before the rest comes
            assert (await connection.say(b"\r\n\r\n")).status == 200


async def test_many_requests_in_one_write_are_all_answered() -> None:
    many = LARGEST_HEAD // len(GET) + 50
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(GET * many + GET[:20])
        await connection.writer.drain()
        for _ in range(many - 1):
            assert (await connection.say(b"")).status == 200
        assert (await connection.say(GET[20:])).status == 200
        assert (await connection.say(b"")).status == 200


async def test_trailers_are_not_kept() -> None:
    question = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    async with running() as server:
        connection = await server.connect()
        assert (await connection.say(question)).status == 200
        trailers = b"".join(b"X-T: %d\r\n" % at for at in range(1000))
        assert (await connection.say(trailers + b"\r\n" + GET)).status == 200
        names = [name for name, _ in server.app.scopes[0]["headers"]]

    assert names == [b"host", b"transfer-encoding"]
