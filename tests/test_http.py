"""The HTTP client, against a server on loopback."""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest
import trustme

from app.clock import SystemClock
from app.http import READ_BYTES
from app.upstream.client import UpstreamClient
from app.upstream.errors import (
    StaleConnection,
    UpstreamError,
    UpstreamMalformed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.transport import MAX_CHUNKS
from tests.support.clock import ManualClock, settle
from tests.support.upstream import ScriptedUpstream, client_of

LIST = b'{"statusCode":200,"data":{"totalCount":0,"list":[]}}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LIST), LIST)


def padded(body: bytes, size: int) -> bytes:
    """Return a response of `size` bytes: a head, and the body with spaces after it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %08d\r\n\r\n"
    length = size - len(head % 0)
    return head % length + body.ljust(length)


class Server:
    """Sends one response on each connection, and records the request lines."""

    def __init__(self, response: bytes) -> None:
        self.response = response
        self.requests: list[bytes] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        writer.write(self.response)
        await writer.drain()
        writer.close()


def client_to(base_url: str, **config: object) -> UpstreamClient:
    config = {"scheme": "signature", "transport": None, "base_url": base_url, **config}
    return client_of(ScriptedUpstream(0), SystemClock(), **config)


async def total(client: UpstreamClient) -> int:
    try:
        return (await client.list_orders(1, deadline=SystemClock().monotonic() + 8)).total
    finally:
        await client.close(0)


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_private_ca_is_trusted_if_it_is_configured(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path
):
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Server(RESPONSE)
    async with server.listening(tls):
        base_url = f"https://127.0.0.1:{server.port}"
        assert await total(client_to(base_url, ca_file=tmp_path / "ca.pem")) == 0


async def test_a_certificate_of_an_unknown_ca_is_not_trusted(tls: ssl.SSLContext):
    server = Server(RESPONSE)
    async with server.listening(tls):
        with pytest.raises(UpstreamUnreachable):
            await total(client_to(f"https://127.0.0.1:{server.port}"))
    assert not server.requests


async def test_a_configured_proxy_is_used():
    server = Server(RESPONSE)
    async with server.listening():
        proxy = f"http://127.0.0.1:{server.port}"
        assert await total(client_to("http://upstream.example", proxy=proxy)) == 0
    assert server.requests[0].startswith(b"GET http://upstream.example/api/v3/get-orders?")


async def test_proxies_in_the_environment_are_ignored():
    """In a process of its own, whose environment names a proxy that does not exist."""
    script = (
        "import asyncio, sys; from tests.test_http import client_to, total;"
        "print(asyncio.run(total(client_to(sys.argv[1]))))"
    )
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    server = Server(RESPONSE)
    async with server.listening():
        base_url = f"http://127.0.0.1:{server.port}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, base_url),
            cwd=Path(__file__).parents[1],
            env=nowhere,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert output == b"0\n"
    assert len(server.requests) == 1


async def test_the_pool_has_as_many_connections_as_calls_may_be_in_flight():
    class BarrierServer(Server):
        """Sends no response before it has received three requests."""

        barrier = asyncio.Barrier(3)

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.barrier.wait()
            await super()._serve(reader, writer)

    server = BarrierServer(RESPONSE)
    async with server.listening():
        client = client_to(f"http://127.0.0.1:{server.port}", max_concurrency=3)
        deadline = SystemClock().monotonic() + 8
        calls = (client.list_orders(1, deadline=deadline) for _ in range(3))
        assert [response.total for response in await asyncio.gather(*calls)] == [0, 0, 0]
        await client.close(0)


async def test_a_certificate_of_another_host_is_not_trusted(ca: trustme.CA, tmp_path: Path):
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("upstream.example").configure_cert(context)
    server = Server(RESPONSE)
    async with server.listening(context):
        base_url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(UpstreamUnreachable):
            await total(client_to(base_url, ca_file=tmp_path / "ca.pem"))
    assert not server.requests


async def test_a_corrupted_tls_connection_is_unreachable(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path
):
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def corrupt(listener: socket.socket) -> None:
        with tls.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            # Bypass the TLS layer: a record that was not made with a key of this connection.
            os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + b"z" * 32)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(corrupt, listener))
        base_url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with pytest.raises(UpstreamUnreachable):
                await total(client_to(base_url, ca_file=tmp_path / "ca.pem"))
        finally:
            await serving


async def test_a_response_shorter_than_its_length_is_unreachable():
    server = Server(RESPONSE[:-5])
    async with server.listening():
        with pytest.raises(UpstreamUnreachable):
            await total(client_to(f"http://127.0.0.1:{server.port}"))


async def test_a_closed_port_is_unreachable():
    server = Server(RESPONSE)
    async with server.listening():
        pass
    with pytest.raises(UpstreamUnreachable):
        await total(client_to(f"http://127.0.0.1:{server.port}"))


@pytest.mark.parametrize("uses_tls", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        (200, 200),
        (READ_BYTES - 1, 200),
        (READ_BYTES, 200),
        (2 * READ_BYTES, 200),
        (55_000, 10_000),
    ],
)
async def test_data_after_a_response_is_not_the_response_to_a_later_request(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path, uses_tls: bool, sizes: tuple[int, int]
):
    size, early_size = sizes

    class DesyncServer(Server):
        """Responds with the number of requests in `size` bytes, then responds to no request."""

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    self.requests.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
                    body = LIST.replace(b'":0', b'":%d' % len(self.requests))
                    writer.write(padded(body, size))
                    writer.write(self.response)
                    await writer.drain()
            writer.close()

    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = DesyncServer(padded(LIST.replace(b'":0', b'":9'), early_size))
    async with server.listening(tls if uses_tls else None):
        base_url = f"http{'s' if uses_tls else ''}://127.0.0.1:{server.port}"
        client = client_to(base_url, ca_file=tmp_path / "ca.pem")
        totals = []
        for _ in range(4):
            with suppress(UpstreamUnreachable):
                response = await client.list_orders(1, deadline=SystemClock().monotonic() + 8)
                totals.append(response.total)
        await client.close(0)
    assert totals
    assert 9 not in totals


class ClosingServer(Server):
    """Keeps each connection open, and closes it at the second request."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The client closes the last connection; newer Pythons report that as an error.
        with suppress(asyncio.IncompleteReadError):
            for response in (self.response, b""):
                self.requests.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
                writer.write(response)
                await writer.drain()
        writer.close()


async def test_a_call_on_a_stale_connection_is_repeated_at_once():
    server = ClosingServer(RESPONSE)
    async with server.listening():
        client = client_to(f"http://127.0.0.1:{server.port}", max_attempts=2, random=lambda: 1e6)
        deadline = SystemClock().monotonic() + 8
        for _ in range(2):
            assert (await client.list_orders(1, deadline=deadline)).total == 0
        await client.close(0)
    assert len(server.requests) == 3


async def test_a_connection_that_was_closed_while_idle_is_not_used_again():
    closed = asyncio.Event()

    class HastyServer(Server):
        """Closes each connection after its response."""

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await super()._serve(reader, writer)
            await writer.wait_closed()
            closed.set()

    server = HastyServer(RESPONSE)
    async with server.listening():
        client = client_to(f"http://127.0.0.1:{server.port}", max_attempts=1)
        deadline = SystemClock().monotonic() + 8
        for _ in range(2):
            assert (await client.list_orders(1, deadline=deadline)).total == 0
            await closed.wait()
        await client.close(0)


async def test_a_new_connection_that_is_closed_without_a_response_is_unreachable():
    server = Server(b"")
    async with server.listening():
        with pytest.raises(UpstreamUnreachable) as raised:
            await total(client_to(f"http://127.0.0.1:{server.port}"))
    assert not isinstance(raised.value, StaleConnection)


class PieceServer(Server):
    """Sends a response piece by piece, once."""

    def __init__(self, response: AsyncIterator[bytes]) -> None:
        super().__init__(b"")
        self._pieces = response
        self._closed = asyncio.Event()

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        async with super().listening(tls):
            yield
            await self._closed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            async for piece in self._pieces:
                writer.write(piece)
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self._closed.set()


async def exchange(response: AsyncIterator[bytes]) -> UpstreamError | None:
    """Return the error of a call whose response is sent piece by piece; None if it succeeds."""
    server = PieceServer(response)
    async with server.listening():
        try:
            await total(client_to(f"http://127.0.0.1:{server.port}"))
        except UpstreamError as error:
            return error
    return None


async def pieces(*parts: bytes, times: int = 1, end: bytes = b"") -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    for _ in range(times - 1):
        yield parts[-1]
    yield end


STATUS_LINE = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.mark.parametrize(
    "piece", [b"x", INTERIM], ids=["a byte of a header", "an interim response"]
)
async def test_a_head_that_drips_beyond_the_deadline_is_a_timeout_of_the_upstream(piece: bytes):
    clock = ManualClock()

    async def dripping() -> AsyncIterator[bytes]:
        yield b"" if piece == INTERIM else STATUS_LINE + b"X-Endless: "
        for _ in range(100):
            yield piece
            await clock.advance(0.5)

    server = PieceServer(dripping())
    async with server.listening():
        client = client_of(
            ScriptedUpstream(0),
            clock,
            scheme="signature",
            transport=None,
            base_url=f"http://127.0.0.1:{server.port}",
        )
        with pytest.raises(UpstreamTimeout) as raised:
            await client.list_orders(1, deadline=clock.monotonic() + 8)
        assert clock.monotonic() - 1000 < 16, "it does not wait until the call counts as lost"
        await client.close(0)
    assert type(raised.value) is UpstreamTimeout, "it counts for the circuit breaker"


@pytest.mark.parametrize(
    "response",
    [
        pieces(STATUS_LINE + b"X-Long: ", b"x" * 1000, times=1000, end=b"\r\n\r\n"),
        pieces(STATUS_LINE, b"a:\r\n" * 1000, times=100, end=b"\r\n"),
        pieces(INTERIM * 100, times=100, end=RESPONSE),
        pieces(
            STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a:\r\n" * 1000, times=20
        ),
        pieces(STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000, times=50),
    ],
    ids=["one long header", "many headers", "interim responses", "trailers", "chunk extension"],
)
async def test_what_is_not_body_is_bounded(response: AsyncIterator[bytes]):
    error = await exchange(response)
    assert type(error) is UpstreamUnreachable
    assert "ResponseHeadTooLarge" in str(error)


async def test_a_head_may_be_as_large_as_those_of_common_servers():
    head = STATUS_LINE + b"".join(b"X-%d: %s\r\n" % (at, b"x" * 1000) for at in range(12))
    assert await exchange(pieces(INTERIM * 10, head, RESPONSE.removeprefix(STATUS_LINE))) is None


async def test_a_body_may_have_trailers_and_chunk_extensions_and_chunks_of_one_byte():
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in LIST)
    head = STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n"
    assert await exchange(pieces(head, chunks, b"0\r\nX-Trailer: x\r\n\r\n")) is None


