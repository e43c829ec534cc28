"""A real server on a real socket, with a clock that the test advances, and clients of it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from starlette.types import Message, Receive, Scope, Send

from app.edge.access_log import AccessLog
from app.edge.cors import CorsHeaders
from app.edge.head import Head
from app.edge.host_check import HostCheck
from app.edge.rejected_requests import answer_rejected
from app.edge.request_rules import RequestRules
from app.edge.unhandled_errors import UnhandledErrors
from app.server.connection import HttpConnection
from app.server.limits import Limits
from app.server.server import Server, open_server
from app.server.shutdown import Shutdown
from tests.support.clock import ManualClock, settle
from tests.support.limits import default_limits

HOST = b"Host: localhost\r\n"
ORIGIN = "https://page.example"
GET = b"GET /v1/orders HTTP/1.1\r\n" + HOST + b"\r\n"


@dataclass
class Response:
    """One response as received from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Application:
    """Responds `ok` immediately, with exceptions by path.

    `/slow-start` waits for `gate` before the response, `/slow-body` after its headers;
    `/read-body` reads the request body first, `/until-disconnect` waits for the client to
    disconnect, and `/large` sends 30 MB. `/stream` sends `ok` in two parts without a length,
    `/cut` only the first part, and `/long` 500 parts. `paths` maps other paths to
    these.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    scopes: list[Scope] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
            return
        self.scopes.append(scope)
        path = self.paths.get(scope["path"], scope["path"])
        if path == "/slow-start":
            self.called.set()
            await self.gate.wait()
        if path == "/read-body":
            self.called.set()
            while (await self._receive(receive)).get("more_body"):
                pass
        if path == "/until-disconnect":
            self.called.set()
            while (await self._receive(receive))["type"] != "http.disconnect":
                pass
        if path in ("/stream", "/cut", "/long"):
            await self._stream(path, send)
            return
        body = b"x" * 30_000_000 if path == "/large" else b"ok"
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/slow-body":
            self.called.set()
            await self.gate.wait()
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, path: str, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        for _ in range(500 if path == "/long" else 0):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        if path != "/cut":
            await send({"type": "http.response.body", "body": b"k"})

    async def _receive(self, receive: Receive) -> Message:
        message = await receive()
        self.received.append(message)
        return message

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


@dataclass
class Client:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, *, to_head: bool = False) -> Response:
        """Return the next response; `to_head` if the request was a HEAD."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        lines = (line.partition(": ") for line in head[1:] if line)
        headers = {name.lower(): value for name, _, value in lines}
        length = 0 if to_head else int(headers["content-length"])
        body = await self.reader.readexactly(length)
        return Response(int(head[0].split(" ")[1]), headers, body)

    async def request(self, data: bytes, *, to_head: bool = False) -> Response:
        """Send `data` and return the next response."""
        self.send(data)
        return await self.receive(to_head=to_head)

    async def receive_all(self) -> list[Response]:
        """Return every response until the server closes the connection."""
        responses = []
        with suppress(asyncio.IncompleteReadError):
            while True:
                responses.append(await self.receive())
        return responses

    async def is_closed(self) -> bool:
        """Wait until the server closes, and return whether nothing was sent before."""
        with suppress(ConnectionError):
            return await self.reader.read() == b""
        return True

    def close(self) -> None:
        self.writer.close()


@dataclass
class LiveServer:
    """A server that has been started, and its clients."""

    server: Server
    app: Application
    clock: ManualClock
    shutdown: Shutdown
    raised_signals: list[int]
    listener: socket.socket
    clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port: int = self.listener.getsockname()[1]

    async def connect(self, proxy: Path | None = None) -> Client:
        """Return a new connection to the server, or to a proxy on a Unix socket."""
        connecting = (
            asyncio.open_unix_connection(proxy)
            if proxy
            else asyncio.open_connection("127.0.0.1", self.port)
        )
        client = Client(*await connecting)
        self.clients.append(client)
        return client

    async def advance(self, seconds: float) -> None:
        """Let the server read what was sent, pass `seconds`, and let it check timeouts."""
        await settle()
        await self.clock.advance(seconds)
        await self.server.on_tick(0)
        await settle()

    def connections(self) -> set[HttpConnection]:
        """Return the open connections."""
        return cast("set[HttpConnection]", self.server.server_state.connections)

    async def connection_count(self, expected: int) -> int:
        """Return the number of connections, after waiting a little for it to be `expected`."""
        for _ in range(100):
            if len(self.connections()) == expected:
                break
            await settle()
        return len(self.connections())

    def start_shutdown(self) -> "asyncio.Future[None]":
        """Start the last part of a shutdown, after the drain delay."""
        return asyncio.ensure_future(self.server.shutdown([self.listener]))

    async def shut_down(self) -> None:
        """Shut down, and advance the clock until that is complete."""
        shutdown = self.start_shutdown()
        while not shutdown.done():
            await self.clock.advance(0.05)
        await shutdown


@asynccontextmanager
async def running(
    limits: Limits | None = None, *, drain_timeout: float = 0.1, drain_delay: float = 0
) -> AsyncIterator[LiveServer]:
    app, clock = Application(), ManualClock()
    shutdown = Shutdown(clock, drain_delay=drain_delay, drain_timeout=drain_timeout)
    raised_signals: list[int] = []
    rules = [CorsHeaders(origins=[ORIGIN]).add, answer_rejected, HostCheck(loopback=True).check]
    http = AccessLog(UnhandledErrors(RequestRules(Head(app), rules)), clock)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        await (http if scope["type"] == "http" else app)(scope, receive, send)

    server = open_server(
        dispatch,
        host="127.0.0.1",
        port=0,
        shutdown=shutdown,
        limits=limits or default_limits(),
        raise_signal=raised_signals.append,
    )
    # Without uvicorn's signal handlers: signals belong to the test runner.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.startup([listener])
    await server.on_tick(0)  # sets the Date header
    live = LiveServer(server, app, clock, shutdown, raised_signals, listener)
    try:
        yield live
    finally:
        app.gate.set()
        for client in live.clients:
            client.close()
            with suppress(ConnectionError):
                await client.writer.wait_closed()
        if server.servers[0].sockets:
            await live.shut_down()


def problem_code(response: Response) -> str:
    """Return the problem code of `response`, which has to be a complete problem."""
    body = json.loads(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["connection"] == "close"
    assert response.headers["x-request-id"] == body["request_id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert body["status"] == response.status
    return str(body["code"])
