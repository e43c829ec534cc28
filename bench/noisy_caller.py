"""`python -m bench.noisy_caller`: what the other callers notice of one that sends too much.

The greedy caller sends 100 requests per second: unknown order numbers, filters and pages. Phases
with and without it alternate on one server, and the polite caller's response times in one are
compared with those in the phase before: by the clock, and by the CPU time that the server spends
until the response, which does not depend on what else the machine does. The TTL is short, so that
the list is refreshed in each phase. The last part compares the CPU time of a 429 with that of a
cache hit.
"""

import asyncio
import json
import random
import statistics
import time

import uvloop

from app.clock import SystemClock
from app.edge.api_keys import generate_key
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import content_length, cpu_seconds, request_bytes, send_requests
from bench.servers import PAGE, ServerProcess, key_entry, proxy_command, start_server

ORDERS = 1000
TTL = 5
PORT = 8764
PAIRS = 6
PHASE_SECONDS = 5.0
POLITE_RATE = 40
GREEDY_RATE = 100
BATCH = 3000
ROUNDS = 5

_random = random.Random(7)  # noqa: S311  the same requests in each run


class Load:
    """Requests of one caller at a constant rate, and what their responses say.

    Attributes:
        seconds: the response times.
        cpu_seconds: the CPU time that the server has spent between request and response.
        ages: the ages of the responses with 200.
        statuses: how many responses had which status.
    """

    def __init__(self, key: str, rate: int, paths: list[str], connections: int) -> None:
        self._headers = f"X-API-Key: {key}\r\n"
        self._interval = connections / rate
        self._paths = paths
        self._connections = connections
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.ages: list[int] = []
        self.statuses: dict[int, int] = {}

    async def run(self, server: ServerProcess, seconds: float) -> None:
        """Send requests for `seconds`."""
        ends_at = time.monotonic() + seconds
        connections = range(self._connections)
        await asyncio.gather(*(self._connection(server.pid, ends_at) for _ in connections))

    async def _connection(self, pid: int, ends_at: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        await asyncio.sleep(_random.random() * self._interval)
        while (started := time.monotonic()) < ends_at:
            path = _random.choice(self._paths)
            if path.endswith(("=", "/")):
                path += str(_random.randrange(10**6))
            cpu_before = cpu_seconds(pid)
            writer.write(request_bytes(path, self._headers))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(content_length(head))
            self.seconds.append(time.monotonic() - started)
            self.cpu_seconds.append(cpu_seconds(pid) - cpu_before)
            status = int(head[9:12])
            self.statuses[status] = self.statuses.get(status, 0) + 1
            age = head.lower().partition(b"\r\nage: ")[2].partition(b"\r\n")[0]
            if status == 200 and age:
                self.ages.append(int(age))
            await asyncio.sleep(max(started + self._interval - time.monotonic(), 0))
        writer.close()


def polite(key: str) -> Load:
    pages = [f"/v1/orders?page={page}&limit=50" for page in range(1, 21)]
    return Load(key, POLITE_RATE, [*pages, *pages, "/v1/orders?status=paid"], 4)


def greedy(key: str) -> Load:
    paths = ["/v1/orders?q=", "/v1/orders/", "/v1/orders/summary?q=", PAGE]
    return Load(key, GREEDY_RATE, paths, 10)


async def compare_phases(upstream: str, options: Options, rate: str) -> None:
    """Print the polite caller's 99th percentile beside a greedy caller with this rate."""
    polite_key, greedy_key = generate_key(), generate_key()
    entries = [key_entry("polite", polite_key), key_entry("greedy", greedy_key, rate=rate)]
    settings = {"CALLERS__API_KEYS": json.dumps(entries), "CACHE__TTL": str(TTL)}
    alone, disturbed = polite(polite_key), polite(polite_key)
    noise = greedy(greedy_key)
    with start_server(*proxy_command(upstream, options, PORT, **settings)) as server:
        await polite(polite_key).run(server, PHASE_SECONDS)  # a warm-up
        await greedy(greedy_key).run(server, PHASE_SECONDS)
        for _ in range(PAIRS):
            await alone.run(server, PHASE_SECONDS)
            await asyncio.gather(
                disturbed.run(server, PHASE_SECONDS), noise.run(server, PHASE_SECONDS)
            )
    if set(disturbed.statuses) != {200}:
        raise SystemExit(f"the polite caller got {disturbed.statuses}")
    counts = ", ".join(
        f"{count} responses {status}" for status, count in sorted(noise.statuses.items())
    )
    print(f"greedy caller, {GREEDY_RATE} requests/s, rate {rate}: {counts}")
    for name, without, beside in (
        ("response time", alone.seconds, disturbed.seconds),
        ("CPU time of the server until then", alone.cpu_seconds, disturbed.cpu_seconds),
    ):
        before, after = percentile_99(without) * 1000, percentile_99(beside) * 1000
        print(f"  p99 of the polite caller, {name}: {before:.2f} ms without it, {after:.2f} ms")
        print(f"    beside it: ratio {after / before:.2f}, of {len(beside)} requests")
    print(f"  oldest answer of the polite caller: {max(disturbed.ages)} s, with a TTL of {TTL} s")


async def compare_costs(upstream: str, options: Options) -> None:
    """Print the CPU time of a 429 and of a hit that FastAPI's middleware answers."""
    free, limited = generate_key(), generate_key()
    entries = [key_entry("free", free), key_entry("limited", limited, rate="1/hour")]
    settings = {"CALLERS__API_KEYS": json.dumps(entries), "SERVER__REPLAY": "false"}
    with start_server(*proxy_command(upstream, options, PORT, **settings)) as proxy:
        rounds = [
            (await microseconds(proxy, free), await microseconds(proxy, limited))
            for _ in range(ROUNDS + 1)
        ][1:]
    ratios = [rejection / hit for hit, rejection in rounds]
    hit, rejection = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"CPU time of a hit without replay {hit:.0f} µs, of a 429 {rejection:.0f} µs: ratio "
        f"{spread(ratios)}"
    )


async def microseconds(proxy: ServerProcess, key: str) -> float:
    """Return the server's CPU time of one request for a cached page."""
    before = cpu_seconds(proxy.pid)
    await send_requests(PORT, [PAGE] * BATCH, f"X-API-Key: {key}\r\n")
    return (cpu_seconds(proxy.pid) - before) / BATCH * 1e6


def percentile_99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


async def bench() -> None:
    """Run all parts."""
    options = Options(orders=ORDERS, max_calls_per_second=0)
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        await compare_phases(upstream.base_url, options, "60/minute")
        await compare_phases(upstream.base_url, options, "0")
        await compare_costs(upstream.base_url, options)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench())
