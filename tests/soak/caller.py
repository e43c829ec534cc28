"""An HTTP client on one keep-alive connection, cheap enough to run many beside the proxy."""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Response:
    """One response. `seconds` is the time until its head arrived. Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)


class Caller:
    """A client of the proxy on `port`. It reconnects when the connection was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, *headers: str) -> Response:
        """Send one request with these header lines."""
        reader, writer = self._connection or await self._connect()
        started = time.monotonic()
        writer.write(_request_bytes(path, *headers))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        seconds = time.monotonic() - started
        pairs = (line.partition(": ") for line in head[1:] if line)
        received = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(received.get("content-length", "0")))
        if received.get("connection") == "close":
            await self.aclose()
        return Response(int(head[0].split(" ")[1]), received, body, seconds)

    async def disconnect_during(self, path: str, sent: float, seconds: float) -> None:
        """Send the fraction `sent` of a request, wait for `seconds`, and disconnect."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        request = _request_bytes(path)
        writer.write(request[: int(len(request) * sent)])
        await asyncio.sleep(seconds)
        writer.transport.abort()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection[1].close()
            with suppress(OSError):
                await self._connection[1].wait_closed()
            self._connection = None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._connection = await asyncio.open_connection("127.0.0.1", self._port)
        return self._connection


def _request_bytes(path: str, *headers: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers)
    return "\r\n".join((*lines, "", "")).encode()
