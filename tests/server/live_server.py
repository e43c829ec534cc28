"""A real server on a real socket, on a clock that a test winds, and connections to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from starlette.types import Message, Receive, Scope, Send

from app.edge.access_log import AccessLog
from app.edge.head import Head
from app.edge.host_check import HostCheck
from app.server.limits import Limits
from app.server.server import Server, open_server
from app.server.shutdown import Shutdown
from tests.support.clock import ManualClock, settle

HOST = b"Host: localhost\r\n"
GET = b"GET /v1/orders HTTP/1.1\r\n" + HOST + b"\r\n"


@dataclass
class Answer:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Application:
    """Answers at once, but for a few paths.

    `/held` is answered when the gate opens, `/late` only begun then; `/reads` its body first,
    `/watches` until its caller is gone, `/large` is 30 MB.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    scopes: list[Scope] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.scopes.append(scope)
        path = scope["path"]
        if path == "/late":
            self.arrived.set()
            await self.gate.wait()
        if path == "/reads":
            self.arrived.set()
            while (await self._received(receive)).get("more_body"):
                pass
        if path == "/watches":
            self.arrived.set()
            while (await self._received(receive))["type"] != "http.disconnect":
                pass
        body = b"x" * 30_000_000 if path == "/large" else b"ok"
        length = b"%d" % len(body)
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/held":
            self.arrived.set()
            await self.gate.wait()
        await send({"type": "http.response.body", "body": body})

    async def _received(self, receive: Receive) -> Message:
        message = await receive()
        self.received.append(message)
        return message

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

    async def hear_all(self) -> list[Answer]:
        """Every answer until the connection is closed."""
        answers = []
        with suppress(asyncio.IncompleteReadError):
            while True:
                answers.append(await self.hear())
        return answers

    async def is_closed(self) -> bool:
        with suppress(ConnectionError):
            return await self.reader.read() == b""
        return True

    def close(self) -> None:
        self.writer.close()


@dataclass
class Running:
    """A server that runs, and the connections to it."""

    server: Server
    app: Application
    clock: ManualClock
    leaving: Shutdown
    raised: list[int]
    connections: list[Connection] = field(default_factory=list)

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self.connections.append(connection)
        return connection

    async def wait(self, seconds: float) -> None:
        """What was sent is read, time passes, and the server looks after its connections."""
        await settle()
        await self.clock.advance(seconds)
        await self.server.on_tick(0)
        await settle()

    async def open_connections(self, expected: int) -> int:
        """How many there are, once the loop has had time to see `expected`."""
        for _ in range(100):
            if len(self.server.server_state.connections) == expected:
                break
            await settle()
        return len(self.server.server_state.connections)

    async def leave(self) -> None:
        """The whole way out, as long as it takes."""
        leaving = asyncio.ensure_future(self.server.shutdown())
        while not leaving.done():
            await self.clock.advance(0.05)
        await leaving


@asynccontextmanager
async def running(
    limits: Limits | None = None, *, drain: float = 0.1, delay: float = 0
) -> AsyncIterator[Running]:
    app, clock = Application(), ManualClock()
    leaving = Shutdown(clock, delay=delay, drain=drain)
    limits = limits or Limits()
    raised: list[int] = []
    server = open_server(
        AccessLog(HostCheck(Head(app), loopback=True), clock),
        host="127.0.0.1",
        port=0,
        clock=clock,
        leaving=leaving,
        limits=limits,
        raise_signal=raised.append,
    )
    # Without uvicorn's signal handlers: signals belong to the test runner.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    await server.on_tick(0)  # sets the headers that uvicorn adds to each answer
    here = Running(server, app, clock, leaving, raised)
    try:
        yield here
    finally:
        app.gate.set()
        for connection in here.connections:
            connection.writer.close()
            with suppress(ConnectionError):
                await connection.writer.wait_closed()
        if server.servers[0].sockets:
            await here.leave()


def problem(answer: Answer) -> str:
    told = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"] == told["request_id"]
    assert told["status"] == answer.status
    return str(told["code"])
