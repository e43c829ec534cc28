"""`python -m bench.noisy_caller`: what the other callers notice of one that sends too much.

The greedy caller sends 100 requests per second: unknown order numbers, filters and pages. Phases
with and without it alternate on one server, and the response times of a polite caller beside it are
compared with those without it. The TTL is short, so that the list is refreshed in each phase.

Response times depend on what else the machine does. So the last part measures the CPU time of each
kind of request, and computes from it how long requests wait in a queue with one server.
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
SCANS = 60
MODELED_SECONDS = 2000
ROUNDS = 5

_random = random.Random(7)  # noqa: S311  the same requests in each run


class Load:
    """Requests of one caller at a constant rate, and what their responses say.

    Attributes:
        seconds: the response times.
        ages: the ages of the responses with 200.
        statuses: how many responses had which status.
    """

    def __init__(self, key: str, rate: int, paths: list[str], connections: int) -> None:
        self._headers = f"X-API-Key: {key}\r\n"
        self._interval = connections / rate
        self._paths = paths
        self._connections = connections
        self.seconds: list[float] = []
        self.ages: list[int] = []
        self.statuses: dict[int, int] = {}

    async def run(self, seconds: float) -> None:
        """Send requests for `seconds`."""
        ends_at = time.monotonic() + seconds
        await asyncio.gather(*(self._connection(ends_at) for _ in range(self._connections)))

    async def _connection(self, ends_at: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        await asyncio.sleep(_random.random() * self._interval)
        while (started := time.monotonic()) < ends_at:
            path = _random.choice(self._paths)
            if path.endswith(("=", "/")):
                path += str(_random.randrange(10**6))
            writer.write(request_bytes(path, self._headers))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(content_length(head))
            self.seconds.append(time.monotonic() - started)
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
    with start_server(*proxy_command(upstream, options, PORT, **settings)):
        await asyncio.gather(polite(polite_key).run(PHASE_SECONDS), noise.run(PHASE_SECONDS))
        for _ in range(PAIRS):
            await alone.run(PHASE_SECONDS)
            await asyncio.gather(disturbed.run(PHASE_SECONDS), noise.run(PHASE_SECONDS))
    if set(disturbed.statuses) != {200}:
        raise SystemExit(f"the polite caller got {disturbed.statuses}")
    statuses = sorted(noise.statuses.items())
    counts = ", ".join(f"{count} responses {status}" for status, count in statuses)
    before, after = (percentile_99(load.seconds) * 1000 for load in (alone, disturbed))
    print(
        f"greedy caller, {GREEDY_RATE} requests/s, rate {rate}: {counts}\n"
        f"  p99 of the polite caller: {before:.1f} ms without it, {after:.1f} ms beside it, "
        f"of {len(disturbed.seconds)} requests each\n"
        f"  oldest answer of the polite caller: {max(disturbed.ages)} s, with a TTL of {TTL} s"
    )


async def compare_costs(upstream: str, options: Options) -> None:
    """Print the CPU time of each kind of request, and the waits that follow from them.

    No response is replayed: a 429 is compared with a hit that the middleware answers.
    """
    free, limited = generate_key(), generate_key()
    entries = [key_entry("free", free), key_entry("limited", limited, rate="1/hour")]
    settings = {"CALLERS__API_KEYS": json.dumps(entries), "SERVER__REPLAY": "false"}
    with start_server(*proxy_command(upstream, options, PORT, **settings)) as proxy:
        await send_requests(PORT, [PAGE, "/v1/orders?q=x"], f"X-API-Key: {free}\r\n")
        rounds = [
            (
                await milliseconds(proxy, free, [PAGE] * BATCH),
                await milliseconds(proxy, limited, [PAGE] * BATCH),
                await milliseconds(proxy, free, [f"/v1/orders?q={n}-{k}" for k in range(SCANS)]),
            )
            for n in range(ROUNDS + 1)
        ][1:]
    hit, rejection, scan = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(rejection / hit for hit, rejection, _ in rounds)
    alone = modeled_percentile(hit, [])
    beside = modeled_percentile(hit, [(GREEDY_RATE - 1.0, rejection), (1.0, scan)])
    print(
        f"CPU time of a hit {hit:.2f} ms, of a 429 {rejection:.2f} ms (ratio {ratio:.2f}), "
        f"of a filter {scan:.2f} ms\n"
        f"  p99 that follows for {POLITE_RATE} hits per second: {alone:.2f} ms, beside "
        f"{GREEDY_RATE - 1} times 429 and one filter per second {beside:.2f} ms "
        f"(ratio {beside / alone:.2f})"
    )


async def milliseconds(proxy: ServerProcess, key: str, paths: list[str]) -> float:
    """Return the server's CPU time of one request."""
    before = cpu_seconds(proxy.pid)
    await send_requests(PORT, paths, f"X-API-Key: {key}\r\n")
    return (cpu_seconds(proxy.pid) - before) / len(paths) * 1000


def modeled_percentile(cost: float, others: list[tuple[float, float]]) -> float:
    """Return the 99th percentile of the response times of hits, in milliseconds.

    Requests arrive at random and are processed one after the other (Lindley's recursion).

    Args:
        cost: that of a hit, in milliseconds.
        others: the rate per second and the cost of each kind of requests beside them.
    """
    arrivals = []
    for rate, each, counted in [
        (float(POLITE_RATE), cost, True),
        *((*one, False) for one in others),
    ]:
        at = 0.0
        while at < MODELED_SECONDS * 1000:
            at += _random.expovariate(rate / 1000)
            arrivals.append((at, each, counted))
    free_at, times = 0.0, []
    for at, each, counted in sorted(arrivals):
        free_at = max(free_at, at) + each
        if counted:
            times.append(free_at - at)
    return percentile_99(times)


def percentile_99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


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
