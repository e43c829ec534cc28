"""Where a fault is tried: a proxy in this process, or one in its own process."""

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
from tests.edge.asgi_harness import LogOutput

PAGE = "/v1/orders?limit=50"

Environ = Mapping[str, str]

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients on loopback: loading the system's CAs for each takes longer than its requests."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a caller got, and after how many seconds. `code` is the problem code, or empty."""

    status: int
    headers: httpx.Headers
    code: str
    seconds: float

    @property
    def freshness(self) -> str:
        """X-Freshness; empty for a problem."""
        return str(self.headers.get("x-freshness", ""))

    @property
    def cache_status(self) -> str:
        """The parameters of Cache-Status, without `ttl`."""
        value = str(self.headers.get("cache-status", "")).removeprefix("orders-bff; ")
        return "; ".join(part for part in value.split("; ") if part and "ttl=" not in part)


class Environment(Protocol):
    """A proxy on a real socket.

    Attributes:
        poll_interval: seconds of the proxy's time between two polls of it.
    """

    poll_interval: float

    async def request(self, path: str, request_id: str) -> Response:
        """Send one request."""

    async def wait(self, seconds: float) -> None:
        """Let `seconds` of the proxy's time pass."""

    def log_entries(self, request_id: str) -> list[dict[str, Any]]:
        """Return what the proxy logged for a request."""


class _Client:
    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._client = httpx.AsyncClient(
            base_url=origin, trust_env=False, timeout=60, verify=_NO_TLS
        )

    async def request(self, path: str, request_id: str) -> Response:
        started = time.monotonic()
        response = await self._client.get(path, headers={"X-Request-Id": request_id})
        seconds = time.monotonic() - started
        is_problem = response.headers.get("content-type") == "application/problem+json"
        code = response.json()["code"] if is_problem else ""
        return Response(response.status_code, response.headers, code, seconds)

    async def aclose(self) -> None:
        await self._client.aclose()


class OffsetClock(SystemClock):
    """The system clock plus an offset in seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.offset

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.offset)


class InProcess(_Client):
    """A proxy in this process. Waiting advances its clock."""

    poll_interval = 5.0

    def __init__(self, origin: str, clock: OffsetClock, log: LogOutput) -> None:
        super().__init__(origin)
        self._clock = clock
        self._log = log

    async def wait(self, seconds: float) -> None:
        self._clock.offset += seconds
        await asyncio.sleep(0.01)  # background refreshes use real sockets

    def log_entries(self, request_id: str) -> list[dict[str, Any]]:
        return [entry for entry in self._log.lines() if entry.get("request_id") == request_id]


@asynccontextmanager
async def in_process(environ: Environ, log: LogOutput) -> AsyncIterator[InProcess]:
    """Run a proxy in this process whose log entries go to the shared `log`."""
    clock = OffsetClock()
    app = create_app(load(environ, dotenv=Path("none.env")), clock=clock, random=lambda: 0.0)
    # The server has the system clock: advancing the proxy's must not end idle connections.
    server = open_server(
        app,
        host="127.0.0.1",
        port=0,
        shutdown=app.shutdown,
        limits=app.limits,
    )
    # Not server.serve(), which would install signal handlers: signals belong to the test runner.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    await server.on_tick(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    environment = InProcess(f"http://127.0.0.1:{port}", clock, log)
    try:
        yield environment
    finally:
        await environment.aclose()
        await server.shutdown()


class OwnProcess(_Client):
    """A proxy in its own process. Waiting takes real time."""

    poll_interval = 0.25

    def __init__(self, origin: str, log: Path) -> None:
        super().__init__(origin)
        self._log = log

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def log_entries(self, request_id: str) -> list[dict[str, Any]]:
        entries = (json.loads(line) for line in self._log.read_text("utf-8").splitlines())
        return [entry for entry in entries if entry.get("request_id") == request_id]

    def count_log_lines(self, part: bytes) -> int:
        """Return how many lines of the log contain `part`."""
        return sum(part in line for line in self._log.read_bytes().splitlines())


@asynccontextmanager
async def own_process(
    environ: Environ, module: tuple[str, ...] = ("app", "serve")
) -> AsyncIterator[tuple[OwnProcess, asyncio.subprocess.Process]]:
    """Run `python -m module` on a free port; yield the proxy and its process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as stream:  # noqa: ASYNC230  one small file
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *module, "--port", "0"),
                env=clean | {"PYTHONPATH": root, "ORDERS_LOG__FORMAT": "json"} | dict(environ),
                cwd=folder,  # so that no `.env` is read
                stdout=stream,
                stderr=asyncio.subprocess.PIPE,
            )
        environment = OwnProcess(await _read_origin(process), log)
        try:
            yield environment, process
        finally:
            await environment.aclose()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.communicate()


async def _read_origin(process: asyncio.subprocess.Process) -> str:
    """Return the origin that the process prints at startup."""
    assert process.stderr is not None
    output = b""
    async for line in process.stderr:
        output += line
        if b"orders-bff is running at " in line:
            return line.rpartition(b" at ")[2].decode().strip().rstrip("/")
    raise RuntimeError(output.decode())
