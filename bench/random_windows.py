"""How many upstream calls random windows cost."""

import random

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench.load import send_requests
from bench.servers import HEADERS, proxy_command, start_server

PORT = 8705


async def count_calls_of_random_windows() -> None:
    """Count the upstream calls of 2,000 random windows on 10,000 orders."""
    options = Options(orders=10_000, max_calls_per_second=0)
    rng = random.Random(7)  # noqa: S311  the same windows in each run
    paths = []
    for _ in range(2000):
        limit = rng.randint(1, 50)
        paths.append(f"/v1/orders?page={rng.randint(1, -(-10_000 // limit))}&limit={limit}")
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        with start_server(*proxy_command(upstream.base_url, options, PORT)):
            succeeded = await send_requests(PORT, paths, HEADERS)
        calls = upstream.sandbox.calls["/api/v3/get-orders"]
    print(
        f"2,000 random windows on 10,000 orders: {succeeded:,} got 200, {calls} list calls "
        "(at most 201)"
    )
