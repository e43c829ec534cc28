"""Measure processes that share a store: calls, a frozen store, a restart, the cost of a hit.

Real processes, a real Redis server and a sandbox, on loopback only.
"""

import argparse
import asyncio
import math
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import httpx

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import NO_LIMITS
from tests.fleet.hit_cost import MAX_RATIO, measure_hit_cost
from tests.support.proxy import LIST
from tests.support.redis_server import RedisServer, running_redis
from tests.support.running_proxy import KEY, serving_proxy

BLOCK_SIZE = 50
CONNECTIONS = 24
HEADERS = {"X-API-Key": KEY}


class RecordedCalls(Counter[str]):
    """Counts calls, and records when each list call arrived."""

    def __init__(self, calls: Counter[str]) -> None:
        super().__init__(calls)
        self.at: list[float] = []

    def __setitem__(self, path: str, count: int) -> None:
        super().__setitem__(path, count)
        if path == LIST and count:
            self.at.append(time.monotonic())

    def most_within(self, seconds: float) -> int:
        """Return the most list calls within any interval of that length."""
        return max(
            (sum(start <= at < start + seconds for at in self.at) for start in self.at), default=0
        )


class Answers:
    """The answers to requests for random windows.

    Attributes:
        seconds: how long each hit took.
        statuses: how often which status was answered.
    """

    def __init__(self) -> None:
        self.hits: list[float] = []
        self.statuses: Counter[int] = Counter()

    def p99(self) -> float:
        """Return the 99th percentile of the hits, in milliseconds."""
        return 1000 * sorted(self.hits)[int(0.99 * len(self.hits))]


async def send_load(origins: list[str], orders: int, seconds: float, rate: float) -> Answers:
    """Request random windows from all processes at that rate."""
    random, answers = Random(12), Answers()  # noqa: S311  not a secret
    limits = httpx.Limits(max_connections=CONNECTIONS)
    ends_at, pending = time.monotonic() + seconds, set[asyncio.Task[None]]()
    async with httpx.AsyncClient(headers=HEADERS, timeout=30, limits=limits) as client:

        async def request() -> None:
            limit = random.randint(1, BLOCK_SIZE)
            page = random.randint(1, math.ceil(orders / limit))
            url = f"{random.choice(origins)}/v1/orders?limit={limit}&page={page}"
            started_at = time.monotonic()
            response = await client.get(url)
            answers.statuses[response.status_code] += 1
            if response.headers.get("cache-status", "").startswith("orders-bff; hit"):
                answers.hits.append(time.monotonic() - started_at)

        while time.monotonic() < ends_at:
            task = asyncio.create_task(request())
            pending.add(task)
            task.add_done_callback(pending.discard)
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*pending)
    return answers


