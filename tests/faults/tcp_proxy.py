"""A wire between proxy and sandbox that damages what passes on it. Real sockets; knows no order.

Questions go through whole, one at a time; what comes back goes through the damage that stands.
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

END = b"\r\n\r\n"
ASKED_REMEMBERED = 1_000_000


@dataclass(frozen=True, slots=True)
class Passing:
    """One answer on its way: what the sandbox said, and the connection that it goes back on.

    Attributes:
        head: the status line and the headers, without Content-Length and without the empty line.
        body: all of it.
        ordinal: which question of its connection this answers, from 1.
    """

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sequence: int

    async def send(self, *pieces: bytes) -> None:
        """Put bytes on the connection."""
        self.writer.write(b"".join(pieces))
        await self.writer.drain()

    async def begin(self, length: int, *headers: bytes) -> None:
        """Send the head, which promises `length` bytes."""
        lines = (self.head, *headers, b"Content-Length: %d" % length)
        await self.send(b"\r\n".join(lines), END)

    async def left(self) -> None:
        """Say nothing more, and wait until the proxy has left."""
        await _leave(self.reader)

    def reset(self) -> None:
        """End the connection with RST."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        # To linger for no time turns the close into a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Damage = Callable[[Passing], Awaitable[None]]


async def whole(passing: Passing) -> None:
    """No damage."""
    await passing.begin(len(passing.body))
    await passing.send(passing.body)


class Wire:
    """Listens on loopback, on a port that stays its own, and asks the sandbox at `target`.

    Attributes:
        damage: what happens to each answer from now on.
        asked: when each question came, in seconds of the monotonic clock.
    """

    def __init__(self, target: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.damage: Damage = whole
        self.asked: deque[float] = deque(maxlen=ASKED_REMEMBERED)
        self.port = 0
        self._target = target
        self._tls = tls
        self._deaf = False
        self._listening: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def up(self, *, tls: ssl.SSLContext | None = None, deaf: bool = False) -> None:
        """Listen anew; with another certificate, or hearing nothing of what is said.

        Connections end: whoever asks next has to connect.
        """
        await self.down()
        self._deaf = deaf
        secured = None if deaf else tls or self._tls
        server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, ssl=secured)
        self.port = server.sockets[0].getsockname()[1]
        self._listening = server

    async def down(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._listening is None:
            return
        self._listening.close()
        self._listening = None
        for talk in self._talks:
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.down()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            await (_leave(reader) if self._deaf else self._answer_all(reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one side has left, or the wire is down: there is nobody to tell
        finally:
            self._talks.discard(talk)
            writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sequence = 0
        while not writer.is_closing():
            head, body = await _message(reader)
            self.asked.append(time.monotonic())
            sequence += 1
            answer, content = await self._ask(head + END + body)
            await self.damage(Passing(_without_length(answer), content, reader, writer, sequence))

    async def _ask(self, question: bytes) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            writer.write(question)
            return await _message(reader)
        finally:
            writer.close()


async def _leave(reader: asyncio.StreamReader) -> None:
    """Say nothing, and return when the other side has left."""
    while await reader.read(65_536):
        pass


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One HTTP message: its head without the empty line, and its body."""
    head = (await reader.readuntil(END)).removesuffix(END)
    lengths = [
        int(value)
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
        if name.lower() == b"content-length"
    ]
    return head, await reader.readexactly(sum(lengths))


def _without_length(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"content-length:"))
