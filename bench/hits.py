"""What a cache hit costs, compared pair by pair with nginx, Varnish and a plain FastAPI proxy.

A pair is two loads, one right after the other, so that both see the same machine. The ratio of a
pair is that of the requests per second of CPU time; a row has the median of the pairs and their
range.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import exchange
from bench.load_generator import Load, apply_load
from bench.rivals import start_nginx, start_varnish
from bench.servers import (
    HEADERS,
    KEY,
    ORIGIN,
    PAGE,
    ServerProcess,
    baseline_command,
    fetch_page,
    proxy_command,
    start_server,
)

PROXY, PARSING, NAIVE, NGINX, VARNISH, STALE, STALE_PARSING, BARE = range(8720, 8728)
"""Ports. `PARSING` is the proxy without the replay of responses."""

REQUEST = f"GET {PAGE} HTTP/1.1\r\nHost: localhost\r\n{HEADERS}\r\n"
WAIT_MILLISECONDS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A comparison: requests per CPU second of both, and the ratios of all pairs."""

    name: str
    rival: str
    target: float
    ours: Sequence[float]
    theirs: Sequence[float]
    ratios: Sequence[float]
    at_most: bool = False

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    def markdown(self) -> str:
        """Return the row of the table."""
        bound = "at most" if self.at_most else "at least"
        reached = self.ratio <= self.target if self.at_most else self.ratio >= self.target
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        unit = " ms" if self.at_most else ""
        numbers = " | ".join(
            f"{statistics.median(values):,.{2 if self.at_most else 0}f}{unit}"
            for values in (self.ours, self.theirs)
        )
        return (
            f"| {self.name} | {self.rival} | {numbers} | **{self.ratio:.2f}** | {spread} "
            f"| {bound} {self.target} | {'yes' if reached else '**no**'} |"
        )


def request(*lines: str) -> str:
    """Return a request for the page with further header lines."""
    return REQUEST[:-2] + "".join(f"{line}\r\n" for line in lines) + "\r\n"


