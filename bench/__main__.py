"""`make bench`: each number beside its rival, in pairs, by CPU time of the server's process.

Wall time is not compared: the machine may be shared. Loads go to loopback only, and end.
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
from bench.cold import cold_page, follower_wakeups
from bench.load import ask, cpu_seconds, resident_mib
from bench.servers import (
    HEADERS,
    KEY,
    PAGE,
    Running,
    access_lines,
    page_of,
    proxy,
    server,
)

ROUNDS = 7
HITS = 8000
SLOW_HITS = 2000


async def per_second(port: int, server: Running, hits: int) -> float:
    """Hits a second of the server's CPU time."""
    before = cpu_seconds(server.pid)
    good = await ask(port, [PAGE] * hits, HEADERS)
    if good != hits:
        raise SystemExit(f"{hits - good} of {hits} requests were not answered 200")
    return hits / max(cpu_seconds(server.pid) - before, 0.01)


async def hit_against_rivals(upstream: str, options: Options) -> None:
    """A hit on a page of 50: key checked, access line written."""
    with tempfile.NamedTemporaryFile() as file:
        with server(*proxy(upstream, options, 8701)) as ours:
            body, headers = await asyncio.to_thread(page_of, 8701)
            file.write(body)
            file.flush()
            weekend = [
                "bench.rivals", "weekend", upstream, options.access_key_id,
                options.access_key_secret, options.pool_id, KEY, "8703",
            ]  # fmt: skip
            with (
                server(["bench.rivals", "bare", file.name, "8702"], 8702) as bare,
                server(weekend, 8703) as slow,
            ):
                # The first round warms all three up, and does not count.
                rounds = [
                    (
                        await per_second(8701, ours, HITS),
                        await per_second(8702, bare, HITS),
                        await per_second(8703, slow, SLOW_HITS),
                    )
                    for _ in range(ROUNDS + 1)
                ][1:]
        lines = len(access_lines(ours))
    to_bare = sorted(ours / bare for ours, bare, _ in rounds)
    to_weekend = sorted(ours / slow for ours, _, slow in rounds)
    middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print(f"hit, page of 50 ({len(body)} bytes), requests per CPU second, median of {ROUNDS} pairs")
    print(
        f"  (ours with {len(headers)} headers; {lines:,} access lines for {_asked():,} requests):"
    )
    for name, per_cpu, ratios in (
        ("bare uvicorn", middle[1], to_bare),
        ("weekend", middle[2], to_weekend),
    ):
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        ratio = f"{statistics.median(ratios):5.2f}   ({spread})"
        print(f"  orders-bff {middle[0]:8,.0f}   {name:12} {per_cpu:8,.0f}   ratio {ratio}")


def _asked() -> int:
    return HITS * (ROUNDS + 1) + 1


async def random_windows(options: Options) -> None:
    """2,000 windows of 10,000 orders, drawn at random."""
    dice = random.Random(7)  # noqa: S311  the same windows in each run
    paths = []
    for _ in range(2000):
        limit = dice.randint(1, 50)
        paths.append(f"/v1/orders?page={dice.randint(1, -(-10_000 // limit))}&limit={limit}")
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        with server(*proxy(upstream.base_url, options, 8705)):
            good = await ask(8705, paths, HEADERS)
        calls = upstream.sandbox.calls["/api/v3/get-orders"]
    print(
        f"2,000 random windows of 10,000 orders: {good:,} answered, {calls} list calls (bound 201)"
    )


async def start_and_memory(upstream: str, options: Options) -> None:
    """Start to first answer, and memory while different requests come."""
    started = time.monotonic()
    with server(*proxy(upstream, options, 8706)) as ours:
        await ask(8706, [PAGE], HEADERS)
        print(f"start to first answer: {time.monotonic() - started:.2f} s")
        marks = []
        for part in range(4):
            pages = range(part * 25_000 + 1, (part + 1) * 25_000 + 1)
            await ask(8706, [f"/v1/orders?page={page}&limit=7" for page in pages], HEADERS)
            marks.append(resident_mib(ours.pid))
    told = ", ".join(f"{mark:.0f}" for mark in marks)
    print(f"memory after 25,000, 50,000, 75,000, 100,000 different requests, MiB: {told}")


async def bench() -> None:
    """All of it."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{version}, {platform.machine()}, {os.cpu_count()} cores")
    options = Options(max_calls_per_second=0)
    many = Options(orders=10_000, max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        await hit_against_rivals(upstream.base_url, options)
        await cold_page()
        await follower_wakeups()
        await random_windows(many)
        await start_and_memory(upstream.base_url, options)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench())
