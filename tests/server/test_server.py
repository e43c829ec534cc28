"""Connection limits, signals and graceful shutdown of the server."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from app.server.connection import PIECE_BYTES
from app.server.limits import OVERLOAD_HEADROOM, RESERVED_FDS, cap_connections
from tests.edge.asgi_harness import logging_to
from tests.server.live_server import GET, HOST, problem_code, running
from tests.support.clock import settle
from tests.support.limits import default_limits

SLOW_START = GET.replace(b"/v1/orders", b"/slow-start")
MANY = 2 * PIECE_BYTES // len(GET)
"""Requests in one write, more than one chunk of the parser."""


async def test_responses_do_not_name_the_server() -> None:
    async with running() as server:
        response = await (await server.connect()).request(GET)

    assert response.status == 200
    assert "server" not in response.headers


async def test_a_response_to_head_has_a_content_length_and_no_body() -> None:
    async with running() as server:
        client = await server.connect()
        response = await client.request(GET.replace(b"GET", b"HEAD"), to_head=True)
        assert response.headers["content-length"] == "2"

        assert (await client.request(GET)).body == b"ok"


async def test_upgrade_headers_and_malformed_requests_log_no_warning() -> None:
    upgrade = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    with logging_to(level="warning") as lines:
        async with running() as server:
            assert (await (await server.connect()).request(upgrade)).status == 200
            assert (await (await server.connect()).request(b"garbage\r\n\r\n")).status == 400

    assert lines.text() == ""


# Connection limits


async def test_a_connection_over_the_limit_gets_503_and_the_others_are_served() -> None:
    async with running(default_limits(max_connections=1)) as server:
        first, second = await server.connect(), await server.connect()
        rejected = await second.request(GET)

        assert problem_code(rejected) == "overloaded"
        assert rejected.status == 503
        assert rejected.headers["retry-after"] == "1"
        assert rejected.headers["vary"].startswith("Accept-Encoding")
        assert await second.is_closed()
        assert (await first.request(GET)).status == 200


async def test_a_503_for_a_page_has_no_vary_of_the_api() -> None:
    async with running(default_limits(max_connections=1)) as server:
        await server.connect()
        rejected = await (await server.connect()).request(GET.replace(b"/v1/orders", b"/livez"))

        assert problem_code(rejected) == "overloaded"
        assert "Authorization" not in rejected.headers["vary"]


async def test_connections_over_the_hard_limit_are_aborted_and_the_others_answered() -> None:
    limits = default_limits(max_connections=100)
    async with running(limits) as server:
        served = [await server.connect() for _ in range(100)]
        overloaded = [await server.connect() for _ in range(limits.hard_max_connections - 100)]
        aborted = [await server.connect() for _ in range(200)]

        assert all([await client.is_closed() for client in aborted])
        for client in served:
            assert (await client.request(GET)).status == 200
        for client in overloaded:
            assert problem_code(await client.request(GET)) == "overloaded"


async def test_a_connection_accepted_over_the_limit_is_served_once_others_have_closed() -> None:
    async with running(default_limits(max_connections=1)) as server:
        first, second = await server.connect(), await server.connect()
        assert (await first.request(GET)).status == 200
        first.close()
        assert await server.connection_count(1) == 1
        assert (await second.request(GET)).status == 200


async def test_a_thousand_silent_connections_do_not_delay_a_busy_one() -> None:
    async with running() as server:
        for _ in range(1000):
            await server.connect()
        busy = await server.connect()
        for _ in range(10):
            assert (await busy.request(GET)).status == 200
            await server.advance(1.1)

        assert await server.connection_count(1) == 1


@pytest.mark.parametrize(
    ("files", "connections"),
    [
        (10_000, 1000),
        (1000 + OVERLOAD_HEADROOM + 16 + RESERVED_FDS, 1000),
        (600, 504),
        (97, 1),
        (0, 1),
    ],
)
def test_connections_are_capped_by_the_limit_of_open_files(files: int, connections: int) -> None:
    limits = cap_connections(default_limits(max_connections=1000), files, other_sockets=16)

    assert limits.max_connections == connections
    assert limits.hard_max_connections + 16 + RESERVED_FDS <= files or connections == 1


# Shutdown


async def test_connections_are_accepted_until_the_drain_delay_is_over() -> None:
    with logging_to() as lines:
        async with running(drain_delay=5, drain_timeout=10) as server:
            server.server.handle_exit(signal.SIGTERM, None)
            assert server.shutdown.started
            assert not await server.server.on_tick(1)
            assert not await server.server.on_tick(2)
            await server.clock.advance(4.9)
            assert (await (await server.connect()).request(GET)).status == 200
            assert not await server.server.on_tick(3)
            await server.clock.advance(0.1)
            assert await server.server.on_tick(4)

    started, complete = (line for line in lines.lines() if line["event"] != "request")
    assert (started["event"], started["connections"], started["requests"]) == (
        "shutdown_started",
        0,
        0,
    )
    assert (complete["event"], complete["aborted_requests"]) == ("shutdown_complete", 0)


async def test_shutdown_closes_idle_connections_and_answers_accepted_requests() -> None:
    async with running(drain_timeout=10) as server:
        idle, fresh, busy, pipelined, slow = [await server.connect() for _ in range(5)]
        assert (await idle.request(GET)).status == 200
        busy.send(SLOW_START)
        pipelined.send(SLOW_START + GET * MANY)
        slow.send(GET[:20])
        await settle()
        shutdown = asyncio.ensure_future(server.shut_down())
        assert await idle.is_closed()
        assert await fresh.is_closed()
        server.app.gate.set()
        slow.send(GET[20:])
        responses = [await one.receive_all() for one in (busy, pipelined, slow)]
        await shutdown

    assert [len(each) for each in responses] == [1, 1 + MANY, 1]
    for each in responses:
        assert {response.status for response in each} == {200}
        assert each[-1].headers["connection"] == "close"


async def test_a_request_not_yet_read_at_shutdown_is_answered() -> None:
    async with running(drain_timeout=10) as server:
        client = await server.connect()
        assert (await client.request(GET)).status == 200
        shutdown = server.start_shutdown()
        client.send(GET)
        while not shutdown.done():
            await server.clock.advance(0.05)

        assert [response.status for response in await client.receive_all()] == [200]


async def test_shutdown_does_not_cut_off_a_response_that_is_still_being_sent() -> None:
    request = GET.replace(b"/v1/orders", b"/large").replace(HOST, HOST + b"Connection: close\r\n")
    async with running(drain_timeout=10) as server:
        client = await server.connect()
        client.send(request)
        await settle()
        shutdown = asyncio.ensure_future(server.shut_down())
        await settle()
        response = await client.receive()
        await shutdown

    assert len(response.body) == 30_000_000


async def test_requests_that_exceed_the_drain_timeout_get_503_and_are_counted_as_aborted() -> None:
    with logging_to() as lines:
        async with running(drain_timeout=1) as server:
            hanging, half = await server.connect(), await server.connect()
            hanging.send(SLOW_START)
            half.send(GET[:20])
            await settle()
            started = server.clock.monotonic()
            await server.shut_down()

            assert server.clock.monotonic() - started <= 1.7
            assert (await hanging.receive()).status == 503
            assert await half.is_closed()

    assert lines.lines()[-1]["event"] == "shutdown_complete"
    assert lines.lines()[-1]["aborted_requests"] == 1


async def test_no_connection_is_accepted_after_shutdown() -> None:
    async with running() as server:
        port = server.port
        await server.shut_down()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.fixture
def restored_sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("restored_sigterm")
async def test_a_second_signal_gets_its_default_action() -> None:
    async with running() as server:
        server.server.handle_exit(signal.SIGTERM, None)
        assert server.raised_signals == []
        server.server.handle_exit(signal.SIGTERM, None)

        assert server.raised_signals == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
