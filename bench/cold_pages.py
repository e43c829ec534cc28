"""`python -m bench.cold_pages`: what a miss costs, compared with two baselines in the same run.

Every page of the list is requested once, one after the other, and none of them is cached. The cost
is the CPU time of the server process. The baselines are a FastAPI proxy, and an ASGI application
that only sends the upstream's bytes on: httpx is most of its cost, so it is the floor.
"""

import asyncio
import statistics

import uvloop

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import cpu_seconds, send_requests
from bench.servers import HEADERS, baseline_command, proxy_command, start_server

PAGES = 390
WARM_UP = 20
"""Pages that are requested first, and not counted: tokens, connections, lazy initialization."""

ROUNDS = 9
PORT = 8710


async def milliseconds_per_page(
    command: tuple[list[str], int, dict[str, str]], pages: int = PAGES
) -> float:
    """Start a server and return the CPU time of a page of 50 that is not cached."""
    with start_server(*command) as server:
        port = command[1]
        await _fetch(port, range(1, WARM_UP + 1))
        before = cpu_seconds(server.pid)
        await _fetch(port, range(WARM_UP + 1, pages + 1))
        return (cpu_seconds(server.pid) - before) * 1000 / (pages - WARM_UP)


async def measure_cold_pages() -> None:
    """Compare the cost of a miss with that of the baselines, in rounds of one of each."""
    options = Options(orders=PAGES * 50, max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        commands = (
            proxy_command(upstream.base_url, options, PORT),
            baseline_command("naive", upstream.base_url, options, PORT + 1),
            baseline_command("forward", upstream.base_url, options, PORT + 2),
        )
        rounds = [
            [await milliseconds_per_page(command) for command in commands] for _ in range(ROUNDS)
        ]
    proxy, naive, forward = zip(*rounds, strict=True)
    print(f"{PAGES} cold pages of 50 in a row, CPU time of a miss, median of {ROUNDS} rounds:")
    for name, column in (("FastAPI + httpx proxy", naive), ("httpx alone", forward)):
        ratios = sorted(ours / theirs for ours, theirs in zip(proxy, column, strict=True))
        print(
            f"  orders-bff {statistics.median(proxy):5.2f} ms   "
            f"{name:21} {statistics.median(column):5.2f} ms   ratio "
            f"{statistics.median(ratios):4.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


async def _fetch(port: int, pages: range) -> None:
    paths = [f"/v1/orders?page={page}&limit=50" for page in pages]
    if await send_requests(port, paths, HEADERS, connections=1) != len(paths):
        raise SystemExit("not all pages were answered with 200")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure_cold_pages())
