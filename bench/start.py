"""`python -m bench.start`: start time and memory, compared with a plain FastAPI proxy.

Both are measured from the start of the process to the first answer: a page that is not cached. The
bytecode of both has been compiled before, as pip does when it installs a package.
"""

import asyncio
import statistics
import time

import uvloop

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import cpu_seconds, resident_mib, send_requests
from bench.servers import HEADERS, PAGE, baseline_command, proxy_command, start_server

ROUNDS = 5
PORT = 8715


async def measure_start(command: tuple[list[str], int, dict[str, str]]) -> tuple[float, ...]:
    """Return seconds and CPU seconds until the first answer, and MiB of memory when it is ready."""
    started = time.monotonic()
    with start_server(*command) as server:
        ready = resident_mib(server.pid)
        if await send_requests(command[1], [PAGE], HEADERS, connections=1) != 1:
            raise SystemExit("the first request was not answered with 200")
        return time.monotonic() - started, cpu_seconds(server.pid), ready


async def compare_start() -> None:
    """Compare the start with that of the FastAPI proxy, in rounds of one of each."""
    options = Options(max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        commands = (
            proxy_command(upstream.base_url, options, PORT),
            baseline_command("naive", upstream.base_url, options, PORT + 1),
        )
        for command in commands:
            await measure_start(command)  # compiles
        rounds = [[await measure_start(command) for command in commands] for _ in range(ROUNDS)]
    print(f"start and memory, median of {ROUNDS} rounds:")
    names = ("s to first answer", "CPU s to first answer", "MiB when ready")
    for index, name in enumerate(names):
        ours, theirs = ([pair[at][index] for pair in rounds] for at in (0, 1))
        ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
        print(
            f"  {name:22} orders-bff {statistics.median(ours):6.2f}   FastAPI + httpx proxy "
            f"{statistics.median(theirs):6.2f}   ratio {statistics.median(ratios):4.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(compare_start())
