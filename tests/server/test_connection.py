"""HTTP/1.1 parsing, limits and timeouts of one connection, over real sockets."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httptools
import pytest

from app.server.connection import LINGER_SECONDS, PIECE_BYTES, RECEIVE_BUFFER_BYTES
from tests.edge.asgi_harness import logging_to
from tests.server.live_server import (
    GET,
    HOST,
    ORIGIN,
    Client,
    LiveServer,
    problem_code,
    running,
)
from tests.server.memory_transport import MemoryTransport
from tests.support.clock import settle
from tests.support.limits import default_limits

POST = b"POST /v1/orders HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
READ, CHUNKS = (request.replace(b"/v1/orders", b"/read-body") for request in (POST, CHUNKED))
START = GET.removesuffix(b"\r\n")
SLOW_START, SLOW_BODY, LARGE = (
    GET.replace(b"/v1/orders", path) for path in (b"/slow-start", b"/slow-body", b"/large")
)
HTTP_1_0 = GET.replace(b"HTTP/1.1", b"HTTP/1.0")
IDENTIFIED = b"X-Request-Id: of-the-caller\r\nOrigin: %s\r\n" % ORIGIN.encode()
KEY = b"obff_canary-server-0123456789"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run on both event loops: they close connections differently."""
    return "asyncio", {"use_uvloop": request.param}


def target(text: bytes, host: bytes = HOST) -> bytes:
    return b"GET " + text + b" HTTP/1.1\r\n" + host + b"\r\n"


def header(line: bytes) -> bytes:
    return START + line + b"\r\n\r\n"


async def is_at_eof(client: Client) -> bool:
    """Return whether the server has closed the connection, after giving it time to."""
    await settle()
    return client.reader.at_eof()


async def test_a_malformed_request_gets_a_problem_whose_id_is_in_the_log() -> None:
    with logging_to() as lines:
        async with running() as server:
            client = await server.connect()
            response = await client.request(b"GET / nonsense " + KEY + b"\r\n\r\n")

            assert problem_code(response) == "bad_request"
            assert "date" in response.headers
            assert await client.is_closed()

    line = next(line for line in lines.lines() if line["event"] == "request")
    assert line["request_id"] == response.headers["x-request-id"]
    assert KEY.decode() not in lines.text() + response.body.decode()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (START + IDENTIFIED + b"X: y\r\nX(: b\r\n\r\n", "bad_request"),
        (START + IDENTIFIED + b"X", "request_timeout"),
        (READ + IDENTIFIED + b"Content-Length: 65537\r\n\r\n", "request_too_large"),
        (target(b"/v1/" + b"a" * 9000, HOST + IDENTIFIED), "uri_too_long"),
        (START + IDENTIFIED + b"a:\r\n" * 200, "headers_too_large"),
        (READ + IDENTIFIED + b"Content-Length: 3\r\n\r\na", "request_timeout"),
    ],
)  # fmt: skip
async def test_a_rejection_has_the_headers_of_every_api_response(sent: bytes, code: str) -> None:
    sent = sent.replace(b"/read-body", b"/v1/orders")
    async with running(default_limits(request_timeout=10)) as server:
        server.app.paths["/v1/orders"] = "/read-body"
        client = await server.connect()
        client.send(sent)
        await server.advance(10)
        response = await client.receive()

    assert problem_code(response) == code
    assert response.headers["vary"].startswith("Accept-Encoding, Authorization")
    assert response.headers["x-request-id"] == "of-the-caller"
    assert response.headers["access-control-allow-origin"] == ORIGIN


async def test_an_error_response_to_head_has_no_body() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(GET.replace(b"GET", b"HEAD").replace(b"Host", b"Ho st"))
        received = await client.reader.read()

    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n")


async def test_an_absolute_form_target_gives_path_query_and_host() -> None:
    async with running() as server:
        request = target(b"http://LOCALHOST:1/a?b=c", b"Host: x.example\r\n")
        assert (await (await server.connect()).request(request)).status == 200
        (scope,) = server.app.scopes

    assert (scope["path"], scope["query_string"]) == ("/a", b"b=c")
    assert dict(scope["headers"])[b"host"] == b"LOCALHOST:1"


