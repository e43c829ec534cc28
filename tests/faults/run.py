"""Every row of the table, tried at once, each on a proxy, a wire and a sandbox of its own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from tests.edge.asgi_harness import Lines
from tests.faults.environments import Environ, Place, here, there
from tests.faults.scenario import Seen, Trial, environ_of, times_of
from tests.faults.table import ROWS, Papers
from tests.faults.tcp_proxy import Wire

Open = Callable[[Environ], AbstractAsyncContextManager[Place]]


async def in_this_process(log: Lines, names: Iterable[str] = ROWS) -> dict[str, Seen]:
    """What becomes of each fault on proxies in this process, on a clock that is wound."""
    return await _run(lambda environ: here(environ, log), names, at_once=24, hurried=False)


async def in_processes(names: Iterable[str] = ROWS) -> dict[str, Seen]:
    """What becomes of each fault on proxies that `serve` runs, in the time that it takes."""

    @asynccontextmanager
    async def place(environ: Environ) -> AsyncIterator[Place]:
        async with there(environ) as (proxy, _):
            yield proxy

    return await _run(place, names, at_once=4, hurried=True)


async def _run(
    place: Open, names: Iterable[str], *, at_once: int, hurried: bool
) -> dict[str, Seen]:
    turns = asyncio.Semaphore(at_once)
    names = list(names)
    with tempfile.TemporaryDirectory() as folder:
        papers = Papers(Path(folder))

        async def one(name: str) -> tuple[str, Seen]:
            row = ROWS[name]
            times = times_of(row, hurried=hurried)
            async with (
                turns,
                SandboxServer(Options(), clock=SystemClock()) as upstream,
                Wire(_port(upstream), tls=papers.good if row.tls else None) as wire,
                place(environ_of(row, times, wire, papers, upstream.options)) as proxy,
            ):
                return name, await Trial(name, row, times, proxy, wire, papers, upstream).run()

        # First those that take longest.
        begun = sorted(names, key=lambda name: -ROWS[name].pause)
        seen = dict(await asyncio.gather(*(one(name) for name in begun)))
        return {name: seen[name] for name in names}


def _port(upstream: SandboxServer) -> int:
    return int(upstream.base_url.rpartition(":")[2])
