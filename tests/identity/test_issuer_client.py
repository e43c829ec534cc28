"""Calls to an issuer on real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from app.clock import SystemClock
from app.identity.issuer_client import IssuerClient, IssuerError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
MOVED = (
    b"HTTP/1.1 302 Found\r\nLocation: https://evil.example.com/\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Server:
    """A server that answers every request with the same bytes.

    Attributes:
        requests: what it received.
        port: where it listens.
    """

    def __init__(self, response: bytes) -> None:
        self.requests: list[bytes] = []
        self.port = 0
        self._response = response

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0
        )
        self.requests.append(head + await reader.readexactly(length))
        writer.write(self._response)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(response: bytes = OK, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(response)
    async with await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=tls) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@asynccontextmanager
async def client_of(
    *, timeout: float = 5.0, ca_file: Path | None = None, proxy: str | None = None
) -> AsyncIterator[IssuerClient]:
    client = IssuerClient(SystemClock(), call_timeout=timeout, ca_file=ca_file, proxy=proxy)
    yield client
    await client.aclose()


async def test_a_form_is_sent_with_its_headers() -> None:
    async with serving() as server, client_of() as client:
        response = await client.send(
            "POST",
            f"http://127.0.0.1:{server.port}/token",
            form={"grant_type": "authorization_code", "code": "a b"},
            headers={"Authorization": "Basic eA=="},
        )

    assert response == (200, b"{}")
    (request,) = server.requests
    assert request.startswith(b"POST /token HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\ngrant_type=authorization_code&code=a+b")
    assert b"authorization: basic ea==" in request.lower()
    assert b"accept-encoding: identity" in request.lower()


async def test_a_redirect_is_not_followed() -> None:
    async with serving(MOVED) as server, client_of() as client:
        response = await client.send("GET", f"http://127.0.0.1:{server.port}/keys")

    assert response.status == 302
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        pytest.param(b"", "connection failed", id="nothing"),
        pytest.param(b"garbage\r\n\r\n", "connection failed", id="garbage"),
        pytest.param(OK[:-1], "connection failed", id="cut"),
    ],
)
async def test_a_broken_response_is_an_error(response: bytes, reason: str) -> None:
    async with serving(response) as server, client_of() as client:
        with pytest.raises(IssuerError, match=reason):
            await client.send("GET", f"http://127.0.0.1:{server.port}/keys")


async def test_an_issuer_that_does_not_answer_is_given_up() -> None:
    released = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        await released.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with client_of(timeout=0.05) as client:
            with pytest.raises(IssuerError, match="did not respond in time"):
                await client.send("GET", f"http://127.0.0.1:{port}/keys")
        released.set()


async def test_only_a_trusted_certificate_is_accepted(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    async with serving(OK, context) as server:
        url = f"https://localhost:{server.port}/keys"
        async with client_of() as client:
            with pytest.raises(IssuerError, match="certificate is not trusted"):
                await client.send("GET", url)
        async with client_of(ca_file=ca_file) as client:
            assert (await client.send("GET", url)).status == 200

    assert len(server.requests) == 1


async def test_a_proxy_is_used_if_there_is_one() -> None:
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with (
        serving(refused) as server,
        client_of(proxy=f"http://127.0.0.1:{server.port}") as client,
    ):
        with pytest.raises(IssuerError, match="connection failed"):
            await client.send("GET", "https://login.example.com/keys")

    assert server.requests[0].startswith(b"CONNECT login.example.com:443 HTTP/1.1\r\n")