# Size


async def test_a_head_can_arrive_in_pieces() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(GET[:20])
        await client.writer.drain()
        assert (await client.request(GET[20:])).status == 200
        assert (await client.request(GET)).status == 200


@pytest.mark.parametrize("sent", [START + b"X: " + b"x" * 100_000, b"\r\n" * 50_000])
async def test_an_endless_head_is_rejected(sent: bytes) -> None:
    async with running() as server:
        client = await server.connect()
        client.send(sent)

        assert problem_code(await client.receive()) == "headers_too_large"


async def test_a_url_over_the_limit_is_rejected() -> None:
    async with running(default_limits(max_url_bytes=256)) as server:
        accepted = await (await server.connect()).request(target(b"/" + b"a" * 255))
        rejected = await (await server.connect()).request(target(b"/" + b"a" * 256))

    assert accepted.status == 200
    assert problem_code(rejected) == "uri_too_long"


@pytest.mark.parametrize("endless", [b"1;" + b"x" * 100_000, b"0\r\nX: " + b"x" * 100_000])
async def test_an_endless_chunk_extension_or_trailer_is_rejected(endless: bytes) -> None:
    async with running() as server:
        client = await server.connect()
        client.send(CHUNKS + endless)

        assert problem_code(await client.receive()) == "headers_too_large"


async def test_the_head_limit_applies_to_each_request() -> None:
    limits = default_limits(max_header_bytes=4096, max_url_bytes=1024)
    start = START + b"X-Long: "
    head = start + b"x" * (4096 - len(start) - len(b"\r\n\r\n"))
    async with running(limits) as server:
        client = await server.connect()
        for _ in range(3):
            client.send(head)
            await settle()  # the server reads it before the rest comes
            assert (await client.request(b"\r\n\r\n")).status == 200


async def test_trailers_are_ignored() -> None:
    async with running() as server:
        client = await server.connect()
        assert (await client.request(CHUNKED + b"0\r\n")).status == 200
        trailers = b"".join(b"X-T: %d\r\n" % at for at in range(1000))
        assert (await client.request(trailers + b"\r\n" + GET)).status == 200
        names = [name for name, _ in server.app.scopes[0]["headers"]]

    assert names == [b"host", b"transfer-encoding"]


async def test_the_head_limit_does_not_count_the_body() -> None:
    limits = default_limits(max_header_bytes=1024, max_url_bytes=256, max_body_bytes=8192)
    async with running(limits) as server:
        client = await server.connect()
        assert (await client.request(POST + b"Content-Length: 8192\r\n\r\n")).status == 200
        for _ in range(8):
            client.send(b"x" * 1024)
            await settle()
        assert (await client.request(GET)).status == 200


async def test_a_content_length_over_the_limit_is_rejected_before_the_body() -> None:
    async with running(default_limits(max_body_bytes=10)) as server:
        client = await server.connect()
        assert (await client.request(POST + b"Content-Length: 10\r\n\r\n")).status == 200
        rejected = await (await server.connect()).request(POST + b"Content-Length: 11\r\n\r\n")

    assert (rejected.status, problem_code(rejected)) == (413, "request_too_large")


async def test_a_chunked_body_over_the_limit_is_rejected() -> None:
    async with running(default_limits(max_body_bytes=10)) as server:
        rejected = await (await server.connect()).request(CHUNKED + b"b\r\n" + b"x" * 11)

    assert (rejected.status, problem_code(rejected)) == (413, "request_too_large")


async def test_a_body_over_the_limit_after_its_response_closes_the_connection() -> None:
    async with running(default_limits(max_body_bytes=10)) as server:
        client = await server.connect()
        assert (await client.request(CHUNKED)).status == 200
        client.send(b"b\r\n" + b"x" * 11)

        assert await client.is_closed()


