"""Ask a server over kept connections, and read what that cost its process in CPU time."""

import asyncio
import os
import time
from pathlib import Path
from typing import cast

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has used: in nanoseconds where the kernel counts them.

    The kernel's other count is in ticks of 10 ms, and each is charged to whoever runs at its end.
    """
    try:
        threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text("ascii").split()[0]) for thread in threads) / 1e9
    except (FileNotFoundError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    """Memory of the process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def question(path: str, headers: str) -> bytes:
    """A GET as it stands on the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


def length_of(head: bytes | bytearray) -> int:
    """How long the body behind a head is."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)


async def ask(port: int, paths: list[str], headers: str = "", *, connections: int = 16) -> int:
    """GET each of `paths`, spread over kept connections; gives how many answered 200."""
    queue = iter(paths)

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        good = 0
        for path in queue:
            writer.write(question(path, headers))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(length_of(head))
            good += head.startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        return good

    return sum(await asyncio.gather(*(one() for _ in range(connections))))


class Caller(asyncio.Protocol):
    """One caller with one question; `answered` is when the last byte of a 200 was here."""

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.answered = 0.0
        self._heard = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the server."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own does not derive

    def data_received(self, data: bytes) -> None:
        """See whether the answer is whole."""
        self._heard += data
        head, end, body = self._heard.partition(b"\r\n\r\n")
        if end and len(body) >= length_of(head) and not self.done.done():
            self.answered = time.monotonic()
            self.done.set_result(head.startswith(b"HTTP/1.1 200"))

    def connection_lost(self, error: Exception | None) -> None:
        """No answer any more."""
        del error
        if not self.done.done():
            self.done.set_result(False)


async def connected(port: int, callers: int) -> list[Caller]:
    """So many callers, each with a connection that stands."""
    loop = asyncio.get_running_loop()
    found = []
    for _ in range(callers):
        _, caller = await loop.create_connection(Caller, "127.0.0.1", port)
        found.append(caller)
    return found
