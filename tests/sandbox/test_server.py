"""The sandbox on a real socket, with connection faults."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from app.clock import SystemClock
from app.sandbox.connection import wait_disconnected
from app.sandbox.faults import ORDERS
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from tests.sandbox.client import SandboxClient


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Options(), clock=SystemClock()) as started:
        yield started


@pytest.fixture
async def client(server: SandboxServer) -> AsyncIterator[SandboxClient]:
    client = SandboxClient(server.sandbox, base_url=server.base_url)
    await client.log_in()
    yield client
    await client.http.aclose()


async def read_raw(server: SandboxServer) -> bytes:
    """Send a request on a plain socket, and return all bytes up to the end of the connection."""
    host, port = server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET " + ORDERS.encode() + b" HTTP/1.1\r\nhost: sandbox\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - no event to wait for; it only yields to the loop
        await asyncio.sleep(0)


async def test_it_serves_the_sandbox_on_a_free_port(client: SandboxClient) -> None:
    assert (await client.get(ORDERS))["data"]["totalCount"] == "137"


async def test_a_half_body_has_the_content_length_of_the_full_one(server: SandboxServer) -> None:
    server.sandbox.inject("half_body")
    head, _, body = (await read_raw(server)).partition(b"\r\n\r\n")
    content_length = next(
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    assert head.startswith(b"HTTP/1.1 200")
    assert b"x-sandbox: true" in head.lower()
    assert len(body) == content_length // 2


async def test_a_reset_fault_resets_the_connection(server: SandboxServer) -> None:
    server.sandbox.inject("reset")
    with pytest.raises(ConnectionResetError):
        await read_raw(server)


@pytest.mark.parametrize("fault", ["half_body", "reset"])
async def test_the_call_after_a_connection_fault_succeeds(
    client: SandboxClient, fault: str
) -> None:
    client.sandbox.inject(f"{fault},times=1")
    with pytest.raises(httpx.TransportError):
        await client.get(ORDERS)
    assert (await client.get(ORDERS))["statusCode"] == 200


@pytest.mark.parametrize("fault", ["hang", "latency=86400"])
async def test_stopping_ends_hanging_and_delayed_calls(server: SandboxServer, fault: str) -> None:
    server.sandbox.inject(fault)
    call = asyncio.ensure_future(read_raw(server))
    await until(lambda: server.sandbox.calls[ORDERS] == 1)
    async with asyncio.timeout(5):
        await server.stop()
    await asyncio.wait([call])
    assert call.exception() is not None or call.result() == b""


@pytest.mark.parametrize("fault", ["hang", "latency=86400"])
async def test_a_disconnecting_client_ends_its_call(server: SandboxServer, fault: str) -> None:
    server.sandbox.inject(fault)
    call = asyncio.ensure_future(read_raw(server))
    await until(lambda: server.sandbox.calls[ORDERS] == 1)
    running = server._running
    assert running is not None
    assert len(running[0].server_state.tasks) == 1
    call.cancel()
    async with asyncio.timeout(5):
        await until(lambda: not running[0].server_state.tasks)


async def test_only_a_disconnect_message_counts_as_a_disconnect() -> None:
    messages: list[dict[str, object]] = [{"type": "http.disconnect"}, {"type": "http.request"}]

    async def receive() -> dict[str, object]:
        return messages.pop()

    await wait_disconnected(receive)
    assert not messages


async def test_a_restart_keeps_the_port_and_the_call_counts() -> None:
    server = SandboxServer(Options(), clock=SystemClock())
    async with server:
        first = server.base_url
        await call_once(server)
    async with server:
        assert server.base_url == first
        await call_once(server)
        assert server.sandbox.calls[ORDERS] == 2


async def call_once(server: SandboxServer) -> None:
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as http:
        await http.get(ORDERS)


async def test_a_stopped_server_does_not_listen_and_can_be_stopped_again(
    server: SandboxServer,
) -> None:
    await server.stop()
    await server.stop()
    with pytest.raises(httpx.ConnectError):
        await call_once(server)


async def test_a_port_in_use_is_an_oserror(server: SandboxServer) -> None:
    port = int(server.base_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await SandboxServer(Options(), clock=SystemClock(), port=port).start()


async def test_the_signal_handlers_of_the_process_are_not_changed() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with SandboxServer(Options(), clock=SystemClock()):
        now = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert now == handlers
