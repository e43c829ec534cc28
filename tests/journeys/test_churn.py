"""Callers who hang up at every stage, by the thousand: nothing of them may stay."""

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

CALLERS = 700
AT_ONCE = 50
OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """On the loop that serves."""
    return "asyncio", {"use_uvloop": True}


@dataclass
class Served:
    """A proxy on a socket, and what it holds at a quiet moment."""

    server: Server
    upstream: SandboxServer
    port: int

    async def call(self, path: str) -> int:
        """One well-behaved call on a connection of its own: the status."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(question(path, "Connection: close\r\n"))
        heard = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(heard.split(b" ", 2)[1])

    async def is_quiet(self) -> bool:
        """Whether nobody is served any more, after calls that give those who left time to go."""
        state = self.server.server_state
        for _ in range(2000):
            if not state.connections and not state.tasks:
                return True
            await self.call("/livez")
        return False

    def tasks(self) -> int:
        return len(asyncio.all_tasks())

    def files(self) -> int:
        return len(os.listdir(OPEN_FILES))  # noqa: PTH208  in the loop, but of memory


def question(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
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
            app, host="127.0.0.1", port=0, clock=clock, shutdown=app.shutdown, limits=app.limits
        )
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        await server.on_tick(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield Served(server, upstream, port)
        finally:
            await server.shutdown()


async def hang_up(port: int, at: int) -> None:
    """Be the caller number `at`: one of eight ways to leave, with a question of one's own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # Of what is asked a part is held, a part is asked upstream, and a part is asked there anew.
    paths = (f"/v1/orders?page={at % 10 + 1}&limit=50", f"/v1/orders/20220925{at % 50:07d}")
    asked = question(paths[at % 2], "Cache-Control: no-cache\r\n" if at % 5 == 0 else "")
    way = at % 8
    said = (
        b"",
        asked[:20],
        asked,
        asked,
        asked,
        asked,
        asked * 5,
        asked.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nhalf"),
    )[way]
    with suppress(ConnectionError):
        writer.write(said)
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


async def churn(port: int) -> None:
    async def some(first: int) -> None:
        for at in range(first, CALLERS, AT_ONCE):
            await hang_up(port, at)

    await asyncio.gather(*(some(first) for first in range(AT_ONCE)))


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="open files are counted in /proc")
async def test_callers_who_hang_up_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "orders_bff")  # pytest would keep each line
    async with served() as proxy:
        await churn(proxy.port)  # what is held may grow until all of it has been asked for
        assert await proxy.is_quiet()
        tasks, files = proxy.tasks(), proxy.files()
        gc.collect()
        blocks = sys.getallocatedblocks()

        for _ in range(2):
            await churn(proxy.port)
        assert await proxy.is_quiet()
        gc.collect()
        assert sys.getallocatedblocks() - blocks < 2 * CALLERS  # one a caller would be a leak
        assert proxy.tasks() <= tasks
        assert proxy.files() <= files

        # Every slot to the upstream is back: each of these calls needs one of its own.
        proxy.upstream.sandbox.inject("latency=0.01")
        numbers = [f"/v1/orders/20990101{at:07d}" for at in range(100)]
        assert set(await asyncio.gather(*map(proxy.call, numbers))) == {404}
        pages = [f"/v1/orders?page={at % 10 + 1}&limit=50" for at in range(100)]
        assert set(await asyncio.gather(*map(proxy.call, pages))) == {200}