@pytest.mark.without_coverage
async def test_a_body_of_too_many_chunks_is_read_in_many_turns_of_the_event_loop():
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(count)

    asyncio.get_running_loop().call_soon(count)
    head = STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n"
    error = await exchange(pieces(head, b"1\r\nx\r\n" * 10_000, times=3))
    assert type(error) is UpstreamMalformed
    assert turns > MAX_CHUNKS * 6 / READ_BYTES


@pytest.mark.parametrize("uses_tls", [False, True])
async def test_what_the_network_delivers_at_once_is_read_in_small_pieces(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path, uses_tls: bool
):
    body = LIST + b" " * 1_000_000
    server = Server(RESPONSE.replace(b"%d" % len(LIST), b"%d" % len(body)) + b" " * 1_000_000)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with server.listening(tls if uses_tls else None):
        base_url = f"http{'s' if uses_tls else ''}://127.0.0.1:{server.port}"
        assert await total(client_to(base_url, ca_file=tmp_path / "ca.pem")) == 0


async def test_a_tunnel_through_a_proxy_is_used_for_https(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path
):
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, target, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
        host, _, port = target.decode().partition(":")
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(relay(reader, upstream_writer), relay(upstream_reader, writer))

    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Server(RESPONSE)
    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with server.listening(tls), proxy:
        assert (
            await total(
                client_to(
                    f"https://127.0.0.1:{server.port}",
                    proxy=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
                    ca_file=tmp_path / "ca.pem",
                )
            )
            == 0
        )
        await settle()
    assert len(server.requests) == 1