@pytest.mark.without_coverage
async def test_many_pipelined_requests_are_answered_in_order() -> None:
    count = 16 * PIECE_BYTES // len(GET)
    requests = b"".join(target(b"/%d" % at) for at in range(count))
    async with running() as server:
        client = await server.connect()
        client.send(requests + GET[:20])
        for _ in range(count):
            assert (await client.receive()).status == 200
        assert (await client.request(GET[20:])).status == 200
        paths = [scope["path"] for scope in server.app.scopes]

    assert paths[:-1] == [f"/{at}" for at in range(count)]


async def test_pipelined_requests_wait_in_the_socket_while_a_response_is_in_progress() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(SLOW_START + GET * 40_000)
        await server.app.called.wait()
        for _ in range(10):
            await settle()
        (connection,) = server.connections()

        assert len(server.app.scopes) == 1
        assert len(connection.pipeline) == 0
        assert len(connection._buffer) <= 4 * RECEIVE_BUFFER_BYTES


@pytest.mark.parametrize("line", [b"a:\r\n", b"a: b\r\n"])
async def test_a_head_of_many_short_lines_is_rejected_before_it_is_complete(line: bytes) -> None:
    async with running() as server:
        client = await server.connect()
        client.send(START + line * 17_400)

        assert problem_code(await client.receive()) == "headers_too_large"
        (connection,) = server.connections()
        assert len(connection.headers) <= default_limits().max_headers


async def test_a_second_request_within_one_piece_is_rejected() -> None:
    """The connection never passes such a piece to the parser; if it did, no request would mix."""
    async with running() as server:
        client = await server.connect()
        await settle()
        (connection,) = server.connections()
        with pytest.raises(httptools.HttpParserCallbackError):
            connection.parser.feed_data(GET * 2)

        assert (await client.receive()).status == 200
        assert len(server.app.scopes) == 1


# Time


async def test_a_head_that_is_incomplete_after_the_timeout_gets_408() -> None:
    async with running(default_limits(request_timeout=10)) as server:
        client = await server.connect()
        client.send(GET[:20])
        await server.advance(9)
        client.send(GET[20:30])
        await server.advance(0.9)
        assert not await is_at_eof(client)
        await server.advance(0.1)
        response = await client.receive()

        assert (response.status, problem_code(response)) == (408, "request_timeout")
        assert await client.is_closed()


async def test_a_body_that_the_application_waits_for_gets_408_after_the_timeout() -> None:
    async with running(default_limits(request_timeout=10)) as server:
        client = await server.connect()
        client.send(READ + b"Content-Length: 3\r\n\r\na")
        await server.app.called.wait()
        await server.advance(10)

        assert problem_code(await client.receive()) == "request_timeout"
        assert server.app.received[-1] == {"type": "http.disconnect"}


async def test_a_body_missing_after_its_response_closes_the_connection() -> None:
    async with running(default_limits(request_timeout=10)) as server:
        client = await server.connect()
        assert (await client.request(POST + b"Content-Length: 3\r\n\r\na")).status == 200
        await server.advance(9)
        assert not await is_at_eof(client)
        await server.advance(1)

        assert await client.is_closed()


async def test_a_slow_application_causes_no_timeout_of_the_next_head() -> None:
    async with running(default_limits(request_timeout=10, keep_alive_timeout=20)) as server:
        client = await server.connect()
        client.send(SLOW_START + GET[:20])
        await server.app.called.wait()
        await server.advance(30)
        server.app.gate.set()
        assert (await client.receive()).status == 200
        assert (await client.request(GET[20:])).status == 200


async def test_a_slow_application_causes_no_timeout_of_a_queued_request() -> None:
    async with running(default_limits(request_timeout=10)) as server:
        client = await server.connect()
        client.send(SLOW_START + POST + b"Content-Length: 3\r\n\r\n")
        await server.app.called.wait()
        await server.advance(30)
        server.app.gate.set()
        for _ in range(2):
            assert (await client.receive()).status == 200