class Measurement:
    """One sandbox, and processes with one store."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.failed = False

    def report(self, text: str, *, ok: bool) -> None:
        """Print a result."""
        self.failed |= not ok
        print(f"  {'ok    ' if ok else 'MISSED'} {text}", flush=True)

    def environ(self, url: str) -> dict[str, str]:
        """Return the settings of a process."""
        options = Options()
        return {
            "ORDERS_CACHE__URL": url,
            "ORDERS_CACHE__TTL": str(self.args.ttl),
            "ORDERS_UPSTREAM__ACCESS_KEY_ID": options.access_key_id,
            "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": options.access_key_secret,
            "ORDERS_UPSTREAM__MAX_RATE": "120",
            "ORDERS_UPSTREAM__REFRESH_RATE": "120",
            **NO_LIMITS,
        }

    @contextmanager
    def processes(self, upstream: str, url: str) -> Iterator[list[str]]:
        """Run the processes; yield their origins."""
        with ExitStack() as stack:
            yield [
                stack.enter_context(serving_proxy(upstream, **self.environ(url)))
                for _ in range(self.args.processes)
            ]

    @asynccontextmanager
    async def sandbox(self) -> AsyncIterator[tuple[SandboxServer, RecordedCalls]]:
        """Run a sandbox that records its calls."""
        options = Options(orders=self.args.orders, max_calls_per_second=0)
        async with SandboxServer(options, clock=SystemClock()) as server:
            calls = RecordedCalls(server.sandbox.calls)
            server.sandbox.calls = calls
            yield server, calls

    async def measure(self, name: str, url: str, redis: RedisServer | None) -> None:
        """Measure with the store at `url`."""
        async with self.sandbox() as (server, calls):
            stack = ExitStack()
            origins = await asyncio.to_thread(
                stack.enter_context, self.processes(server.base_url, url)
            )
            try:
                await self.measure_calls(name, origins, calls)
                if redis:
                    await self.measure_frozen(origins, redis)
                await server.stop()
                await self.measure_restart(server.base_url, url)
            finally:
                await asyncio.to_thread(stack.close)
        await self.measure_hits(url)

    async def measure_calls(self, name: str, origins: list[str], calls: RecordedCalls) -> None:
        """Send random windows for three TTLs, and count the list calls."""
        args = self.args
        print(f"{name}: {len(origins)} processes, {args.orders:,} orders, a TTL of {args.ttl} s")
        answers = await send_load(origins, args.orders, 3 * args.ttl, args.rate)
        async with httpx.AsyncClient(headers=HEADERS, timeout=30) as client:
            for _ in range(20):  # until each block is stored
                if (await client.get(f"{origins[0]}/v1/orders/summary")).status_code == 200:
                    break
                await asyncio.sleep(0.5)
        bound = math.ceil(args.orders / BLOCK_SIZE) + 1
        most = calls.most_within(args.ttl)
        self.report(
            f"at most {most} list calls within a TTL (bound {bound}); {len(calls.at)} for"
            f" {answers.statuses.total():,} requests",
            ok=most <= bound,
        )
        self.report(f"statuses {dict(answers.statuses)}", ok=set(answers.statuses) == {200})

    async def measure_frozen(self, origins: list[str], redis: RedisServer) -> None:
        """Compare the latency of hits before and while the server is stopped."""
        args = self.args
        before = await send_load(origins, args.orders, args.ttl, args.rate)
        redis.freeze()
        try:
            frozen = await send_load(origins, args.orders, args.ttl, args.rate)
        finally:
            redis.thaw()
        after = await send_load(origins, args.orders, args.ttl, args.rate)
        self.report(
            f"p99 of hits {before.p99():.1f} ms, with a frozen store {frozen.p99():.1f} ms,"
            f" afterwards {after.p99():.1f} ms",
            ok=frozen.p99() < max(before.p99(), after.p99()) + 10,
        )
        statuses = before.statuses + frozen.statuses + after.statuses
        self.report(f"statuses {dict(statuses)}", ok=set(statuses) == {200})

    async def measure_restart(self, upstream: str, url: str) -> None:
        """Start one more process while the upstream does not answer."""
        started_at = time.monotonic()
        stack = ExitStack()
        context = serving_proxy(upstream, **self.environ(url))
        origin = await asyncio.to_thread(stack.enter_context, context)
        listening = time.monotonic() - started_at
        try:
            async with httpx.AsyncClient(headers=HEADERS, timeout=30) as client:
                response = await client.get(f"{origin}/v1/orders?page=3&limit=50")
                first = time.monotonic() - started_at
                summary = await client.get(f"{origin}/v1/orders/summary")
        finally:
            await asyncio.to_thread(stack.close)
        self.report(
            f"restart in an outage: listening after {listening:.2f} s, {first - listening:.2f} s"
            f" later {response.status_code} {response.headers.get('x-freshness', '')}",
            ok=response.status_code == 200 and first - listening < 1,
        )
        self.report(f"then the totals: {summary.status_code}", ok=summary.status_code == 200)

    async def measure_hits(self, url: str) -> None:
        """Compare the CPU time of a hit with the store at `url` to that without a store."""
        async for what, ours, theirs in measure_hit_cost(url, turns=self.args.turns):
            self.report(
                f"CPU time of a hit{what}: {ours:.1f} µs, without a store {theirs:.1f} µs,"
                f" ratio {ours / theirs:.2f}",
                ok=ours / theirs <= MAX_RATIO,
            )


async def run(measurement: Measurement) -> None:
    """Measure both stores."""
    with tempfile.TemporaryDirectory() as folder:
        with running_redis(Path(folder)) as redis:
            await measurement.measure("Redis", redis.url, redis)
        await measurement.measure("SQLite", f"sqlite://{folder}/store.sqlite", None)


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--ttl", type=int, default=10, help="seconds")
    parser.add_argument("--rate", type=float, default=60, help="requests per second")
    parser.add_argument("--turns", type=int, default=100, help="to compare the cost of a hit in")
    measurement = Measurement(parser.parse_args())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asyncio.run(run(measurement))
    return int(measurement.failed)


if __name__ == "__main__":
    sys.exit(main())
