"""Runs rows of the table concurrently, each with its own proxy, TCP proxy and sandbox."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from tests.edge.asgi_harness import LogOutput
from tests.faults.environments import Environ, Environment, in_process, own_process
from tests.faults.scenario import Observations, Scenario, durations_for, environ_for
from tests.faults.table import ROWS, Certificates
from tests.faults.tcp_proxy import TcpProxy

OpenEnvironment = Callable[[Environ], AbstractAsyncContextManager[Environment]]


async def run_in_process(log: LogOutput, names: Iterable[str] = ROWS) -> dict[str, Observations]:
    """Try faults on proxies in this process, whose clocks are advanced."""
    return await _run(
        lambda environ: in_process(environ, log), names, concurrency=12, all_short=False
    )


async def run_in_own_processes(names: Iterable[str] = ROWS) -> dict[str, Observations]:
    """Try faults on proxies that `serve` runs, in real time."""

    @asynccontextmanager
    async def open_environment(environ: Environ) -> AsyncIterator[Environment]:
        async with own_process(environ) as (proxy, _):
            yield proxy

    return await _run(open_environment, names, concurrency=4, all_short=True)


async def _run(
    open_environment: OpenEnvironment, names: Iterable[str], *, concurrency: int, all_short: bool
) -> dict[str, Observations]:
    slots = asyncio.Semaphore(concurrency)
    names = list(names)
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder))

        async def run_row(name: str) -> tuple[str, Observations]:
            row = ROWS[name]
            durations = durations_for(row, all_short=all_short)
            tls = certificates.valid if row.tls else None
            async with (
                slots,
                SandboxServer(Options(), clock=SystemClock()) as sandbox,
                TcpProxy(_port(sandbox), tls=tls) as tcp_proxy,
                open_environment(
                    environ_for(row, durations, tcp_proxy, certificates, sandbox.options)
                ) as proxy,
            ):
                scenario = Scenario(name, row, durations, proxy, tcp_proxy, certificates, sandbox)
                return name, await scenario.run()

        longest_first = sorted(names, key=lambda name: -ROWS[name].backoff)
        observations = dict(await asyncio.gather(*(run_row(name) for name in longest_first)))
        return {name: observations[name] for name in names}


def _port(sandbox: SandboxServer) -> int:
    return int(sandbox.base_url.rpartition(":")[2])
