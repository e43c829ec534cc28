"""A load generator over keep-alive connections, and what a server process costs."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

NO_LIMITS = {f"ORDERS_CALLERS__{name}": "0" for name in ("RATE", "SCAN_RATE", "DETAIL_RATE")}
"""Variables that disable the limits per caller: a benchmark sends more than any of them."""


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of the process, that of its ended threads included.

    Reads the CPU-time clock of the process, whose id on Linux is made of the process id (as by
    clock_getcpuclockid(3)).
    """
    return time.clock_gettime(~pid << 3 | 2)


def process_cpu_seconds(pid: int) -> float:
    """Return the CPU time of the process and those that it has started, as nginx's workers."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = file.read_text("ascii", "replace").rpartition(")")[2].split()
            parents[int(file.parent.name)] = int(fields[1])
    own = {pid}
    while found := {child for child, parent in parents.items() if parent in own} - own:
        own |= found
    return sum(map(cpu_seconds, own))


def resident_mib(pid: int) -> float:
    """Return the resident memory of the process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def request_bytes(path: str, headers: str) -> bytes:
    """Return a GET request. `headers` is empty or ends with CRLF."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


def content_length(head: bytes | bytearray) -> int:
    """Return the Content-Length of a response head, or 0 if it has none."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)


async def send_requests(
    port: int, paths: list[str], headers: str = "", *, connections: int = 16
) -> int:
    """GET each of `paths` over keep-alive connections. Return how many responses were 200."""
    requests = [request_bytes(path, headers) for path in paths]
    return (await exchange(port, requests, connections=connections))[200]


async def exchange(port: int, requests: Iterable[bytes], *, connections: int = 16) -> Counter[int]:
    """Send the requests over keep-alive connections. Return the number of each status."""
    queue = iter(requests)
    statuses: Counter[int] = Counter()

    async def run_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in queue:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(content_length(head))
            statuses[int(head.split(b" ", 2)[1])] += 1
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(run_connection() for _ in range(connections)))
    return statuses


class SingleRequest(asyncio.Protocol):
    """A connection for one request.

    Attributes:
        done: whether the response was 200, once it is complete or the connection is lost.
        completed_at: when the last byte of the response arrived, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.completed_at = 0.0
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport, so that the caller can send the request."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's class is not a subclass

    def data_received(self, data: bytes) -> None:
        """Resolve `done` if the response is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= content_length(head) and not self.done.done():
            self.completed_at = time.monotonic()
            self.done.set_result(head.startswith(b"HTTP/1.1 200"))

    def connection_lost(self, error: Exception | None) -> None:
        """Resolve `done` with False if there was no response."""
        del error
        if not self.done.done():
            self.done.set_result(False)


async def open_connections(port: int, count: int) -> list[SingleRequest]:
    """Open `count` connections to the server."""
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(count):
        _, connection = await loop.create_connection(SingleRequest, "127.0.0.1", port)
        connections.append(connection)
    return connections
