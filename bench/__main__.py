"""`make bench`: compares the proxy with two baselines by the CPU time of the server process.

CPU time, because wall time on a shared machine depends on other processes. Loopback only.
"""

import asyncio
import os
import platform
import random
import statistics
import tempfile
import time

import uvloop

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.cache_stampede import measure_cold_page, measure_waiter_wakeups
from bench.load import cpu_seconds, resident_mib, send_requests
from bench.servers import (
    HEADERS,
    PAGE,
    ServerProcess,
    access_log,
    baseline_command,
    fetch_page,
    proxy_command,
    start_server,
)

ROUNDS = 7
HITS = 8000
NAIVE_HITS = 2000


async def hits_per_cpu_second(port: int, server: ServerProcess, hits: int) -> float:
    """Send `hits` requests for `PAGE`; return requests per second of the server's CPU time."""
    before = cpu_seconds(server.pid)
    succeeded = await send_requests(port, [PAGE] * hits, HEADERS)
    if succeeded != hits:
        raise SystemExit(f"{hits - succeeded} of {hits} requests did not get 200")
    return hits / max(cpu_seconds(server.pid) - before, 0.01)


async def compare_hits(upstream: str, options: Options) -> None:
    """Compare cache hits on a page of 50, with authentication and access log, to the baselines."""
    with tempfile.NamedTemporaryFile() as file:
        with start_server(*proxy_command(upstream, options, 8701)) as proxy:
            body, headers = await asyncio.to_thread(fetch_page, 8701)
            file.write(body)
            file.flush()
            with (
                start_server(["bench.baselines", "bare", file.name, "8702"], 8702) as bare,
                start_server(*baseline_command("naive", upstream, options, 8703)) as naive,
            ):
                # The first round is a warm-up and is not counted.
                rounds = [
                    (
                        await hits_per_cpu_second(8701, proxy, HITS),
                        await hits_per_cpu_second(8702, bare, HITS),
                        await hits_per_cpu_second(8703, naive, NAIVE_HITS),
                    )
                    for _ in range(ROUNDS + 1)
                ][1:]
        logged = len(access_log(proxy))
    to_bare = sorted(proxy_rate / rate for proxy_rate, rate, _ in rounds)
    to_naive = sorted(proxy_rate / rate for proxy_rate, _, rate in rounds)
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    sent = HITS * (ROUNDS + 1) + 1
    print(
        f"cache hits, page of 50 ({len(body)} bytes, {len(headers)} headers), "
        f"requests per CPU second, median of {ROUNDS} rounds"
    )
    print(f"  ({logged:,} access log entries for {sent:,} requests):")
    for name, rate, ratios in (
        ("bare ASGI app", medians[1], to_bare),
        ("naive FastAPI proxy", medians[2], to_naive),
    ):
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        ratio = f"{statistics.median(ratios):5.2f}   ({spread})"
        print(f"  orders-bff {medians[0]:8,.0f}   {name:19} {rate:8,.0f}   ratio {ratio}")


async def count_calls_of_random_windows(options: Options) -> None:
    """Count the upstream calls of 2,000 random windows on 10,000 orders."""
    rng = random.Random(7)  # noqa: S311  the same windows in each run
    paths = []
    for _ in range(2000):
        limit = rng.randint(1, 50)
        paths.append(f"/v1/orders?page={rng.randint(1, -(-10_000 // limit))}&limit={limit}")
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        with start_server(*proxy_command(upstream.base_url, options, 8705)):
            succeeded = await send_requests(8705, paths, HEADERS)
        calls = upstream.sandbox.calls["/api/v3/get-orders"]
    print(
        f"2,000 random windows on 10,000 orders: {succeeded:,} got 200, {calls} list calls "
        "(at most 201)"
    )


async def measure_start_and_memory(upstream: str, options: Options) -> None:
    """Measure the time from start to first response, and memory during distinct requests."""
    started = time.monotonic()
    with start_server(*proxy_command(upstream, options, 8706)) as proxy:
        await send_requests(8706, [PAGE], HEADERS)
        print(f"start to first response: {time.monotonic() - started:.2f} s")
        readings = []
        for part in range(4):
            pages = range(part * 25_000 + 1, (part + 1) * 25_000 + 1)
            await send_requests(
                8706, [f"/v1/orders?page={page}&limit=7" for page in pages], HEADERS
            )
            readings.append(resident_mib(proxy.pid))
    text = ", ".join(f"{reading:.0f}" for reading in readings)
    print(f"memory after 25,000, 50,000, 75,000, 100,000 distinct requests, MiB: {text}")


async def bench() -> None:
    """Run all benchmarks."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{version}, {platform.machine()}, {os.cpu_count()} cores")
    options = Options(max_calls_per_second=0)
    many_orders = Options(orders=10_000, max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        await compare_hits(upstream.base_url, options)
        await measure_cold_page()
        await measure_waiter_wakeups()
        await count_calls_of_random_windows(many_orders)
        await measure_start_and_memory(upstream.base_url, options)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench())
