"""How the cost of a hit grows with the number of cached windows, callers and connections."""

import asyncio
import hashlib
import json
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import exchange
from bench.load_generator import apply_load
from bench.rivals import start_nginx
from bench.servers import PAGE, ServerProcess, proxy_command, start_server

PROXY, NGINX = 8730, 8731
LIMIT = 10
WINDOWS = (1, 10, 100, 1000, 10_000)
CALLERS = (1, 10, 100, 1000)
CONNECTIONS = (1, 10, 100, 1000, 2000)
KEYS = tuple(f"obff_bench-{number:04d}-0123456789abcdef" for number in range(max(CALLERS)))


@dataclass(frozen=True, slots=True)
class Series:
    """What one request costs at each size.

    Attributes:
        name: what there is more and more of.
        sizes: how many.
        microseconds: CPU time per request by server, one for each size.
    """

    name: str
    sizes: Sequence[int]
    microseconds: dict[str, list[float]]

    def markdown(self) -> list[str]:
        """Return the rows of the table."""
        head = [f"| {self.name} |", *(f" {size:,} |" for size in self.sizes)]
        rows = ["".join(head), "|---|" + "---|" * len(self.sizes)]
        for server, values in self.microseconds.items():
            rows.append(f"| {server} |" + "".join(f" {value:.1f} |" for value in values))
        return rows


def request(path: str, key: str = KEYS[0]) -> str:
    """Return a request with that API key."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n\r\n"


async def measure_growth(rounds: int) -> list[Series]:
    """Return the three series."""
    options = Options(orders=max(WINDOWS) * LIMIT, max_calls_per_second=0)
    with ExitStack() as stack:
        keys_file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json"))
        entries = [
            {
                "name": f"caller-{number}",
                "sha256": hashlib.sha256(key.encode()).hexdigest(),
                "scopes": ["orders:read"],
            }
            for number, key in enumerate(KEYS)
        ]
        json.dump(entries, keys_file)
        keys_file.flush()
        async with SandboxServer(options, clock=SystemClock()) as upstream:
            command = proxy_command(
                upstream.base_url,
                options,
                PROXY,
                CALLERS__API_KEYS="[]",
                CALLERS__API_KEYS_FILE=keys_file.name,
                SERVER__MAX_CONNECTIONS="4000",
            )
            servers = {PROXY: stack.enter_context(start_server(*command))}
            nginx = stack.enter_context(start_nginx(NGINX, PROXY, KEYS))
            if nginx:
                servers[NGINX] = nginx
            windows = [
                request(f"/v1/orders?page={page}&limit={LIMIT}")
                for page in range(1, max(WINDOWS) + 1)
            ]
            page = [request(PAGE)]
            for port in servers:
                for requests in (windows, windows, page):  # fetched, then remembered
                    await exchange(port, [each.encode() for each in requests])
            callers = [request(PAGE, key) for key in KEYS]
            cases = [
                ("cached windows", WINDOWS, [(windows[:size], 32) for size in WINDOWS]),
                ("callers", CALLERS, [(callers[:size], 32) for size in CALLERS]),
                ("connections", CONNECTIONS, [(page, size) for size in CONNECTIONS]),
            ]
            return [
                Series(name, sizes, await asyncio.to_thread(_measure, servers, loads, rounds))
                for name, sizes, loads in cases
            ]


def _measure(
    servers: dict[int, ServerProcess], loads: Sequence[tuple[list[str], int]], rounds: int
) -> dict[str, list[float]]:
    names = {PROXY: "orders-bff", NGINX: "nginx"}
    microseconds: dict[str, list[float]] = {names[port]: [] for port in servers}
    for requests, connections in loads:
        costs: dict[int, list[float]] = {port: [] for port in servers}
        for _ in range(rounds + 1):
            for port, server in servers.items():
                load = apply_load(server, port, requests, connections=connections)
                costs[port].append(1e6 / load.per_cpu_second)
        for port, values in costs.items():
            microseconds[names[port]].append(statistics.median(values[1:]))
    return microseconds
