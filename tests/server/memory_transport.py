"""A connection without a socket, which receives bytes in pieces of any size at once."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from app.server.server import Server


class _Socket:
    def __init__(self, peer: str) -> None:
        self._peer = peer

    def setsockopt(self, *args: object) -> None:
        """Options have no effect in memory."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def getpeername(self) -> tuple[str, int]:
        return self._peer, 1


class MemoryTransport(asyncio.Transport):
    """The server's end of a connection.

    Attributes:
        protocol: the connection.
        sent: what the server has sent.
        ended: whether it has closed or half-closed.
        is_reset: whether the client has reset the connection, and no event has said so.
    """

    def __init__(self, server: Server, peer: str = "127.0.0.1") -> None:
        super().__init__({"socket": _Socket(peer)})
        create: Any = server.config.http_protocol_class
        self.protocol = create(config=server.config, server_state=server.server_state, app_state={})
        self._received: deque[bytes] = deque()
        self._paused = False
        self.sent = bytearray()
        self.ended = False
        self._closing = False
        self.is_reset = False
        self.protocol.connection_made(self)

    def receive(self, data: bytes) -> None:
        """Pass `data` to the protocol once it reads."""
        self._received.append(data)
        self._deliver()

    def receive_eof(self) -> None:
        """Half-close, after everything has been received."""
        if self._received:
            asyncio.get_running_loop().call_soon(self.receive_eof)
        elif not self.is_closing() and not self.protocol.eof_received():
            self.close()

    def _deliver(self) -> None:
        while self._received and not self._paused and not self.is_closing():
            self.protocol.data_received(self._received.popleft())

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        asyncio.get_running_loop().call_soon(self._deliver)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.sent += data

    def write_eof(self) -> None:
        if self.is_reset:
            raise OSError("Transport endpoint is not connected")
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self.ended = True
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


@dataclass(frozen=True)
class ParsedResponse:
    """One response among the bytes that the server has sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def outcome(self) -> int | str:
        """The status, or the code of a problem that closes the connection."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        if is_problem and self.headers.get("connection") == "close":
            return str(json.loads(self.body)["code"])
        return self.status


def parse_responses(data: bytes) -> list[ParsedResponse]:
    """Return the responses in `data`. None of them is to a HEAD request."""
    responses = []
    while data:
        head, found, data = data.partition(b"\r\n\r\n")
        assert found, head
        first, *lines = head.decode("ascii").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        size = int(headers.get("content-length", "0"))
        assert len(data) >= size
        responses.append(ParsedResponse(int(status), headers, data[:size]))
        data = data[size:]
    return responses
