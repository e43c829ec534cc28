"""The sandbox on a real socket, where connections break for real."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from app.clock import SystemClock
from app.sandbox import Options, SandboxServer
from app.sandbox.connection import left
from tests.sandbox.asker import ORDERS, Asker


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Options(), clock=SystemClock()) as started:
        yield started


@pytest.fixture
async def caller(server: SandboxServer) -> AsyncIterator[Asker]:
    asker = Asker(server.sandbox, base_url=server.base_url)
    await asker.log_in()
    yield asker
    await asker.http.aclose()


async def raw_answer(server: SandboxServer) -> bytes:
    """Ask with a bare socket, and read until the other side ends it."""
    host, port = server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET " + ORDERS.encode() + b" HTTP/1.1\r\nhost: sandbox\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - the socket gives no event; nothing but its turn is waited for
        await asyncio.sleep(0)


async def test_it_answers_on_a_free_port_and_says_what_it_is(caller: Asker) -> None:
    assert (await caller.get(ORDERS))["data"]["totalCount"] == "137"


async def test_half_a_body_promises_the_whole_one(server: SandboxServer) -> None:
    server.sandbox.break_with("half_body")
    head, _, body = (await raw_answer(server)).partition(b"\r\n\r\n")
    promised = next(
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    assert head.startswith(b"HTTP/1.1 200")
    assert b"x-sandbox: true" in head.lower()
    assert len(body) == promised // 2


async def test_a_reset_is_a_reset(server: SandboxServer) -> None:
    server.sandbox.break_with("reset")
    with pytest.raises(ConnectionResetError):
        await raw_answer(server)


@pytest.mark.parametrize("fault", ["half_body", "reset"])
async def test_the_call_after_a_broken_one_is_answered(caller: Asker, fault: str) -> None:
    caller.sandbox.break_with(f"{fault},times=1")
    with pytest.raises(httpx.TransportError):
        await caller.get(ORDERS)
    assert (await caller.get(ORDERS))["statusCode"] == 200


@pytest.mark.parametrize("fault", ["hang", "latency=86400"])
async def test_stopping_ends_calls_that_nobody_answers(server: SandboxServer, fault: str) -> None:
    server.sandbox.break_with(fault)
    question = asyncio.ensure_future(raw_answer(server))
    await until(lambda: server.sandbox.calls[ORDERS] == 1)
    async with asyncio.timeout(5):
        await server.stop()
    await asyncio.wait([question])
    assert question.exception() is not None or question.result() == b""


@pytest.mark.parametrize("fault", ["hang", "latency=86400"])
async def test_a_caller_who_leaves_ends_the_call(server: SandboxServer, fault: str) -> None:
    server.sandbox.break_with(fault)
    question = asyncio.ensure_future(raw_answer(server))
    await until(lambda: server.sandbox.calls[ORDERS] == 1)
    running = server._running
    assert running is not None
    assert len(running[0].server_state.tasks) == 1
    question.cancel()
    async with asyncio.timeout(5):
        await until(lambda: not running[0].server_state.tasks)


async def test_only_the_end_of_the_connection_is_taken_for_it() -> None:
    messages: list[dict[str, object]] = [{"type": "http.disconnect"}, {"type": "http.request"}]

    async def receive() -> dict[str, object]:
        return messages.pop()

    await left(receive)
    assert not messages


async def test_stopped_and_started_again_it_keeps_its_port_and_its_counts() -> None:
    server = SandboxServer(Options(), clock=SystemClock())
    async with server:
        first = server.base_url
        await ask_once(server)
    async with server:
        assert server.base_url == first
        await ask_once(server)
        assert server.sandbox.calls[ORDERS] == 2


async def ask_once(server: SandboxServer) -> None:
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as http:
        await http.get(ORDERS)


async def test_after_the_stop_nobody_listens(server: SandboxServer) -> None:
    await server.stop()
    await server.stop()
    with pytest.raises(httpx.ConnectError):
        await ask_once(server)


async def test_a_port_that_is_taken_is_an_oserror(server: SandboxServer) -> None:
    port = int(server.base_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await SandboxServer(Options(), clock=SystemClock(), port=port).start()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_an_ipv6_address_stands_in_brackets() -> None:
    try:
        async with SandboxServer(Options(), clock=SystemClock(), host="::1") as server:
            assert server.base_url.startswith("http://[::1]:")
            await ask_once(server)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")


async def test_the_signals_of_the_process_are_left_alone() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with SandboxServer(Options(), clock=SystemClock()):
        now = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert now == handlers