@pytest.mark.parametrize(("served", "seconds"), [(False, 10), (True, 20)])
async def test_an_idle_connection_is_closed_without_a_response(served: bool, seconds: int) -> None:
    async with running(default_limits(request_timeout=10, keep_alive_timeout=20)) as server:
        client = await server.connect()
        if served:
            assert (await client.request(GET)).status == 200
        await server.advance(seconds - 1)
        assert not await is_at_eof(client)
        await server.advance(1)

        assert await client.is_closed()


async def test_the_request_timeout_starts_with_the_first_byte() -> None:
    async with running(default_limits(request_timeout=10, keep_alive_timeout=20)) as server:
        client = await server.connect()
        assert (await client.request(GET)).status == 200
        await server.advance(15)
        client.send(GET[:20])
        await server.advance(9)
        assert (await client.request(GET[20:])).status == 200


async def test_each_response_restarts_the_keep_alive_timeout() -> None:
    async with running(default_limits(request_timeout=10, keep_alive_timeout=20)) as server:
        client = await server.connect()
        for _ in range(5):
            assert (await client.request(GET)).status == 200
            await server.advance(19)
        assert (await client.request(GET)).status == 200


async def test_a_client_that_reads_nothing_is_disconnected_after_the_send_timeout() -> None:
    async with (
        running(default_limits(send_timeout=30)) as server,
        client_that_does_not_read(server, LARGE * 2),
    ):
        await server.advance(0)
        await server.advance(29)
        assert await server.connection_count(1) == 1
        await server.advance(1)

        assert await server.connection_count(0) == 0
        assert not server.server.server_state.tasks


async def test_a_client_that_reads_slowly_is_not_disconnected() -> None:
    async with (
        running(default_limits(send_timeout=30)) as server,
        client_that_does_not_read(server, LARGE) as client,
    ):
        for _ in range(4):
            await server.advance(20)
            taken = 0
            while taken < 5_000_000:
                taken += len(await asyncio.get_running_loop().sock_recv(client, 1_000_000))
        assert await server.connection_count(1) == 1


async def test_unsent_bytes_that_are_equal_by_chance_are_not_a_stall() -> None:
    async with running(default_limits(send_timeout=30)) as server:
        await server.connect()
        await settle()
        (connection,) = server.connections()
        real = connection.transport
        transports = [UnsentTransport(size) for size in (5000, 0, 5000, 5000)]
        for at, transport in enumerate(transports):
            connection.transport = transport  # type: ignore[assignment]
            connection.check_timeouts(at * 20.0)
        connection.transport = real

        assert [transport.aborted for transport in transports] == [False] * 4


@dataclass
class UnsentTransport:
    """A transport with `size` bytes in its write buffer."""

    size: int
    aborted: bool = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        """Called when the keep-alive timeout is over."""


@asynccontextmanager
async def client_that_does_not_read(
    server: LiveServer, sent: bytes
) -> AsyncIterator[socket.socket]:
    with socket.socket() as client:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", server.port))
        await asyncio.get_running_loop().sock_sendall(client, sent)
        await settle()
        yield client


async def read_all(client: socket.socket) -> None:
    """Read until the server closes."""
    while await asyncio.get_running_loop().sock_recv(client, 1_000_000):
        pass


async def test_a_rejected_connection_lingers_and_is_then_aborted() -> None:
    async with running() as server:
        client = await server.connect()
        assert problem_code(await client.request(b"garbage\r\n\r\n")) == "bad_request"
        client.send(b"x" * 100_000)  # causes no reset
        await server.advance(LINGER_SECONDS - 0.1)
        assert await server.connection_count(1) == 1
        await server.advance(0.1)

        assert await server.connection_count(0) == 0


async def test_a_client_that_resets_before_the_last_response_causes_no_error() -> None:
    with logging_to(level="warning") as lines:
        async with running() as server:
            transport = MemoryTransport(server.server)
            transport.is_reset = True
            transport.receive(header(b"Connection: close"))
            await settle()

            assert transport.is_closing()
    assert lines.text() == ""


