"""`python -m bench.unchanged_list`: what reading an unchanged list again costs.

The proxy runs in this process and is called without a socket; the embedded upstream is another
process. The cost is the CPU time of this process per block of 50 orders.
"""

import asyncio
import statistics
import time

import uvloop

from app.main import create_app
from app.sandbox.options import Options
from app.settings import load
from bench.event_loop_stalls import TTL, OffsetClock, load_list, reload_list
from bench.servers import start_server

ORDERS = 20_000
ROUNDS = 5
PORT = 8718


async def measure_unchanged_list() -> None:
    """Load the list, and read it again `ROUNDS` times."""
    options = Options()
    sandbox = ["app", "sandbox", "--port", str(PORT), "--orders", str(ORDERS)]
    with start_server([*sandbox, "--max-calls-per-second", "0"], PORT):
        clock = OffsetClock()
        settings = load(
            {"ORDERS_CALLERS__ANONYMOUS": "true"},
            upstream={
                "base_url": f"http://127.0.0.1:{PORT}",
                "access_key_id": options.access_key_id,
                "access_key_secret": options.access_key_secret,
                "max_rate": 100_000,
                "deadline": 600,
            },
            cache={"ttl": TTL},
        )
        app = create_app(settings, clock=clock)
        started = time.process_time()
        await load_list(app)
        first = time.process_time() - started
        again = []
        for _ in range(ROUNDS):
            started = time.process_time()
            await reload_list(app, clock)
            again.append(time.process_time() - started)
    to_ms = 1000 / (ORDERS / 50)
    print(
        f"whole list of {ORDERS:,} orders, CPU time per block: first {first * to_ms:.2f} ms, again "
        f"with nothing changed {statistics.median(again) * to_ms:.2f} ms "
        f"({min(again) * to_ms:.2f} to {max(again) * to_ms:.2f})"
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure_unchanged_list())
