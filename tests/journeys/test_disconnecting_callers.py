"""Thousands of callers that disconnect at every stage: nothing of them may remain."""

import asyncio
import gc
import logging
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.clock import SystemClock
from app.main import create_app
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.server.server import Server, open_server
from app.settings import load
from tests.support.clock import settle

CALLERS = 700
CONCURRENCY = 50
OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run on uvloop, as the server does."""
    return "asyncio", {"use_uvloop": True}


@dataclass
class RunningProxy:
    """A proxy on a socket."""

    server: Server
    upstream: SandboxServer
    port: int

    async def get(self, path: str) -> int:
        """Send one request on its own connection; return the status."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request_bytes(path, "Connection: close\r\n"))
        response = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(response.split(b" ", 2)[1])

    async def becomes_idle(self) -> bool:
        """Return whether all connections and tasks end, while other requests are served."""
        state = self.server.server_state
        for _ in range(2000):
            await settle()  # the server notices that the client has closed
            if not state.connections and not state.tasks:
                return True
            await self.get("/livez")
        return False

    def tasks(self) -> int:
        return len(asyncio.all_tasks())

    def files(self) -> int:
        return len(os.listdir(OPEN_FILES))  # noqa: PTH208  procfs does not block


def request_bytes(path: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


@asynccontextmanager
async def running_proxy() -> AsyncIterator[RunningProxy]:
    clock = SystemClock()
    async with SandboxServer(Options(orders=500, max_calls_per_second=0), clock=clock) as upstream:
        settings = load(
            {
                "ORDERS_CALLERS__ANONYMOUS": "true",
                "ORDERS_UPSTREAM__MAX_RATE": "100000",
                "ORDERS_CACHE__NO_CACHE_MIN_AGE": "0",
            },
            dotenv=Path("/nowhere"),
            upstream={
                "base_url": upstream.base_url,
                "access_key_id": upstream.options.access_key_id,
                "access_key_secret": upstream.options.access_key_secret,
            },
        )
        app = create_app(settings, clock=clock)
        server = open_server(
            app, host="127.0.0.1", port=0, shutdown=app.shutdown, limits=app.limits
        )
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        await server.on_tick(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield RunningProxy(server, upstream, port)
        finally:
            await server.shutdown()


async def disconnect(port: int, number: int) -> None:
    """Send the request of caller `number` and disconnect in one of eight ways."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # Some of the responses are cached, some are fetched, some are fetched again.
    paths = (f"/v1/orders?page={number % 10 + 1}&limit=50", f"/v1/orders/20220925{number % 50:07d}")
    headers = "Cache-Control: no-cache\r\n" if number % 5 == 0 else ""
    request = request_bytes(paths[number % 2], headers)
    way = number % 8
    data = (
        b"",
        request[:20],
        request,
        request,
        request,
        request,
        request * 5,
        request.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nhalf"),
    )[way]
    with suppress(ConnectionError):
        writer.write(data)
        if way == 4:
            await reader.read(100)
        if way == 5:
            writer.write_eof()
            await reader.read()
        if way in (3, 6, 7):
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        await writer.wait_closed()


async def disconnect_all(port: int) -> None:
    async def disconnect_some(first: int) -> None:
        for number in range(first, CALLERS, CONCURRENCY):
            await disconnect(port, number)

    await asyncio.gather(*(disconnect_some(first) for first in range(CONCURRENCY)))


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="open files are counted in /proc")
async def test_disconnected_callers_leave_no_resources(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "orders_bff")  # pytest keeps every log record
    async with running_proxy() as proxy:
        await disconnect_all(proxy.port)  # fills the cache
        assert await proxy.becomes_idle()
        tasks, files = proxy.tasks(), proxy.files()
        gc.collect()
        blocks = sys.getallocatedblocks()

        for _ in range(2):
            await disconnect_all(proxy.port)
        assert await proxy.becomes_idle()
        gc.collect()
        assert sys.getallocatedblocks() - blocks < 2 * CALLERS  # a leak is at least one per caller
        assert proxy.tasks() <= tasks
        assert proxy.files() <= files

        # No slot of the limiter or connection of the pool is lost: these calls need all of them.
        proxy.upstream.sandbox.inject("latency=0.01")
        numbers = [f"/v1/orders/20990101{number:07d}" for number in range(100)]
        assert set(await asyncio.gather(*map(proxy.get, numbers))) == {404}
        pages = [f"/v1/orders?page={number % 10 + 1}&limit=50" for number in range(100)]
        assert set(await asyncio.gather(*map(proxy.get, pages))) == {200}
