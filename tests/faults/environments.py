"""Where a fault is tried: a proxy in this process, or one of its own that `serve` runs."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx

from app.clock import SystemClock
from app.main import create_app
from app.server.server import open_server
from app.settings import load
from tests.edge.asgi_harness import Lines

PAGE = "/v1/orders?limit=50"

Environ = Mapping[str, str]

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For callers of loopback: to read the system's CAs for each takes longer than to ask."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got, and after how many seconds."""

    status: int
    headers: httpx.Headers
    code: str
    seconds: float

    @property
    def freshness(self) -> str:
        """Fresh, stale or kept; empty for a problem."""
        return str(self.headers.get("x-freshness", ""))

    @property
    def cache_status(self) -> str:
        """Ours, without the numbers."""
        given = str(self.headers.get("cache-status", "")).removeprefix("orders-bff; ")
        return "; ".join(part for part in given.split("; ") if part and "ttl=" not in part)


class Place(Protocol):
    """A proxy on a real socket.

    Attributes:
        step: seconds of its time between two looks at it.
    """

    step: float

    async def ask(self, path: str, request_id: str) -> Answer:
        """One request of one caller."""

    async def pass_time(self, seconds: float) -> None:
        """Let the proxy's time pass."""

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        """What the proxy logged for a request."""


class _Caller:
    """A caller of the proxy at `origin`."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._client = httpx.AsyncClient(
            base_url=origin, trust_env=False, timeout=60, verify=_NO_TLS
        )

    async def ask(self, path: str, request_id: str) -> Answer:
        started = time.monotonic()
        response = await self._client.get(path, headers={"X-Request-Id": request_id})
        seconds = time.monotonic() - started
        problem = response.headers.get("content-type") == "application/problem+json"
        code = response.json()["code"] if problem else ""
        return Answer(response.status_code, response.headers, code, seconds)

    async def aclose(self) -> None:
        await self._client.aclose()


class WoundClock(SystemClock):
    """The machine's clock, which a test puts ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)


class Here(_Caller):
    """The proxy in this process; its clock is wound."""

    step = 5.0

    def __init__(self, origin: str, clock: WoundClock, log: Lines) -> None:
        super().__init__(origin)
        self._clock = clock
        self._log = log

    async def pass_time(self, seconds: float) -> None:
        self._clock.ahead += seconds
        await asyncio.sleep(0.01)  # what a refresh behind asks for is asked of real sockets

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        return [line for line in self._log.facts() if line.get("request_id") == request_id]


@asynccontextmanager
async def here(environ: Environ, log: Lines) -> AsyncIterator[Here]:
    """A proxy in this process, which logs to `log` as others may."""
    clock = WoundClock()
    app = create_app(load(environ, dotenv=Path("none.env")), clock=clock, chance=lambda: 0.0)
    # The server keeps the machine's time: nobody is idle because a test has wound the proxy's.
    server = open_server(
        app,
        host="127.0.0.1",
        port=0,
        clock=SystemClock(),
        shutdown=app.shutdown,
        limits=app.limits,
    )
    # Without uvicorn's signal handlers: signals belong to the test runner.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    await server.on_tick(0)
    place = Here(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", clock, log)
    try:
        yield place
    finally:
        await place.aclose()
        await server.shutdown()


class There(_Caller):
    """The proxy as `serve` runs it; time passes as it does."""

    step = 0.25

    def __init__(self, origin: str, log: Path) -> None:
        super().__init__(origin)
        self._log = log

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        told = (json.loads(line) for line in self._log.read_text("utf-8").splitlines())
        return [line for line in told if line.get("request_id") == request_id]

    def count_lines(self, part: bytes) -> int:
        """How many of all its lines have `part` in them."""
        return sum(part in line for line in self._log.read_bytes().splitlines())


@asynccontextmanager
async def there(
    environ: Environ, module: tuple[str, ...] = ("app", "serve")
) -> AsyncIterator[tuple[There, asyncio.subprocess.Process]]:
    """A proxy in a process of its own, and that process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as stream:  # noqa: ASYNC230  a file of our own, once
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *module, "--port", "0"),
                env=clean | {"PYTHONPATH": root, "ORDERS_LOG__FORMAT": "json"} | dict(environ),
                cwd=folder,  # no `.env` of a checkout
                stdout=stream,
                stderr=asyncio.subprocess.PIPE,
            )
        place = There(await _origin(process), log)
        try:
            yield place, process
        finally:
            await place.aclose()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.communicate()


async def _origin(process: asyncio.subprocess.Process) -> str:
    """Where it says that it is."""
    assert process.stderr is not None
    told = b""
    async for line in process.stderr:
        told += line
        if b"orders-bff is at " in line:
            return line.rpartition(b" at ")[2].decode().strip().rstrip("/")
    raise RuntimeError(told.decode())
