"""A TCP proxy in front of the sandbox that can corrupt responses. Real sockets.

Requests are forwarded unchanged, one at a time per connection; each response passes through
`TcpProxy.fault`.
"""

import asyncio
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

END_OF_HEAD = b"\r\n\r\n"
MAX_REQUEST_TIMES = 1_000_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response of the sandbox, and the connection to send it on.

    Attributes:
        head: the status line and the headers, without Content-Length and without the empty line.
        body: the complete body.
        reader: what the client sends on the connection.
        writer: the way back to the client.
        sequence: the number of the request on its connection, from 1.
    """

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sequence: int

    async def send(self, *parts: bytes) -> None:
        """Send bytes to the client."""
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def send_head(self, content_length: int, *headers: bytes) -> None:
        """Send the head with this Content-Length and additional header lines."""
        lines = (self.head, *headers, b"Content-Length: %d" % content_length)
        await self.send(b"\r\n".join(lines), END_OF_HEAD)

    async def wait_for_disconnect(self) -> None:
        """Send nothing more, and wait until the client closes the connection."""
        await _wait_for_disconnect(self.reader)

    def reset(self) -> None:
        """End the connection with RST."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        # A linger time of zero turns the close into a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[[Exchange], Awaitable[None]]
"""Sends a response, or whatever happens instead."""


async def forward(exchange: Exchange) -> None:
    """Send the response unchanged."""
    await exchange.send_head(len(exchange.body))
    await exchange.send(exchange.body)


class TcpProxy:
    """Listens on loopback and forwards to the sandbox on port `target`. Its port never changes.

    Attributes:
        fault: what happens to each response from now on.
        request_times: when each request arrived, on the monotonic clock.
    """

    def __init__(self, target: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.fault: Fault = forward
        self.request_times: deque[float] = deque(maxlen=MAX_REQUEST_TIMES)
        self.port = 0
        self._target = target
        self._tls = tls
        self._reads = True
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, *, tls: ssl.SSLContext | None = None, reads: bool = True) -> None:
        """Listen; restart if already listening, which ends all connections.

        Args:
            tls: another server certificate.
            reads: if False, connections are accepted but no request or handshake is processed.
        """
        await self.stop()
        self._reads = reads
        context = (tls or self._tls) if reads else None
        server = await asyncio.start_server(
            self._serve_connection, "127.0.0.1", self.port, ssl=context
        )
        self.port = server.sockets[0].getsockname()[1]
        self._server = server

    async def stop(self) -> None:
        """End all connections and refuse new ones."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if self._reads:
                await self._forward_all(reader, writer)
            else:
                await _wait_for_disconnect(reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one side has closed the connection, or the proxy was stopped
        finally:
            self._connections.discard(task)
            writer.close()

    async def _forward_all(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sequence = 0
        while not writer.is_closing():
            head, body = await _read_message(reader)
            self.request_times.append(time.monotonic())
            sequence += 1
            head, body = await self._fetch(head + END_OF_HEAD + body)
            head = _without_content_length(head)
            await self.fault(Exchange(head, body, reader, writer, sequence))

    async def _fetch(self, request: bytes) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            writer.write(request)
            return await _read_message(reader)
        finally:
            writer.close()


async def _wait_for_disconnect(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the head of one HTTP message, without the empty line, and its body."""
    head = (await reader.readuntil(END_OF_HEAD)).removesuffix(END_OF_HEAD)
    lengths = [
        int(value)
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
        if name.lower() == b"content-length"
    ]
    return head, await reader.readexactly(sum(lengths))


def _without_content_length(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"content-length:"))
