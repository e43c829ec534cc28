"""`make bench`: each number beside its rival, in pairs, by CPU time of the server's process.

Wall time is not compared: the machine may be shared. Loads go to loopback only, and end.
"""

import asyncio
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import Request, urlopen

from app.clock import SystemClock
from app.edge.callers import new_key
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import ask, cpu_seconds, resident_mib

ROUNDS = 3
HITS = 20_000
SLOW_HITS = 3000
PAGE = "/v1/orders?page=1&limit=50"
KEY = new_key()
HEADERS = f"X-API-Key: {KEY}\r\n"


@contextmanager
def server(arguments: list[str], port: int, environ: dict[str, str] | None = None) -> Iterator[int]:
    """A server in a process of its own; gives its pid once it answers."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, "-m", *arguments], env=clean | (environ or {}), stdout=log, stderr=log
        ) as process,
    ):
        try:
            _wait_for(port, process)
            yield process.pid
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        try:
            urlopen(Request(f"http://127.0.0.1:{port}/livez"), timeout=5).close()
        except URLError as error:
            if getattr(error, "code", None):
                return
        else:
            return
    raise SystemExit(f"no server on port {port}")


def proxy(upstream: str, options: Options, port: int) -> tuple[list[str], int, dict[str, str]]:
    """How to start the proxy towards `upstream`."""
    entry = {
        "name": "bench",
        "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
        "scopes": ["orders:read"],
    }
    environ = {
        "ORDERS_UPSTREAM__BASE_URL": upstream,
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": options.access_key_id,
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": options.access_key_secret,
        "ORDERS_UPSTREAM__MAX_RATE": "100000",
        "ORDERS_CALLERS__API_KEYS": json.dumps([entry]),
        "ORDERS_CACHE__TTL": "3600",
        "ORDERS_LOG__FORMAT": "json",
    }
    return ["app", "serve", "--port", str(port)], port, environ


async def per_second(port: int, pid: int, hits: int) -> float:
    """Hits a second of the server's CPU time."""
    before = cpu_seconds(pid)
    good = await ask(port, [PAGE] * hits, HEADERS)
    if good != hits:
        raise SystemExit(f"{hits - good} of {hits} requests were not answered 200")
    return hits / max(cpu_seconds(pid) - before, 0.01)


async def hit_against_rivals(upstream: str, options: Options) -> None:
    """A hit on a page of 50: key checked, access line written."""
    with tempfile.NamedTemporaryFile() as file, server(*proxy(upstream, options, 8701)) as ours:
        body = await asyncio.to_thread(_body, 8701)
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
            rounds = [
                (
                    await per_second(8701, ours, HITS),
                    await per_second(8702, bare, HITS),
                    await per_second(8703, slow, SLOW_HITS),
                )
                for _ in range(ROUNDS)
            ]
    middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
    to_bare = statistics.median(ours / bare for ours, bare, _ in rounds)
    to_weekend = statistics.median(ours / slow for ours, _, slow in rounds)
    print(f"hit, page of 50 ({len(body)} bytes), requests per CPU second, median of {ROUNDS}:")
    print(f"  orders-bff {middle[0]:8.0f}   bare uvicorn {middle[1]:8.0f}   ratio {to_bare:5.2f}")
    print(
        f"  orders-bff {middle[0]:8.0f}   weekend      {middle[2]:8.0f}   ratio {to_weekend:5.2f}"
    )


def _body(port: int) -> bytes:
    request = Request(f"http://127.0.0.1:{port}{PAGE}", headers={"X-API-Key": KEY})
    with urlopen(request, timeout=10) as answer:  # noqa: S310  http to loopback
        return bytes(answer.read())


async def cold_page(upstream: SandboxServer) -> None:
    """1,000 concurrent callers on a cold page."""
    before = dict(upstream.sandbox.calls)
    with server(*proxy(upstream.base_url, upstream.options, 8704)):
        await ask(8704, ["/livez"] * 100)
        upstream.sandbox.break_with("latency=2,times=1,path=get-orders")
        started = time.monotonic()
        good = await ask(8704, [PAGE] * 1000, HEADERS, connections=1000)
        took = time.monotonic() - started
    upstream.sandbox.break_with()
    calls = {path: n - before.get(path, 0) for path, n in upstream.sandbox.calls.items()}
    told = ", ".join(f"{n} {path.rpartition('/')[2]}" for path, n in calls.items())
    print(f"1,000 callers on a cold page, upstream takes 2 s: {good} answered; {told};")
    print(f"  the last had its answer {(took - 2) * 1000:.0f} ms after the upstream's")


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
    print(f"2,000 random windows of 10,000 orders: {good} answered, {calls} list calls (bound 201)")


async def start_and_memory(upstream: str, options: Options) -> None:
    """Start to first answer, and memory while different requests come."""
    started = time.monotonic()
    with server(*proxy(upstream, options, 8706)) as pid:
        await ask(8706, [PAGE], HEADERS)
        print(f"start to first answer: {time.monotonic() - started:.2f} s")
        marks = []
        for part in range(4):
            pages = range(part * 25_000 + 1, (part + 1) * 25_000 + 1)
            await ask(8706, [f"/v1/orders?page={page}&limit=7" for page in pages], HEADERS)
            marks.append(resident_mib(pid))
    told = ", ".join(f"{mark:.0f}" for mark in marks)
    print(f"memory after 25,000, 50,000, 75,000, 100,000 different requests, MiB: {told}")


async def bench() -> None:
    """All of it."""
    options = Options(max_calls_per_second=0)
    many = Options(orders=10_000, max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        await hit_against_rivals(upstream.base_url, options)
        await cold_page(upstream)
        await random_windows(many)
        await start_and_memory(upstream.base_url, options)


if __name__ == "__main__":
    asyncio.run(bench())
