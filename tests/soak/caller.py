"""One caller on one kept connection: cheap, so that many fit beside the proxy on one machine."""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `seconds` is the time until its head had come."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Caller:
    """Asks the proxy at `port`, again over the same connection while that stands."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, *headers: str) -> Answer:
        """One request."""
        reader, writer = self._connection or await self._connect()
        started = time.monotonic()
        writer.write(_question(path, *headers))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        seconds = time.monotonic() - started
        pairs = (line.partition(": ") for line in head[1:] if line)
        told = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(told.get("content-length", "0")))
        if told.get("connection") == "close":
            await self.aclose()
        return Answer(int(head[0].split(" ")[1]), told, body, seconds)

    async def hang_up(self, path: str, said: float, patience: float) -> None:
        """Say the part `said` of a question, wait for `patience` seconds, and go."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        question = _question(path)
        writer.write(question[: int(len(question) * said)])
        await asyncio.sleep(patience)
        writer.transport.abort()

    async def aclose(self) -> None:
        """Go."""
        if self._connection:
            self._connection[1].close()
            with suppress(OSError):
                await self._connection[1].wait_closed()
            self._connection = None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._connection = await asyncio.open_connection("127.0.0.1", self._port)
        return self._connection


def _question(path: str, *headers: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers)
    return "\r\n".join((*lines, "", "")).encode()
