"""A shutdown loses no request of a client that keeps its connections."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from app.server.server import IDLE_CLOSE_SECONDS
from tests.server.live_server import GET, Client, LiveServer, running
from tests.server.proxies import nginx, require

STEP = 0.005
PERIODS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Seconds between two requests of a client."""


@dataclass
class PollingClient:
    """Sends a request every `period` seconds on a connection that it keeps as long as it can.

    Attributes:
        next_at: when it sends the next request.
        answered: how many requests have been answered.
        closed_without_announcement: how often a kept connection was closed without the response
            before having said so.
        lost: how many requests were sent and not answered, or by an error of a proxy.
    """

    connect: Callable[[], Awaitable[Client]]
    period: float
    next_at: float
    client: Client | None = None
    answered: int = 0
    closed_without_announcement: int = 0
    lost: int = 0

    async def poll(self) -> None:
        """Send one request, on a new connection if there is none."""
        if self.client is not None and self.client.reader.at_eof():
            self.closed_without_announcement += 1
            self.client = None
        if self.client is None:
            try:
                self.client = await self.connect()
            except OSError:
                return  # not accepted, so not lost: the client tries another server
        try:
            response = await self.client.request(GET)
        except (OSError, asyncio.IncompleteReadError):
            self.lost += 1
            self.client = None
            return
        if response.status == 200:
            self.answered += 1
        else:
            self.lost += 1
        if response.headers.get("connection") == "close":
            self.client.close()
            self.client = None


@pytest.mark.parametrize("drain_delay", [0, 0.5])
async def test_no_request_of_a_kept_connection_is_lost(drain_delay: float) -> None:
    async with running(drain_delay=drain_delay, drain_timeout=10) as server:
        started = server.clock.monotonic()
        pollers = [
            PollingClient(server.connect, period, started + part * period)
            for period in PERIODS
            for part in (0, 0.25, 0.5, 0.75)
        ]
        await run_pollers(server, pollers, 2 * max(PERIODS))
        assert all(poller.answered for poller in pollers)
        server.server.handle_exit(signal.SIGTERM, None)
        await run_pollers(server, pollers, drain_delay)
        shutdown = server.start_shutdown()
        await run_pollers(server, pollers, IDLE_CLOSE_SECONDS + 0.2)
        assert shutdown.done()

    assert sum(poller.lost for poller in pollers) == 0
    assert sum(poller.closed_without_announcement for poller in pollers) == 0


@pytest.mark.parametrize("drain_delay", [0, 0.5])
async def test_behind_nginx_no_request_is_lost_while_another_server_runs(
    folder: Path, drain_delay: float
) -> None:
    require("nginx")
    async with (
        running(drain_delay=drain_delay, drain_timeout=10) as server,
        running() as other,
        nginx(folder, server.port, other.port, keepalive=32) as sockets,
    ):
        started = server.clock.monotonic()
        pollers = [
            PollingClient(
                partial(server.connect, sockets["nginx"]), period, started + part * period
            )
            for period in PERIODS
            for part in (0, 0.5)
        ]
        await run_pollers(server, pollers, 2 * max(PERIODS))
        assert server.app.scopes
        server.server.handle_exit(signal.SIGTERM, None)
        await run_pollers(server, pollers, drain_delay)
        shutdown = server.start_shutdown()
        await run_pollers(server, pollers, IDLE_CLOSE_SECONDS + 0.2)
        assert shutdown.done()
        answered = sum(poller.answered for poller in pollers)

    assert sum(poller.lost for poller in pollers) == 0
    assert answered == len(server.app.scopes) + len(other.app.scopes)


async def test_a_connection_that_waits_to_be_accepted_is_answered() -> None:
    async with running(drain_timeout=10) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as waiting:
            waiting.sendall(GET)  # before the event loop has a turn
            shutdown = server.start_shutdown()
            await server.clock.advance(0.1)
            received = waiting.recv(10_000)
        await server.clock.advance(0.2)
        assert shutdown.done()

    assert received.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in received


async def test_a_response_in_progress_at_the_start_announces_the_close() -> None:
    async with running(drain_delay=3) as server:
        client = await server.connect()
        client.send(GET.replace(b"/v1/orders", b"/slow-start"))
        await server.app.called.wait()
        server.server.handle_exit(signal.SIGTERM, None)
        await server.server.on_tick(1)
        server.app.gate.set()

        assert (await client.receive()).headers["connection"] == "close"


async def run_pollers(server: LiveServer, pollers: list[PollingClient], seconds: float) -> None:
    """Pass `seconds` on the server's clock, in which each client keeps its period."""
    until = server.clock.monotonic() + seconds
    ticks = 0
    while server.clock.monotonic() < until:
        now = server.clock.monotonic()
        due = [poller for poller in pollers if poller.next_at <= now]
        for poller in due:
            poller.next_at += poller.period
        await asyncio.gather(*(poller.poll() for poller in due))
        await server.clock.advance(STEP)
        ticks += 1
        if ticks % 20 == 0:
            await server.server.on_tick(ticks // 20)
