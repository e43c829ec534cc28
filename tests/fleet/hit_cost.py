"""What a shared store adds to the CPU time of a hit.

A pair is two loads, one right after the other, so that both see the same machine: of a process
with the store and of one without. The ratio of a pair is that of the CPU time per request. What
the processes do in the background is included.
"""

import asyncio
from collections.abc import AsyncIterator

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.hits import Side
from bench.servers import proxy_command, start_server

WITHOUT_STORE, WITH_STORE = 8740, 8741
"""Ports."""

MAX_RATIO = 1.10


async def measure_hit_cost(url: str, *, pairs: int) -> AsyncIterator[tuple[str, list[float]]]:
    """Yield the ratios with the store at `url` to without one: with replay, and without."""
    options = Options(max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        for name, replay in (("", "true"), (" without replay", "false")):
            settings = {
                "CALLERS__RATE": "100000/second",  # counted, and never reached
                "SERVER__REPLAY": replay,
            }
            theirs = proxy_command(upstream.base_url, options, WITHOUT_STORE, **settings)
            settings["CACHE__URL"] = url
            ours = proxy_command(upstream.base_url, options, WITH_STORE, **settings)
            yield name, await asyncio.to_thread(_ratios, ours, theirs, pairs)


def _ratios(
    ours: tuple[list[str], int, dict[str, str]],
    theirs: tuple[list[str], int, dict[str, str]],
    pairs: int,
) -> list[float]:
    """Start both processes and return the ratio of each pair, without a first one to warm up."""
    with start_server(*ours) as with_store, start_server(*theirs) as without:
        sides = Side(with_store, WITH_STORE), Side(without, WITHOUT_STORE)
        ratios = []
        for _ in range(pairs + 1):
            mine, other = (side.load().per_cpu_second for side in sides)
            ratios.append(other / mine)
    return ratios[1:]
