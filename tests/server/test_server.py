"""What the server does for all its connections: how many, how it is told to go, how it goes."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from app.server.connection import PARSE_CHUNK_BYTES
from app.server.limits import REFUSAL_HEADROOM, Limits
from app.server.open_files import RESERVED_FDS, within
from app.server.server import open_server
from app.server.shutdown import Shutdown
from tests.edge.asgi_harness import logging_to
from tests.server.live_server import GET, Application, problem, running
from tests.support.clock import ManualClock, settle

LATE = GET.replace(b"/v1/orders", b"/late")
MANY = 2 * PARSE_CHUNK_BYTES // len(GET)
"""Questions in one write, too many to be taken apart at once."""


async def test_the_server_does_not_say_what_it_is() -> None:
    async with running() as server:
        answer = await (await server.connect()).say(GET)

    assert answer.status == 200
    assert "server" not in answer.headers


async def test_head_over_the_wire_has_a_length_and_no_body() -> None:
    async with running() as server:
        connection = await server.connect()
        answer = await connection.say(GET.replace(b"GET", b"HEAD"), is_head=True)
        assert answer.headers["content-length"] == "2"

        assert (await connection.say(GET)).body == b"ok"


async def test_an_offer_to_upgrade_is_not_worth_a_line() -> None:
    offer = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    with logging_to(level="warning") as lines:
        async with running() as server:
            assert (await (await server.connect()).say(offer)).status == 200
            assert (await (await server.connect()).say(b"garbage\r\n\r\n")).status == 400

    assert lines.text() == ""


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8",)])
def test_only_named_proxies_are_believed(proxies: tuple[str, ...]) -> None:
    clock = ManualClock()
    config = open_server(
        Application(),
        host="127.0.0.1",
        port=0,
        clock=clock,
        leaving=Shutdown(clock, delay=0, drain=0),
        trusted_proxies=proxies,
    ).config

    assert config.proxy_headers == bool(proxies)
    assert config.forwarded_allow_ips == list(proxies)


# How many


async def test_one_connection_too_many_is_a_problem_and_the_others_stay() -> None:
    async with running(Limits(max_connections=1)) as server:
        first, second = await server.connect(), await server.connect()
        refused = await second.say(GET)

        assert problem(refused) == "overloaded"
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["vary"].startswith("Accept-Encoding")
        assert await second.is_closed()
        assert (await first.say(GET)).status == 200


async def test_a_page_that_is_one_too_many_has_no_vary_of_the_api() -> None:
    async with running(Limits(max_connections=1)) as server:
        await server.connect()
        refused = await (await server.connect()).say(GET.replace(b"/v1/orders", b"/livez"))

        assert problem(refused) == "overloaded"
        assert "vary" not in refused.headers


async def test_far_too_many_are_not_even_told_and_those_within_are_served() -> None:
    limits = Limits(max_connections=100)
    async with running(limits) as server:
        within_bounds = [await server.connect() for _ in range(100)]
        told = [await server.connect() for _ in range(limits.hard_max_connections - 100)]
        ended = [await server.connect() for _ in range(200)]

        assert all([await one.is_closed() for one in ended])
        for connection in within_bounds:
            assert (await connection.say(GET)).status == 200
        for connection in told:
            assert problem(await connection.say(GET)) == "overloaded"


async def test_who_came_when_there_was_no_room_is_served_once_there_is() -> None:
    async with running(Limits(max_connections=1)) as server:
        first, second = await server.connect(), await server.connect()
        assert (await first.say(GET)).status == 200
        first.close()
        assert await server.open_connections(1) == 1
        assert (await second.say(GET)).status == 200


async def test_a_thousand_who_say_nothing_keep_nobody_from_an_answer() -> None:
    async with running() as server:
        for _ in range(1000):
            await server.connect()
        busy = await server.connect()
        for _ in range(10):
            assert (await busy.say(GET)).status == 200
            await server.wait(1.1)

        assert await server.open_connections(1) == 1


@pytest.mark.parametrize(
    ("files", "connections"),
    [
        (10_000, 1000),
        (1000 + REFUSAL_HEADROOM + 16 + RESERVED_FDS, 1000),
        (600, 504),
        (97, 1),
        (0, 1),
    ],
)
def test_callers_are_never_as_many_as_the_open_files(files: int, connections: int) -> None:
    limits_for_fd_limit = within(Limits(max_connections=1000), files, others=16)

    assert limits_for_fd_limit.max_connections == connections
    assert limits_for_fd_limit.hard_max_connections + 16 + RESERVED_FDS <= files or connections == 1


# Leaving


async def test_told_to_leave_it_says_so_and_lets_callers_in_until_the_delay_is_over() -> None:
    with logging_to() as lines:
        async with running(delay=5, drain=10) as server:
            server.server.handle_exit(signal.SIGTERM, None)
            assert server.leaving.started
            assert not await server.server.on_tick(1)
            assert not await server.server.on_tick(2)
            await server.clock.advance(4.9)
            assert (await (await server.connect()).say(GET)).status == 200
            assert not await server.server.on_tick(3)
            await server.clock.advance(0.1)
            assert await server.server.on_tick(4)

    told = [line for line in lines.facts() if line["event"] in ("leaving", "left")]
    assert [line["event"] for line in told] == ["leaving", "left"]
    assert told[0]["connections"] == told[0]["requests"] == told[1]["cut_off"] == 0


async def test_idle_connections_are_closed_and_accepted_requests_answered() -> None:
    async with running(drain=10) as server:
        idle, fresh, busy, piped, slow = [await server.connect() for _ in range(5)]
        assert (await idle.say(GET)).status == 200
        busy.writer.write(LATE)
        piped.writer.write(LATE + GET * MANY)
        slow.writer.write(GET[:20])
        await settle()
        leaving = asyncio.ensure_future(server.leave())
        assert await idle.is_closed()
        assert await fresh.is_closed()
        server.app.gate.set()
        slow.writer.write(GET[20:])
        answers = [await one.hear_all() for one in (busy, piped, slow)]
        await leaving

    assert [len(each) for each in answers] == [1, 1 + MANY, 1]
    for each in answers:
        assert {answer.status for answer in each} == {200}
        assert each[-1].headers["connection"] == "close"


async def test_who_has_asked_and_was_not_read_yet_is_not_idle() -> None:
    async with running(drain=10) as server:
        connection = await server.connect()
        assert (await connection.say(GET)).status == 200
        leaving = asyncio.ensure_future(server.server.shutdown())
        connection.writer.write(GET)
        while not leaving.done():
            await server.clock.advance(0.05)

        assert [answer.status for answer in await connection.hear_all()] == [200]


async def test_whoever_is_still_here_after_the_drain_is_told_and_cut_off() -> None:
    with logging_to() as lines:
        async with running(drain=1) as server:
            hanging, half = await server.connect(), await server.connect()
            hanging.writer.write(LATE)
            half.writer.write(GET[:20])
            await settle()
            started = server.clock.monotonic()
            await server.leave()

            assert server.clock.monotonic() - started <= 1.7
            assert (await hanging.hear()).status == 503
            assert await half.is_closed()

    assert next(line for line in lines.facts() if line["event"] == "left")["cut_off"] == 1


async def test_nobody_new_is_let_in_once_it_leaves() -> None:
    async with running() as server:
        port = server.port
        await server.leave()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.fixture
def terminate() -> Iterator[None]:
    """What SIGTERM does is left as it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("terminate")
async def test_a_second_signal_is_the_system_s_own() -> None:
    async with running() as server:
        server.server.handle_exit(signal.SIGTERM, None)
        assert server.raised == []
        server.server.handle_exit(signal.SIGTERM, None)

        assert server.raised == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
