"""`python -m bench.event_loop_stalls`: how long work on 100,000 orders blocks the event loop.

The proxy runs in this process and is called without a socket; the embedded upstream is another
process. A stall is the CPU time of one callback of the event loop; wall time on a shared machine
depends on other processes.
"""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import Message

from app.clock import SystemClock
from app.main import App, create_app
from app.sandbox.options import Options
from app.settings import load
from bench.load import NO_LIMITS, resident_mib
from bench.servers import start_server

ORDERS = 100_000
PORT = 8707
TTL = 3600
FILTERED = "?status=paid"
TARGETS = (
    "?sort=-created_at&limit=50",
    "?sort=actual_amount&limit=50",
    "?sort=order_no&limit=50",
    "?status=paid&status=completed&q=enterprise&sort=-actual_amount",
    "?created_from=2026-01-01&time_zone=Asia/Shanghai",
    "/summary",
    "/summary?status=paid&time_zone=Asia/Shanghai",
    "/changes",
    "/export?format=csv",
    "/export?format=ndjson&include=rev",
)


class OffsetClock(SystemClock):
    """The system clock plus an offset in seconds."""

    offset = 0.0

    def monotonic(self) -> float:
        """Return the monotonic time plus the offset."""
        return super().monotonic() + self.offset


class StallMonitor:
    """Measures the longest callback of the event loop, in seconds of CPU time.

    It needs the event loop of asyncio: others do not run their callbacks in `asyncio.Handle`.
    """

    def __init__(self) -> None:
        self._longest = 0.0
        run_callback: Callable[[asyncio.Handle], None] = asyncio.Handle._run  # noqa: SLF001

        def run_and_measure(handle: asyncio.Handle) -> None:
            started = time.thread_time()
            run_callback(handle)
            self._longest = max(self._longest, time.thread_time() - started)

        handle_class: Any = asyncio.Handle
        handle_class._run = run_and_measure  # noqa: SLF001

    @asynccontextmanager
    async def measure(self) -> AsyncIterator[list[float]]:
        """Yield a list that receives the longest stall and the CPU seconds of the block."""
        result: list[float] = []
        # The callback that the caller is part of ends here, and another one at the end.
        await asyncio.sleep(0)
        self._longest, started = 0.0, time.thread_time()
        yield result
        await asyncio.sleep(0)
        result += [self._longest, time.thread_time() - started]


async def bench(orders: int) -> None:
    """Load the list, send every request twice, then reload the list."""
    options = Options()
    upstream = f"http://127.0.0.1:{PORT}"
    sandbox = ["app", "sandbox", "--port", str(PORT), "--orders", str(orders)]
    with start_server([*sandbox, "--max-calls-per-second", "0"], PORT):
        clock = OffsetClock()
        settings = load(
            {"ORDERS_CALLERS__ANONYMOUS": "true", **NO_LIMITS},
            upstream={
                "base_url": upstream,
                "access_key_id": options.access_key_id,
                "access_key_secret": options.access_key_secret,
                "max_rate": 2000,
                "deadline": 600,
            },
            cache={"ttl": TTL, "max_orders": orders + 1},
        )
        app = create_app(settings, clock=clock)
        await freshness(app, "?limit=1")
        gc.collect()
        gc.freeze()  # as the server does at startup
        before = resident_mib(os.getpid())
        monitor = StallMonitor()
        async with monitor.measure() as result:
            await load_list(app)
        per_order = (resident_mib(os.getpid()) - before) * 1024 * 1024 / orders
        print(f"{orders:,} orders loaded, {per_order:.0f} bytes each (resident memory)")
        print(f"{'longest stall, total CPU time (ms)':66} {'first request':>15} {'repeated':>17}")
        _print_row("first load of the list", result)
        for target in TARGETS:
            results = []
            for _ in range(2):
                async with monitor.measure() as result:
                    await freshness(app, target)
                results.append(result)
            _print_row(target, *results)
        async with monitor.measure() as result:
            await reload_list(app, clock)
        _print_row("reload of every block, nothing changed", result)
        async with httpx.AsyncClient() as client:
            body = {"faults": ["arrivals=1,times=1"]}
            (await client.put(f"{upstream}/sandbox/faults", json=body)).raise_for_status()
        async with monitor.measure() as result:
            await reload_list(app, clock)
        _print_row("reload of every block, every row moved", result)
        started = time.thread_time()
        gc.collect()
        result = [time.thread_time() - started] * 2
        _print_row("one full garbage collection", result)


def _print_row(name: str, *results: list[float]) -> None:
    times = "   ".join(f"{stall * 1000:6.1f} {cpu * 1000:7.1f}" for stall, cpu in results)
    print(f"  {name:64} {times}", flush=True)


async def reload_list(app: App, clock: OffsetClock) -> None:
    """Make the list stale and wait until it has been loaded again."""
    clock.offset += TTL
    await load_list(app)


async def load_list(app: App) -> None:
    """Wait until the whole list is loaded and fresh, and its changes are computed."""
    for _ in range(600):
        status, headers = await request(app, FILTERED)
        if status == 200 and headers[b"x-freshness"] == b"fresh":
            # This computes the changes and releases the previous snapshot.
            await freshness(app, "/changes")
            return
        await asyncio.sleep(0.2)
    raise SystemExit("the list was not loaded")


async def freshness(app: App, target: str) -> bytes:
    """Request `target` as in `request`, which has to be answered with 200; return X-Freshness."""
    status, headers = await request(app, target)
    if status != 200:
        raise SystemExit(f"{target} was answered with {status}")
    return headers[b"x-freshness"]


async def request(
    app: App,
    target: str,
    *headers: tuple[bytes, bytes],
    on_body: Callable[[bytes], None] = lambda _: None,
) -> tuple[int, dict[bytes, bytes]]:
    """Request /v1/orders followed by `target`; return status and headers of the response."""
    path, _, query = f"/v1/orders{target}".partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    statuses: list[int] = []
    received: dict[bytes, bytes] = {}

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            received.update(message["headers"])
        else:
            on_body(message["body"])

    await app(scope, receive, send)
    return statuses[0], received


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(bench(ORDERS))
