"""The one HTTP client, against a server on loopback."""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from app.clock import SystemClock
from app.upstream.client import UpstreamClient
from app.upstream.errors import StaleConnection, UpstreamUnreachable
from tests.support.upstream import ScriptedUpstream, client_of

LIST = b'{"statusCode":200,"data":{"totalCount":0,"list":[]}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LIST), LIST)


class Server:
    """Gives every connection one answer, and remembers how the questions began."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        writer.write(self.answer)
        await writer.drain()
        writer.close()


def client_to(base_url: str, **config: object) -> UpstreamClient:
    config = {"scheme": "signature", "transport": None, "base_url": base_url, **config}
    return client_of(ScriptedUpstream(0), SystemClock(), **config)


async def total(client: UpstreamClient) -> int:
    try:
        return (await client.list_orders(1, deadline=SystemClock().monotonic() + 8)).total
    finally:
        await client.aclose(0)


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_private_ca_is_trusted_once_it_is_named(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path
):
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Server(ANSWER)
    async with server.listening(tls):
        base_url = f"https://127.0.0.1:{server.port}"
        assert await total(client_to(base_url, ca_file=tmp_path / "ca.pem")) == 0


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tls: ssl.SSLContext):
    server = Server(ANSWER)
    async with server.listening(tls):
        with pytest.raises(UpstreamUnreachable):
            await total(client_to(f"https://127.0.0.1:{server.port}"))
    assert not server.asked


async def test_a_proxy_is_gone_through_if_it_is_set():
    server = Server(ANSWER)
    async with server.listening():
        proxy = f"http://127.0.0.1:{server.port}"
        assert await total(client_to("http://upstream.example", proxy=proxy)) == 0
    assert server.asked[0].startswith(b"GET http://upstream.example/api/v3/get-orders?")


async def test_no_proxy_is_taken_from_the_environment():
    """Asked by a process of its own, whose environment names a proxy that is not there."""
    ask = (
        "import asyncio, sys; from tests.test_http import client_to, total;"
        "print(asyncio.run(total(client_to(sys.argv[1]))))"
    )
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    server = Server(ANSWER)
    async with server.listening():
        base_url = f"http://127.0.0.1:{server.port}"
        asking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ask, base_url),
            cwd=Path(__file__).parents[1],
            env=nowhere,
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await asking.communicate()
    assert told == b"0\n"
    assert len(server.asked) == 1


async def test_as_many_connections_are_open_as_calls_may_be_in_flight():
    class Patient(Server):
        """Answers nobody before three have asked."""

        everyone = asyncio.Barrier(3)

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.everyone.wait()
            await super()._serve(reader, writer)

    server = Patient(ANSWER)
    async with server.listening():
        client = client_to(f"http://127.0.0.1:{server.port}", max_concurrency=3)
        deadline = SystemClock().monotonic() + 8
        asks = (client.list_orders(1, deadline=deadline) for _ in range(3))
        assert [answer.total for answer in await asyncio.gather(*asks)] == [0, 0, 0]
        await client.aclose(0)


async def test_a_certificate_of_another_name_is_not_trusted(ca: trustme.CA, tmp_path: Path):
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("upstream.example").configure_cert(context)
    server = Server(ANSWER)
    async with server.listening(context):
        base_url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(UpstreamUnreachable):
            await total(client_to(base_url, ca_file=tmp_path / "ca.pem"))
    assert not server.asked


async def test_a_tls_connection_that_is_damaged_is_unreachable(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path
):
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def damage(listener: socket.socket) -> None:
        with tls.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            # Past the TLS layer: a record that no key of this connection made.
            os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + b"z" * 32)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(damage, listener))
        base_url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with pytest.raises(UpstreamUnreachable):
                await total(client_to(base_url, ca_file=tmp_path / "ca.pem"))
        finally:
            await serving


async def test_an_answer_cut_before_its_length_is_unreachable():
    server = Server(ANSWER[:-5])
    async with server.listening():
        with pytest.raises(UpstreamUnreachable):
            await total(client_to(f"http://127.0.0.1:{server.port}"))


async def test_a_port_where_nobody_listens_is_unreachable():
    server = Server(ANSWER)
    async with server.listening():
        pass
    with pytest.raises(UpstreamUnreachable):
        await total(client_to(f"http://127.0.0.1:{server.port}"))


@pytest.mark.parametrize("secured", [False, True])
async def test_what_comes_behind_an_answer_answers_no_later_question(
    ca: trustme.CA, tls: ssl.SSLContext, tmp_path: Path, secured: bool
):
    class Talkative(Server):
        """Says to each question how many there were, and behind it what nobody asked for."""

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    self.asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
                    told = ANSWER.replace(b'":0', b'":%d' % len(self.asked))
                    writer.write(told + self.answer)
                    await writer.drain()
            writer.close()

    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Talkative(ANSWER.replace(b'":0', b'":9'))
    async with server.listening(tls if secured else None):
        base_url = f"http{'s' if secured else ''}://127.0.0.1:{server.port}"
        client = client_to(base_url, ca_file=tmp_path / "ca.pem")
        told = []
        for _ in range(4):
            with suppress(UpstreamUnreachable):
                answer = await client.list_orders(1, deadline=SystemClock().monotonic() + 8)
                told.append(answer.total)
        await client.aclose(0)
    assert told
    assert 9 not in told


class Closing(Server):
    """Keeps each connection, and closes it when it is used for the second time."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The last one is closed by who asked; newer Pythons tell of that as of an error.
        with suppress(asyncio.IncompleteReadError):
            for answer in (self.answer, b""):
                self.asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
                writer.write(answer)
                await writer.drain()
        writer.close()


async def test_a_kept_connection_that_had_ended_is_replaced_at_once():
    server = Closing(ANSWER)
    async with server.listening():
        client = client_to(f"http://127.0.0.1:{server.port}", tries=2, chance=lambda: 1e6)
        deadline = SystemClock().monotonic() + 8
        for _ in range(2):
            assert (await client.list_orders(1, deadline=deadline)).total == 0
        await client.aclose(0)
    assert len(server.asked) == 3


async def test_a_new_connection_that_is_closed_without_an_answer_is_unreachable():
    server = Server(b"")
    async with server.listening():
        with pytest.raises(UpstreamUnreachable) as raised:
            await total(client_to(f"http://127.0.0.1:{server.port}"))
    assert not isinstance(raised.value, StaleConnection)