class ImportRecorder(MetaPathFinder):
    """Finds no module, and records which ones are searched for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        self.names.append(fullname)


async def test_a_call_searches_for_no_module():
    recorder = ImportRecorder()
    server = Server(RESPONSE)
    async with server.listening():
        base_url = f"http://127.0.0.1:{server.port}"
        await total(client_to(base_url))  # the first call imports what is needed
        sys.meta_path.insert(0, recorder)
        try:
            await total(client_to(base_url))
        finally:
            sys.meta_path.remove(recorder)
    assert recorder.names == []


class ShiftedClock(SystemClock):
    """The machine's clock, set forward by a test."""

    shift = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.shift


class KeepAliveServer:
    """Answers every request on a connection, and counts the connections."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(RESPONSE)
                await writer.drain()
        self.closed.set()
        writer.close()


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
async def test_a_connection_that_is_too_old_is_closed_after_its_call_and_not_used_again(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path, encrypted: bool
):
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server, clock = KeepAliveServer(), ShiftedClock()
    context = tls if encrypted else None
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = client_of(
            ScriptedUpstream(0),
            clock,
            base_url=f"{'https' if encrypted else 'http'}://127.0.0.1:{port}",
            scheme="signature",
            transport=None,
            ca_file=tmp_path / "ca.pem" if encrypted else None,
            max_connection_age=300,
        )

        async def opened_after(seconds: float) -> int:
            clock.shift += seconds
            await client.list_orders(1, deadline=clock.monotonic() + 8)
            return server.opened

        assert [await opened_after(seconds) for seconds in (0, 200, 200, 10)] == [1, 1, 2, 2]
        await server.closed.wait()  # the first connection; the second one is still open
        await client.close(0)


async def test_a_call_on_a_connection_that_becomes_too_old_is_not_cut_off():
    clock, halves = ShiftedClock(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RESPONSE[:-10])
        await writer.drain()
        await halves.wait()
        writer.write(RESPONSE[-10:])
        await writer.drain()
        assert not await reader.read()  # the client closes it
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = client_of(
            ScriptedUpstream(0),
            clock,
            base_url=f"http://127.0.0.1:{port}",
            scheme="signature",
            transport=None,
            max_connection_age=300,
            deadline=1000,
            read_timeout=1000,
        )
        deadline = clock.monotonic() + 1000
        call = asyncio.ensure_future(client.list_orders(1, deadline=deadline))
        await settle()
        clock.shift = 301
        halves.set()
        assert (await call).total == 0
        await client.close(0)


async def test_the_log_has_the_rule_that_a_certificate_breaks(
    tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
):
    server = Server(RESPONSE)
    async with server.listening(tls):
        with pytest.raises(UpstreamUnreachable, match="certificate of the upstream is not trusted"):
            await total(client_to(f"https://127.0.0.1:{server.port}"))
    (fields,) = (vars(one)["fields"] for one in caplog.records if "upstream" in one.message)
    assert fields["message"].endswith("unable to get local issuer certificate")