@dataclass(frozen=True, slots=True)
class Side:
    """A server, and the request that it is measured with."""

    server: ServerProcess
    port: int
    request: str = REQUEST

    def load(self, **options: int) -> Load:
        """Apply load for a second, or as `options` of `apply_load` say."""
        return apply_load(self.server, self.port, [self.request], **options)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides that take turns."""

    name: str
    rival: str
    target: float
    ours: Side
    theirs: Side

    def run(self, rounds: int) -> Row:
        """Return the row of the comparison; the first round is a warm-up and is not counted."""
        ours, theirs = [], []
        for _ in range(rounds + 1):
            ours.append(self.ours.load().per_cpu_second)
            theirs.append(self.theirs.load().per_cpu_second)
        ratios = [own / other for own, other in zip(ours[1:], theirs[1:], strict=True)]
        return Row(self.name, self.rival, self.target, ours[1:], theirs[1:], ratios)


def compare_latency(ours: Side, theirs: Side, rival: str, rounds: int) -> Row:
    """Return the row of the 99th percentiles at half of the load that the slower one sustains."""
    rate = min(side.load().requests for side in (ours, theirs)) / 2
    connections = max(int(rate * WAIT_MILLISECONDS / 1000), 1)
    p99s: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, column in zip((ours, theirs), p99s, strict=True):
            load = side.load(seconds=2, connections=connections, wait=WAIT_MILLISECONDS)
            column.append(load.p99)
    ratios = [own / other for own, other in zip(*p99s, strict=True)]
    name = f"p99 at half load ({rate:,.0f} per second)"
    return Row(name, rival, 2.0, *p99s, ratios, at_most=True)


def run_all(runs: Sequence[tuple[str, Callable[[], Row]]], notes: list[str]) -> list[Row]:
    """Return the rows of those that succeed, and add a note for each other one."""
    rows = []
    for name, run in runs:
        try:
            row = run()
        except (Exception, SystemExit) as error:  # noqa: BLE001  the other rows follow
            notes.append(f"Not measured: {name}: {error!r}")
            print(notes[-1], flush=True)
        else:
            print(row.markdown(), flush=True)
            rows.append(row)
    return rows


async def measure_hits(rounds: int) -> tuple[list[Row], list[str]]:
    """Return the rows of all comparisons, and a note for each rival that is missing."""
    options = Options(max_calls_per_second=0)
    notes: list[str] = []
    with ExitStack() as stack:

        def start(port: int, **changes: str) -> Side:
            limits = {"CALLERS__RATE": "100000/second"}  # counted, and never reached
            command = proxy_command(upstream.base_url, options, port, **limits, **changes)
            return Side(stack.enter_context(start_server(*command)), port)

        async with SandboxServer(options, clock=SystemClock()) as upstream:
            proxy, parsing = start(PROXY), start(PARSING, SERVER__REPLAY="false")
            naive_command = baseline_command("naive", upstream.base_url, options, NAIVE)
            naive = Side(stack.enter_context(start_server(*naive_command)), NAIVE)
            short = {"CACHE__TTL": "1", "CACHE__STALE_WHILE_REVALIDATE": "1"}
            stale = start(STALE, **short)
            stale_parsing = start(STALE_PARSING, SERVER__REPLAY="false", **short)
            body, headers = await asyncio.to_thread(fetch_page, PROXY)
            file = stack.enter_context(tempfile.NamedTemporaryFile())
            file.write(body)
            file.flush()
            bare_server = start_server(["bench.baselines", "bare", file.name, str(BARE)], BARE)
            bare = Side(stack.enter_context(bare_server), BARE)
            nginx = stack.enter_context(start_nginx(NGINX, PARSING, [KEY]))
            varnish = stack.enter_context(start_varnish(VARNISH, PARSING, KEY))
            ports = {PROXY, PARSING, NAIVE, STALE, STALE_PARSING}
            ports |= {NGINX} if nginx else set()
            ports |= {VARNISH} if varnish else set()
            for port in ports:
                await exchange(port, [REQUEST.encode()] * 5)
        # From here on the upstream is down.
        etag = dict(headers)["etag"]
        changes = {
            "page of 50, key checked, rate counted, logged": "",
            "another `traceparent` each time": "traceparent: 00-TRACE-00f067aa0ba902b7-01",
            "with `Origin`, CORS headers": f"Origin: {ORIGIN}",
            "304": f"If-None-Match: {etag}",
        }
        sides = [
            (name, replace(proxy, request=request(*([line] if line else []))))
            for name, line in changes.items()
        ]
        comparisons = []
        if nginx:
            rival = Side(nginx, NGINX)
            for (name, side), target in zip(sides, (1.2, 1.1, 1.2, 1.2), strict=True):
                theirs = replace(rival, request=side.request)
                comparisons.append(Comparison(name, "nginx", target, side, theirs))
        else:
            notes.append("nginx is not installed, so nothing is compared with it.")
        if varnish:
            theirs = Side(varnish, VARNISH)
            comparisons.append(Comparison(sides[0][0], "Varnish", 1.3, proxy, theirs))
        else:
            notes.append("Varnish is not installed, so nothing is compared with it.")
        comparisons += [
            Comparison(sides[0][0], "bare ASGI app on uvicorn", 1.0, proxy, bare),
            Comparison("without replay", "plain FastAPI proxy", 2.5, parsing, naive),
            Comparison("stale, upstream down", "fresh", 0.9, stale, proxy),
            Comparison(
                "stale, without replay", "fresh, without replay", 0.9, stale_parsing, parsing
            ),
        ]
        runs = [(each.name, partial(each.run, rounds)) for each in comparisons]
        if nginx:
            theirs = Side(nginx, NGINX)
            runs.append(("p99", partial(compare_latency, proxy, theirs, "nginx", rounds)))
        rows = await asyncio.to_thread(run_all, runs, notes)
    return rows, notes


if __name__ == "__main__":
    asyncio.run(measure_hits(2))
