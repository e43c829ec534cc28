"""What a shared store adds to the CPU time of a hit.

Two processes, one with the store and one without, take turns of some hundred requests, so that
both see the same machine. Their medians are compared: many short turns are steadier than a few
long ones when other programs use the machine, too. What the processes do in the background is
included.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import ExitStack

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.hits import REQUEST
from bench.load import cpu_seconds, exchange
from bench.servers import proxy_command, start_server

WITHOUT_STORE, WITH_STORE = 8740, 8741
"""Ports."""

MAX_RATIO = 1.10
REQUESTS = 400
"""In one turn."""


async def measure_hit_cost(url: str, *, turns: int) -> AsyncIterator[tuple[str, float, float]]:
    """Yield the median CPU times of a hit in microseconds, with the store at `url` and without.

    Once with replay, and once without.
    """
    options = Options(max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        for name, replay in (("", "true"), (" without replay", "false")):
            settings = {
                "CALLERS__RATE": "100000/second",  # counted, and never reached
                "SERVER__REPLAY": replay,
            }
            stores = {WITH_STORE: {"CACHE__URL": url}, WITHOUT_STORE: {}}
            times: dict[int, list[float]] = {port: [] for port in stores}
            with ExitStack() as stack:
                servers = {}
                for port, store in stores.items():
                    command = proxy_command(upstream.base_url, options, port, **settings, **store)
                    servers[port] = await asyncio.to_thread(
                        stack.enter_context, start_server(*command)
                    )
                for turn in range(turns + 1):
                    for port, server in servers.items():
                        before = cpu_seconds(server.pid)
                        await exchange(port, [REQUEST.encode()] * REQUESTS)
                        if turn:  # the first one fills the cache
                            used = cpu_seconds(server.pid) - before
                            times[port].append(used / REQUESTS * 1e6)
            medians = {port: statistics.median(each) for port, each in times.items()}
            yield name, medians[WITH_STORE], medians[WITHOUT_STORE]
