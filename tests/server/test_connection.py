"""What one connection may say and how long it may take, over real sockets."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from app.server.connection import LINGER_SECONDS, PARSE_CHUNK_BYTES
from app.server.limits import Limits
from tests.edge.asgi_harness import logging_to
from tests.server.live_server import GET, HOST, Answer, Connection, Running, problem, running
from tests.support.clock import settle

POST = b"POST /v1/orders HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
READ, CHUNKS = (said.replace(b"/v1/orders", b"/reads") for said in (POST, CHUNKED))
START = GET.removesuffix(b"\r\n")
HELD, LARGE, LATE, READS = (
    GET.replace(b"/v1/orders", path) for path in (b"/held", b"/large", b"/late", b"/reads")
)
KEY = b"obff_canary-server-0123456789"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """On both loops: they differ in how a connection ends."""
    return "asyncio", {"use_uvloop": request.param}


def target(text: bytes, host: bytes = HOST) -> bytes:
    return b"GET " + text + b" HTTP/1.1\r\n" + host + b"\r\n"


def header(line: bytes) -> bytes:
    return START + line + b"\r\n\r\n"


# What is said → what is answered, and whether the connection is closed then. Of several requests in
# one write each has its answer. The paragraphs are those of RFC 9112 where no other is named.
CASES: dict[str, tuple[bytes, list[int | str], bool]] = {
    # Framing
    "one request": (GET, [200], False),
    "bare LF (2.2, stricter)": (GET.replace(b"\r\n", b"\n"), ["bad_request"], True),
    "bare LF in a header (2.2)": (header(b"X: a\nY: b"), ["bad_request"], True),
    "bare CR (2.2)": (header(b"X: a\rb"), ["bad_request"], True),
    "empty lines in front (2.2)": (b"\r\n\r\n" + GET, [200], False),
    "Content-Length and Transfer-Encoding (6.3)": (
        READ + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ["bad_request"],
        True,
    ),
    "Transfer-Encoding and Content-Length (6.3)": (
        READ + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ["bad_request"],
        True,
    ),
    "two Content-Lengths (6.3)": (
        READ + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ["bad_request"],
        True,
    ),
    "a list of lengths (6.3)": (READ + b"Content-Length: 1, 1\r\n\r\na", ["bad_request"], True),
    "a signed length (6.3)": (READ + b"Content-Length: +1\r\n\r\na", ["bad_request"], True),
    "a length past 64 bits (6.3)": (
        READ + b"Content-Length: 99999999999999999999\r\n\r\n",
        ["bad_request"],
        True,
    ),
    "space before a colon (5.1)": (READ + b"Content-Length : 1\r\n\r\na", ["bad_request"], True),
    "another coding than chunked (6.1)": (
        START + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ["bad_request"],
        True,
    ),
    "chunked not last (6.3)": (header(b"Transfer-Encoding: chunked, gzip"), ["bad_request"], True),
    "no chunked at all (6.3)": (header(b"Transfer-Encoding: gzip"), ["bad_request"], True),
    "chunked twice (6.1)": (
        header(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ["bad_request"],
        True,
    ),
    "chunked in HTTP/1.0 (6.1)": (
        CHUNKS.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        ["bad_request"],
        True,
    ),
    "chunk extension (7.1.1)": (CHUNKS + b"1;a=b\r\nx\r\n0\r\n\r\n" + GET, [200, 200], False),
    "LF in a chunk extension (7.1.1)": (CHUNKS + b"1;a\nx\r\n0\r\n\r\n", ["bad_request"], True),
    "a chunk longer than it says (7.1)": (CHUNKS + b"1\r\nxy\r\n0\r\n\r\n", ["bad_request"], True),
    "a negative chunk (7.1)": (CHUNKS + b"-1\r\nx\r\n0\r\n\r\n", ["bad_request"], True),
    "a chunk past 64 bits (7.1)": (CHUNKS + b"f" * 17 + b"\r\nx\r\n", ["bad_request"], True),
    "trailers (7.1.2)": (CHUNKS + b"0\r\nX-T: y\r\n\r\n" + GET, [200, 200], False),
    "a body on a GET": (START + b"Content-Length: 3\r\n\r\nabc" + GET, [200, 200], False),
    "pipelined (9.3.2)": (GET * 3, [200, 200, 200], False),
    "garbage behind others": (GET * 2 + b"garbage\r\n\r\n", [200, 200, "bad_request"], True),
    "a bad body behind others": (GET * 2 + CHUNKS + b"zz", [200, 200, "bad_request"], True),
    "nothing is read behind a close (9.6)": (
        header(b"Connection: close") + GET,
        [200],
        True,
    ),
    # Headers
    "obs-fold (5.2)": (header(b"X: a\r\n b"), ["bad_request"], True),
    "space in front of the first (2.2)": (
        GET.replace(b"Host", b" X: y\r\nHost"),
        ["bad_request"],
        True,
    ),
    "NUL in a value (RFC 9110 5.5)": (header(b"X: a\x00b"), ["bad_request"], True),
    "control character in a value (RFC 9110 5.5)": (header(b"X: a\x01b"), ["bad_request"], True),
    "obs-text in a value (RFC 9110 5.5)": (header(b"X: a\xffb"), [200], False),
    "whitespace around a value (5.1)": (target(b"/", b"Host: \t localhost\t \r\n"), [200], False),
    "no name": (header(b": b"), ["bad_request"], True),
    "no colon": (header(b"Xb"), ["bad_request"], True),
    "no token for a name": (header(b"X(: b"), ["bad_request"], True),
    "no Host (3.2)": (target(b"/", b""), ["bad_request"], True),
    "two Hosts (3.2)": (target(b"/", HOST + HOST), ["bad_request"], True),
    "a Host that is none (3.2)": (target(b"/", b"Host: local host\r\n"), ["bad_request"], True),
    "100 KiB of headers (RFC 6585 5)": (
        header(b"X: " + b"a" * 102_400),
        ["headers_too_large"],
        True,
    ),
    "too many headers (RFC 6585 5)": (header(b"\r\n".join([b"X:"] * 200)), [431], True),
    "what is expected is not waited for (RFC 9110 10.1.1)": (
        POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        [200],
        False,
    ),
    "an upgrade is not taken up (RFC 9110 7.8)": (
        header(b"Connection: Upgrade\r\nUpgrade: websocket") + GET,
        [200, 200],
        False,
    ),
    # The request line
    "no escape where one is needed": (target(b"/\xff\xfe"), ["bad_request"], True),
    "escapes that are no UTF-8": (target(b"/%ff%fe"), [200], False),
    "an escaped slash": (target(b"/v1%2Forders"), [404], False),
    "NUL in the target": (target(b"/a\x00b"), ["bad_request"], True),
    "a space in the target (3.2)": (target(b"/a b"), ["bad_request"], True),
    "a fragment (3.2)": (target(b"/a#b"), ["bad_request"], True),
    "100 KiB of target (3)": (target(b"/" + b"a" * 102_400), ["uri_too_long"], True),
    "absolute-form (3.2.2)": (target(b"http://localhost/?b", b"Host: a.example\r\n"), [200], False),
    "absolute-form without a path (3.2.1)": (target(b"http://localhost"), [200], False),
    "absolute-form of another host (3.2.2)": (target(b"http://evil.example/a"), [421], False),
    "absolute-form of another scheme": (target(b"ftp://localhost/a"), ["bad_request"], True),
    "absolute-form with a user (RFC 9110 4.2.4)": (
        target(b"http://u@localhost/a"),
        ["bad_request"],
        True,
    ),
    "asterisk-form (3.2.4)": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", [200], False),
    "asterisk-form of a GET (3.2.4)": (target(b"*"), ["bad_request"], True),
    "authority-form (3.2.3)": (
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        ["bad_request"],
        True,
    ),
    "HTTP/1.0 (9.3)": (GET.replace(b"1.1", b"1.0"), [200], True),
    "HTTP/1.0 without a Host": (b"GET / HTTP/1.0\r\n\r\n", [200], True),
    "HTTP/2 in words of HTTP/1 (2.5)": (GET.replace(b"1.1", b"2.0"), ["bad_request"], True),
    # Other protocols
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ["bad_request"], True),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ["bad_request"], True),
    "garbage": (b"\x00\x01\x02\x03\r\n\r\n", ["bad_request"], True),
    "a PROXY line": (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + GET, ["bad_request"], True),
}  # fmt: skip


@pytest.mark.parametrize("way", ["at once", "half closed", "byte by byte"])
async def test_what_is_said_is_answered_and_closed_as_the_rfcs_say(way: str) -> None:
    wrong = {}
    async with running() as server:
        for name, (said, expected, closes) in CASES.items():
            connection = await server.connect()
            hearing = asyncio.ensure_future(hear(connection, len(expected)))
            size = 1 if way == "byte by byte" and len(said) < 1000 else len(said)
            for at in range(0, len(said), size):
                connection.writer.write(said[at : at + size])
                for _ in range(5):
                    await asyncio.sleep(0)
                if hearing.done():
                    break
            if way == "half closed":
                connection.writer.write_eof()
            answers = await hearing
            told = [
                problem(answer) if isinstance(one, str) else answer.status
                for answer, one in zip(answers, expected, strict=True)
            ]
            closed = await ends(connection)
            if told != expected or closed != (closes or way == "half closed"):
                wrong[name] = told, closed
            connection.close()
    assert wrong == {}


async def hear(connection: Connection, many: int) -> list[Answer]:
    return [await connection.hear() for _ in range(many)]


async def ends(connection: Connection) -> bool:
    """Whether the server has ended it, after the loop has had time to."""
    await settle()
    return connection.reader.at_eof()


async def test_what_is_no_http_is_a_problem_with_an_id_to_look_for() -> None:
    with logging_to() as lines:
        async with running() as server:
            connection = await server.connect()
            answer = await connection.say(b"GET / nonsense " + KEY + b"\r\n\r\n")

            assert problem(answer) == "bad_request"
            assert "date" in answer.headers
            assert await connection.is_closed()

    told = next(line for line in lines.facts() if line["event"] == "request")
    assert told["request_id"] == answer.headers["x-request-id"]
    assert KEY.decode() not in lines.text() + answer.body.decode()


async def test_a_refusal_of_a_head_has_no_body() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(GET.replace(b"GET", b"HEAD").replace(b"Host", b"Ho st"))
        heard = await connection.reader.read()

    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.endswith(b"\r\n\r\n")


async def test_an_absolute_target_is_told_by_its_path_and_host() -> None:
    async with running() as server:
        question = target(b"http://LOCALHOST:1/a?b=c", b"Host: x.example\r\n")
        assert (await (await server.connect()).say(question)).status == 200
        (scope,) = server.app.scopes

    assert (scope["path"], scope["query_string"]) == ("/a", b"b=c")
    assert dict(scope["headers"])[b"host"] == b"LOCALHOST:1"


# Size


async def test_a_head_that_comes_in_pieces_is_answered() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(GET[:20])
        await connection.writer.drain()
        assert (await connection.say(GET[20:])).status == 200
        assert (await connection.say(GET)).status == 200


@pytest.mark.parametrize("said", [START + b"X: " + b"x" * 100_000, b"\r\n" * 50_000])
async def test_a_head_without_end_is_not_held(said: bytes) -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(said)

        assert problem(await connection.hear()) == "headers_too_large"


async def test_each_head_on_a_connection_is_counted_anew() -> None:
    limits = Limits(header_bytes=4096, url_bytes=1024)
    start = START + b"X-Long: "
    head = start + b"x" * (4096 - len(start) - len(b"\r\n\r\n"))
    async with running(limits) as server:
        connection = await server.connect()
        for _ in range(3):
            connection.writer.write(head)
            await settle()  # the server reads it before the rest comes
            assert (await connection.say(b"\r\n\r\n")).status == 200


async def test_trailers_are_not_kept() -> None:
    async with running() as server:
        connection = await server.connect()
        assert (await connection.say(CHUNKED + b"0\r\n")).status == 200
        trailers = b"".join(b"X-T: %d\r\n" % at for at in range(1000))
        assert (await connection.say(trailers + b"\r\n" + GET)).status == 200
        names = [name for name, _ in server.app.scopes[0]["headers"]]

    assert names == [b"host", b"transfer-encoding"]


async def test_a_body_is_not_taken_for_headers_without_end() -> None:
    limits = Limits(header_bytes=1024, url_bytes=256, body_bytes=8192)
    async with running(limits) as server:
        connection = await server.connect()
        assert (await connection.say(POST + b"Content-Length: 8192\r\n\r\n")).status == 200
        for _ in range(8):
            connection.writer.write(b"x" * 1024)
            await settle()
        assert (await connection.say(GET)).status == 200


async def test_a_body_that_says_that_it_is_too_large_is_refused_before_it_comes() -> None:
    async with running(Limits(body_bytes=10)) as server:
        connection = await server.connect()
        assert (await connection.say(POST + b"Content-Length: 10\r\n\r\n")).status == 200
        refused = await (await server.connect()).say(POST + b"Content-Length: 11\r\n\r\n")

    assert (refused.status, problem(refused)) == (413, "request_too_large")


async def test_a_body_that_turns_out_too_large_is_refused() -> None:
    async with running(Limits(body_bytes=10)) as server:
        refused = await (await server.connect()).say(CHUNKED + b"b\r\n" + b"x" * 11)

    assert (refused.status, problem(refused)) == (413, "request_too_large")


async def test_a_body_without_end_behind_an_answer_ends_the_connection() -> None:
    async with running(Limits(body_bytes=10)) as server:
        connection = await server.connect()
        assert (await connection.say(CHUNKED)).status == 200
        connection.writer.write(b"b\r\n" + b"x" * 11)

        assert await connection.is_closed()


async def test_many_requests_in_one_write_are_all_answered_in_their_order() -> None:
    many = 16 * PARSE_CHUNK_BYTES // len(GET)
    questions = b"".join(target(b"/%d" % at) for at in range(many))
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(questions + GET[:20])
        for _ in range(many):
            assert (await connection.hear()).status == 200
        assert (await connection.say(GET[20:])).status == 200
        paths = [scope["path"] for scope in server.app.scopes]

    assert paths[:-1] == [f"/{at}" for at in range(many)]


async def test_of_what_is_asked_ahead_only_a_piece_is_taken_apart() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(LATE + GET * 20_000)
        await server.app.arrived.wait()
        await settle()
        (protocol,) = server.server.server_state.connections

        assert len(protocol.pipeline) <= PARSE_CHUNK_BYTES // len(GET)  # type: ignore[union-attr]


async def test_what_is_asked_ahead_is_not_read_ahead() -> None:
    asked = 40_000
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(LATE + GET * asked)
        await server.app.arrived.wait()
        server.app.gate.set()
        (protocol,) = server.server.server_state.connections
        while len(server.app.scopes) < 2000:
            await settle()
            assert len(protocol._unread) < asked * len(GET) / 2  # type: ignore[union-attr]


# Time


async def test_a_head_that_does_not_come_whole_is_a_408() -> None:
    async with running(Limits(request_timeout=10)) as server:
        connection = await server.connect()
        connection.writer.write(GET[:20])
        await server.wait(9)
        connection.writer.write(GET[20:30])
        await server.wait(0.9)
        assert not await ends(connection)
        await server.wait(0.1)
        answer = await connection.hear()

        assert (answer.status, problem(answer)) == (408, "request_timeout")
        assert await connection.is_closed()


async def test_a_body_that_somebody_waits_for_and_that_does_not_come_is_a_408() -> None:
    async with running(Limits(request_timeout=10)) as server:
        connection = await server.connect()
        connection.writer.write(READS.removesuffix(b"\r\n") + b"Content-Length: 3\r\n\r\na")
        await server.app.arrived.wait()
        await server.wait(10)

        assert problem(await connection.hear()) == "request_timeout"
        assert server.app.received[-1] == {"type": "http.disconnect"}


async def test_a_body_that_nobody_waits_for_ends_the_connection_when_it_does_not_come() -> None:
    async with running(Limits(request_timeout=10)) as server:
        connection = await server.connect()
        assert (await connection.say(POST + b"Content-Length: 3\r\n\r\na")).status == 200
        await server.wait(9)
        assert not await ends(connection)
        await server.wait(1)

        assert await connection.is_closed()


async def test_who_is_answered_slowly_is_not_to_blame() -> None:
    async with running(Limits(request_timeout=10, keep_alive=20)) as server:
        connection = await server.connect()
        connection.writer.write(LATE + GET[:20])
        await server.app.arrived.wait()
        await server.wait(30)
        server.app.gate.set()
        assert (await connection.hear()).status == 200
        assert (await connection.say(GET[20:])).status == 200


async def test_who_waits_in_the_line_is_not_to_blame() -> None:
    async with running(Limits(request_timeout=10)) as server:
        connection = await server.connect()
        connection.writer.write(LATE + POST + b"Content-Length: 3\r\n\r\n")
        await server.app.arrived.wait()
        await server.wait(30)
        server.app.gate.set()
        for _ in range(2):
            assert (await connection.hear()).status == 200


@pytest.mark.parametrize(("asked", "seconds"), [(False, 10), (True, 20)])
async def test_who_says_nothing_is_closed_without_a_word(asked: bool, seconds: int) -> None:
    async with running(Limits(request_timeout=10, keep_alive=20)) as server:
        connection = await server.connect()
        if asked:
            assert (await connection.say(GET)).status == 200
        await server.wait(seconds - 1)
        assert not await ends(connection)
        await server.wait(1)

        assert await connection.is_closed()


async def test_the_time_of_a_request_counts_from_its_first_byte() -> None:
    async with running(Limits(request_timeout=10, keep_alive=20)) as server:
        connection = await server.connect()
        assert (await connection.say(GET)).status == 200
        await server.wait(15)
        connection.writer.write(GET[:20])
        await server.wait(9)
        assert (await connection.say(GET[20:])).status == 200


async def test_each_request_begins_the_time_anew() -> None:
    async with running(Limits(request_timeout=10, keep_alive=20)) as server:
        connection = await server.connect()
        for _ in range(5):
            assert (await connection.say(GET)).status == 200
            await server.wait(19)
        assert (await connection.say(GET)).status == 200


async def test_who_takes_nothing_of_its_answer_is_cut_off() -> None:
    async with running(Limits(send_timeout=30)) as server, deaf_caller(server, LARGE * 2):
        await server.wait(0)
        await server.wait(29)
        assert await server.open_connections(1) == 1
        await server.wait(1)

        assert await server.open_connections(0) == 0
        assert not server.server.server_state.tasks


async def test_who_takes_its_answer_slowly_is_not_cut_off() -> None:
    async with running(Limits(send_timeout=30)) as server, deaf_caller(server, LARGE) as caller:
        for _ in range(4):
            await server.wait(20)
            taken = 0
            while taken < 5_000_000:
                taken += len(await asyncio.get_running_loop().sock_recv(caller, 1_000_000))
        assert await server.open_connections(1) == 1


async def test_who_took_all_of_its_answer_is_not_cut_off_when_the_next_is_as_long() -> None:
    """What is unsent may be the same by chance: the look in between saw it gone."""
    async with running(Limits(send_timeout=30)) as server:
        await server.connect()
        await settle()
        (protocol,) = server.server.server_state.connections
        looked = [Unsent(many) for many in (5000, 0, 5000, 5000)]
        for at, transport in enumerate(looked):
            protocol.transport = transport  # type: ignore[assignment]
            protocol.look(at * 20.0)  # type: ignore[union-attr]

        assert [transport.aborted for transport in looked] == [False] * 4


@dataclass
class Unsent:
    """A transport that holds so much of an answer."""

    many: int
    aborted: bool = False

    def get_write_buffer_size(self) -> int:
        return self.many

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        """Idle for long."""


@asynccontextmanager
async def deaf_caller(server: Running, said: bytes) -> AsyncIterator[socket.socket]:
    with socket.socket() as caller:
        caller.setblocking(False)
        await asyncio.get_running_loop().sock_connect(caller, ("127.0.0.1", server.port))
        await asyncio.get_running_loop().sock_sendall(caller, said)
        await settle()
        yield caller


async def test_who_was_refused_has_time_to_hear_it_and_no_more() -> None:
    async with running() as server:
        connection = await server.connect()
        assert problem(await connection.say(b"garbage\r\n\r\n")) == "bad_request"
        connection.writer.write(b"x" * 100_000)  # no reset comes between
        await server.wait(LINGER_SECONDS - 0.1)
        assert await server.open_connections(1) == 1
        await server.wait(0.1)

        assert await server.open_connections(0) == 0


async def test_who_has_heard_why_and_goes_is_gone() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(b"garbage\r\n\r\n" + b"x" * 3 * PARSE_CHUNK_BYTES)
        assert problem(await connection.hear()) == "bad_request"
        connection.close()

        assert await server.open_connections(0) == 0


# Answers under way


async def test_an_answer_under_way_is_not_cut_into() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(HELD)
        await server.app.arrived.wait()
        connection.writer.write(b"nonsense\r\n\r\n")
        await server.wait(30)
        server.app.gate.set()

        assert (await connection.hear()).body == b"ok"
        assert problem(await connection.hear()) == "bad_request"
        assert await connection.is_closed()


async def test_a_bad_body_ends_the_connection_behind_the_answer_that_has_begun() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(CHUNKED.replace(b"/v1/orders", b"/held"))
        await server.app.arrived.wait()
        connection.writer.write(b"zz")
        await settle()
        server.app.gate.set()

        assert (await connection.hear()).body == b"ok"
        assert await connection.is_closed()


async def test_half_a_body_is_no_request() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(READS.removesuffix(b"\r\n") + b"Content-Length: 3\r\n\r\na")
        await server.app.arrived.wait()
        connection.writer.write_eof()

        assert problem(await connection.hear()) == "bad_request"
        assert await connection.is_closed()


async def test_who_has_said_all_still_hears_its_answer() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(LATE + GET * 2 + GET[:20])
        connection.writer.write_eof()
        await server.app.arrived.wait()
        await settle()
        server.app.gate.set()
        answers = await connection.hear_all()

    assert [answer.status for answer in answers] == [200, 200, 200]


async def test_a_caller_who_leaves_is_noticed_by_whoever_answers_it() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(READS.removesuffix(b"\r\n") + b"Content-Length: 3\r\n\r\na")
        await server.app.arrived.wait()
        reset(connection)

        assert await server.open_connections(0) == 0
        assert server.app.received[-1] == {"type": "http.disconnect"}


async def test_it_is_noticed_too_when_the_caller_has_asked_for_more_behind() -> None:
    async with running() as server:
        connection = await server.connect()
        connection.writer.write(GET.replace(b"/v1/orders", b"/watches") + GET)
        await server.app.arrived.wait()
        await settle()
        reset(connection)

        assert await server.open_connections(0) == 0
        assert server.app.received[-1] == {"type": "http.disconnect"}
        assert len(server.app.scopes) == 1


def reset(connection: Connection) -> None:
    sock = connection.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()
