"""Many concurrent requests for one page that is not cached: calls made, and time to respond."""

import asyncio
import statistics
import time
from typing import Any

from app.clock import SystemClock
from app.sandbox.faults import Fault
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.single_flight import SingleFlight
from bench.load import open_connections, request_bytes
from bench.servers import HEADERS, PAGE, access_log, proxy_command, start_server

REQUESTS = 1000
UPSTREAM_SECONDS = 3.0
"""How long the upstream delays its answer: until all requests wait, and below READ_TIMEOUT."""

ROUNDS = 20


class GatedClock(SystemClock):
    """A clock for the upstream whose delays end when the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.released_at = 0.0

    async def finishes_within(self, future: "asyncio.Future[Any]", seconds: float) -> bool:
        """Wait for the gate, whatever the duration."""
        del seconds
        await self.gate.wait()
        self.released_at = time.monotonic()
        return future.done()


async def measure_cold_page() -> None:
    """Send `REQUESTS` requests for an uncached page over connections that are already open."""
    clock = GatedClock()
    fault = Fault(kind="latency", value=1, times=1, path="get-orders")
    options = Options(max_calls_per_second=0, faults=(fault,))
    async with SandboxServer(options, clock=clock) as upstream:
        with start_server(*proxy_command(upstream.base_url, options, 8704)) as server:
            connections = await open_connections(8704, REQUESTS)
            for connection in connections:
                connection.transport.write(request_bytes(PAGE, HEADERS))
            await asyncio.sleep(UPSTREAM_SECONDS)
            waiting = sum(not connection.done.done() for connection in connections)
            clock.gate.set()
            succeeded = sum(await asyncio.gather(*(each.done for each in connections)))
            for connection in connections:
                connection.transport.close()
        outcomes = [entry["cache"] for entry in access_log(server) if entry.get("cache")]
        calls = upstream.sandbox.calls
    counts = ", ".join(f"{n} {path.rpartition('/')[2]}" for path, n in calls.items() if n)
    print(
        f"{REQUESTS:,} requests for an uncached page: {waiting:,} waited, "
        f"{succeeded:,} got 200; upstream calls: {counts};"
    )
    latencies = sorted((each.completed_at - clock.released_at) * 1000 for each in connections)
    print(
        f"  {outcomes.count('miss')} miss, {outcomes.count('collapsed')} collapsed; from the"
        f" upstream's answer to the first response {latencies[0]:.0f} ms, to the last"
        f" {latencies[-1]:.0f} ms"
    )


async def measure_waiter_wakeups() -> None:
    """Measure how long 1,000 waiters take to resume after their flight ends, in one process."""
    p99s, medians = [], []
    for _ in range(ROUNDS):
        latencies = await _wakeup_latencies()
        p99s.append(latencies[len(latencies) * 99 // 100])
        medians.append(latencies[len(latencies) // 2])
    p50, p99 = statistics.median(medians), statistics.median(p99s)
    print(
        f"wake-up of {REQUESTS:,} waiters of one flight, median of {ROUNDS} rounds: "
        f"p50 {p50:.2f} ms, p99 {p99:.2f} ms ({min(p99s):.2f} to {max(p99s):.2f})"
    )


async def _wakeup_latencies() -> list[float]:
    flights: SingleFlight[int, float] = SingleFlight(SystemClock())
    gate = asyncio.Event()

    async def work() -> float:
        await gate.wait()
        return time.perf_counter()

    flight = flights.launch(0, work)
    latencies = []

    async def wait() -> None:
        await flight.wait(8)
        latencies.append((time.perf_counter() - flight.task.result()) * 1000)

    waiters = [asyncio.ensure_future(wait()) for _ in range(REQUESTS)]
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(*waiters)
    return sorted(latencies)
