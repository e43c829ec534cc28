"""Proxies with a real Redis server that is stopped, killed and started again under requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app.clock import SystemClock
from app.main import App, create_app
from app.sandbox.app import Sandbox
from app.sandbox.options import Options
from app.settings import load
from tests.support.proxy import LIST, SandboxTransport
from tests.support.redis_server import RedisServer, running_redis

PAGES = [f"/v1/orders?limit=50&page={page}" for page in range(1, 7)]
TURNS = 2000


class Process:
    """A proxy that runs as in production, but without sockets of its own."""

    def __init__(self, server: RedisServer, sandbox: Sandbox) -> None:
        options = sandbox.options
        settings = load(
            {"ORDERS_CALLERS__ANONYMOUS": "true"},
            upstream={
                "base_url": "http://127.0.0.1:9",
                "access_key_id": options.access_key_id,
                "access_key_secret": options.access_key_secret,
                "max_rate": 1000,
            },
            cache={"url": server.url, "no_cache_min_age": 0},
        )
        self.sandbox = sandbox
        self.transport = SandboxTransport(sandbox)
        self.app: App = create_app(settings, transport=self.transport, clock=SystemClock())

    async def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, headers=named)

    async def get_all(self, **headers: str) -> set[int]:
        """Request all pages at once; return the status codes."""
        responses = await asyncio.gather(*(self.get(page, **headers) for page in PAGES))
        return {response.status_code for response in responses}

    def calls(self) -> int:
        return self.sandbox.calls[LIST]


@asynccontextmanager
async def running(
    server: RedisServer, sandbox: Sandbox, count: int
) -> AsyncIterator[list[Process]]:
    """Run proxies in front of one sandbox, with one store."""
    found = [Process(server, sandbox) for _ in range(count)]
    async with AsyncExitStack() as stack:
        for process in found:
            api = process.app.api
            await stack.enter_async_context(api.router.lifespan_context(api))
        yield found


async def a_new_process_makes_no_call(server: RedisServer, sandbox: Sandbox) -> bool:
    """Start processes until one adopts everything; on a busy machine the store may be too slow."""
    for _ in range(20):
        async with running(server, sandbox, 1) as (process,):
            calls = process.calls()
            assert await process.get_all() == {200}
            if process.calls() == calls:
                return True
    return False


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with running_redis(tmp_path) as found:
        yield found


@pytest.fixture
async def processes(server: RedisServer) -> AsyncIterator[list[Process]]:
    sandbox = Sandbox(Options(orders=300, max_calls_per_second=0), clock=SystemClock())
    async with running(server, sandbox, 2) as found:
        yield found


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.message.startswith("store_")]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not happen")


NO_CACHE = {"Cache_Control": "no-cache"}


async def test_processes_share_what_they_fetch(processes: list[Process], server: RedisServer):
    assert await processes[0].get_all() == {200}
    assert await a_new_process_makes_no_call(server, processes[0].sandbox)


async def test_a_server_that_hangs_is_not_noticed_by_callers_and_logged_once(
    processes: list[Process], server: RedisServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    first, second = processes
    assert await first.get_all() == {200}
    server.freeze()
    try:
        for process in (first, second):
            assert await process.get_all(**NO_CACHE) == {200}
        await until(lambda: events(caplog) == ["store_down", "store_down"])
        for process in (first, second):
            assert await process.get_all(**NO_CACHE) == {200}
            assert (await process.get("/v1/orders/summary")).status_code == 200
    finally:
        server.thaw()
    await until(lambda: len(events(caplog)) == 4)
    assert events(caplog)[2:] == ["store_up", "store_up"]
    assert await a_new_process_makes_no_call(server, first.sandbox)


async def test_a_server_that_is_killed_and_started_empty_is_used_again(
    processes: list[Process], server: RedisServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    first, second = processes
    assert await first.get_all() == {200}
    assert await second.get_all() == {200}
    server.kill()
    for process in (first, second):
        assert await process.get_all(**NO_CACHE) == {200}
    await until(lambda: events(caplog) == ["store_down", "store_down"])
    server.start()
    await until(lambda: events(caplog).count("store_up") == 2)
    assert await a_new_process_makes_no_call(server, first.sandbox)


async def test_callers_that_disconnect_leave_no_answer_to_others(processes: list[Process]):
    process = processes[0]
    expected = {page: (await process.get(page)).json()["data"] for page in PAGES}
    for turns in range(5):
        requests = [asyncio.ensure_future(process.get(page, **NO_CACHE)) for page in PAGES]
        for _ in range(turns):
            await asyncio.sleep(0)
        for request in requests[::2]:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        for page in PAGES:
            assert (await process.get(page)).json()["data"] == expected[page]


async def test_two_pools_share_a_server_without_seeing_each_other(
    processes: list[Process], server: RedisServer
):
    other = Sandbox(
        Options(orders=100, seed=8, pool_id="5a4db0c000000000000b0002", access_key_id="other"),
        clock=SystemClock(),
    )
    async with running(server, other, 1) as (second,):
        assert (await processes[0].get("/v1/orders")).json()["meta"]["total"] == 300
        assert (await second.get("/v1/orders")).json()["meta"]["total"] == 100
    assert other.calls[LIST] == 1


async def test_no_credential_token_or_payment_is_stored(
    processes: list[Process], server: RedisServer
):
    process = processes[0]
    order_no = (await process.get("/v1/orders")).json()["data"][0]["order_no"]
    await process.get(f"/v1/orders/{order_no}/payment")
    await process.get("/v1/orders/summary")
    stored = b"".join(await asyncio.to_thread(dump, server))
    options = process.sandbox.options
    for secret in (options.access_key_id, options.access_key_secret, "Bearer", "channelOrderNo"):
        assert secret.encode() not in stored
    assert order_no.encode() in stored
    keys = await asyncio.to_thread(names, server)
    assert {key.startswith(b"orders-bff:1:") for key in keys} == {True}


def names(server: RedisServer) -> list[bytes]:
    with redis.Redis(port=server.port) as client:
        return list(client.scan_iter("*"))


def dump(server: RedisServer) -> list[bytes]:
    found = []
    with redis.Redis(port=server.port) as client:
        for key in client.scan_iter("*"):
            assert client.ttl(key) > 0
            found.append(key)
            kind = client.type(key)
            if kind == b"hash":
                found += client.hvals(key)
            elif kind == b"string":
                found.append(client.get(key))
    return found