async def test_a_rejected_connection_ends_when_the_client_closes() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(b"garbage\r\n\r\n" + b"x" * 3 * PIECE_BYTES)
        assert problem_code(await client.receive()) == "bad_request"
        client.close()

        assert await server.connection_count(0) == 0


# HTTP/1.0 (RFC 9112 section 6.1)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_streamed_response_to_http_1_0_is_plain_bytes_that_end_with_the_connection(
    method: bytes,
) -> None:
    async with running() as server:
        client = await server.connect()
        client.send(HTTP_1_0.replace(b"/v1/orders", b"/stream").replace(b"GET", method))
        head, _, body = (await client.reader.read()).partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == (b"" if method == b"HEAD" else b"ok")


async def test_a_response_with_a_length_to_http_1_0_keeps_it() -> None:
    async with running() as server:
        response = await (await server.connect()).request(HTTP_1_0)

    assert (response.headers["content-length"], response.body) == ("2", b"ok")


async def test_a_streamed_response_to_http_1_1_is_chunked() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(START.replace(b"/v1/orders", b"/stream") + b"Connection: close\r\n\r\n")
        head, _, body = (await client.reader.read()).partition(b"\r\n\r\n")

    assert b"transfer-encoding: chunked" in head
    assert body == b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"


async def test_an_incomplete_response_to_http_1_0_ends_with_a_reset() -> None:
    """Otherwise the client would take the first part for the whole."""
    async with running() as server:
        client = await server.connect()
        client.send(HTTP_1_0.replace(b"/v1/orders", b"/cut"))
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_a_client_that_stops_reading_a_response_to_http_1_0_sees_a_reset() -> None:
    async with (
        running(default_limits(send_timeout=30)) as server,
        client_that_does_not_read(server, HTTP_1_0.replace(b"/v1/orders", b"/long")) as client,
    ):
        await server.advance(0)
        await server.advance(30)
        with pytest.raises(ConnectionResetError):
            await read_all(client)


# Responses in progress


async def test_an_error_waits_for_the_response_in_progress() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(SLOW_BODY)
        await server.app.called.wait()
        client.send(b"nonsense\r\n\r\n")
        await server.advance(30)
        server.app.gate.set()

        assert (await client.receive()).body == b"ok"
        assert problem_code(await client.receive()) == "bad_request"
        assert await client.is_closed()


async def test_a_bad_body_closes_the_connection_after_the_response_that_has_started() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(CHUNKED.replace(b"/v1/orders", b"/slow-body"))
        await server.app.called.wait()
        client.send(b"zz")
        await settle()
        server.app.gate.set()

        assert (await client.receive()).body == b"ok"
        assert await client.is_closed()


async def test_a_half_close_within_a_body_is_a_bad_request() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(READ + b"Content-Length: 3\r\n\r\na")
        await server.app.called.wait()
        client.writer.write_eof()

        assert problem_code(await client.receive()) == "bad_request"
        assert await client.is_closed()


async def test_a_half_closed_client_gets_the_responses_to_its_complete_requests() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(SLOW_START + GET * 2 + GET[:20])
        client.writer.write_eof()
        await server.app.called.wait()
        await settle()
        server.app.gate.set()
        responses = await client.receive_all()

    assert [response.status for response in responses] == [200, 200, 200]


async def test_the_application_is_informed_when_the_client_disconnects() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(READ + b"Content-Length: 3\r\n\r\na")
        await server.app.called.wait()
        reset(client)

        assert await server.connection_count(0) == 0
        assert server.app.received[-1] == {"type": "http.disconnect"}


async def test_the_application_is_informed_of_a_disconnect_with_requests_queued() -> None:
    async with running() as server:
        client = await server.connect()
        client.send(GET.replace(b"/v1/orders", b"/until-disconnect") + GET)
        await server.app.called.wait()
        await settle()
        reset(client)

        assert await server.connection_count(0) == 0
        assert server.app.received[-1] == {"type": "http.disconnect"}
        assert len(server.app.scopes) == 1


def reset(client: Client) -> None:
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()
