"""Ask a server over kept connections, and read what that cost its process in CPU time."""

import asyncio
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    """Memory of the process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def ask(port: int, paths: list[str], headers: str = "", *, connections: int = 16) -> int:
    """GET each of `paths`, spread over kept connections; gives how many answered 200."""
    queue = iter(paths)

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        good = 0
        for path in queue:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            good += head.startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        return good

    return sum(await asyncio.gather(*(one() for _ in range(connections))))
