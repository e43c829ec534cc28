"""One proxy under load for the whole of a soak: its process, its wire, its sandbox, its callers."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from tests.faults.environments import There, there
from tests.faults.tcp_proxy import Wire
from tests.soak.fault_schedule import Weather
from tests.soak.load import Crowd
from tests.soak.measure import open_sockets, resident_mib
from tests.soak.oracle import Oracle
from tests.soak.server import TOLD

DEADLINE, WAIT, TTL, MAX_RATE = 2.0, 0.5, 10.0, 50
ORDERS, LOOKED_AT = 2000, 1500


@dataclass
class Stand:
    """A proxy and all that is around it.

    Attributes:
        memory: MiB of the process, each with its moment in hours.
    """

    place: There
    pid: int
    wire: Wire
    crowd: Crowd
    weather: Weather
    tasks_file: Path
    memory: list[tuple[float, float]] = field(default_factory=list)

    async def measure(self, over: asyncio.Event) -> None:
        """Note the memory, each second, until it is over."""
        while not over.is_set():
            self.memory.append((time.monotonic() / 3600, resident_mib(self.pid)))
            await asyncio.sleep(1)

    def sockets(self) -> int:
        """Sockets that the proxy holds now."""
        return open_sockets(self.pid)

    async def tasks(self) -> list[str]:
        """The asyncio tasks of the proxy now, a line each."""
        self.tasks_file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        while not self.tasks_file.exists():  # noqa: ASYNC110  a file of another process
            await asyncio.sleep(0.01)
        return self.tasks_file.read_text("utf-8").splitlines()


@asynccontextmanager
async def stand(seed: int) -> AsyncIterator[Stand]:
    """One that is warmed up."""
    options = Options(orders=ORDERS, max_calls_per_second=0)
    with tempfile.TemporaryDirectory() as folder:
        tasks_file = Path(folder, "tasks")
        async with (
            SandboxServer(options, clock=SystemClock()) as upstream,
            Wire(int(upstream.base_url.rpartition(":")[2])) as wire,
            there(_environ(wire, options, tasks_file), ("tests.soak.server", "serve")) as running,
        ):
            place, process = running
            port = int(place.origin.rpartition(":")[2])
            oracle = Oracle(upstream.sandbox.orders)
            crowd = Crowd(port, oracle, deadline=DEADLINE, orders=LOOKED_AT, seed=seed)
            weather = Weather(port, wire, upstream, seed=seed)
            await crowd.warm_up()
            yield Stand(place, process.pid, wire, crowd, weather, tasks_file)


def _environ(wire: Wire, options: Options, tasks_file: Path) -> dict[str, str]:
    upstream = {
        "BASE_URL": f"http://127.0.0.1:{wire.port}",
        "ACCESS_KEY_ID": options.access_key_id,
        "ACCESS_KEY_SECRET": options.access_key_secret,
        "CONNECT_TIMEOUT": "1",
        "READ_TIMEOUT": "1.5",
        "DEADLINE": str(DEADLINE),
        "MAX_RATE": str(MAX_RATE),
    }
    cache = {
        "TTL": str(TTL),
        "STALE_WHILE_REVALIDATE": "10",
        "MAX_STALE_WAIT": str(WAIT),
        "NO_CACHE_MIN_AGE": "1",
    }
    return {
        **{f"ORDERS_UPSTREAM__{name}": value for name, value in upstream.items()},
        **{f"ORDERS_CACHE__{name}": value for name, value in cache.items()},
        "ORDERS_CALLERS__ANONYMOUS": "true",
        "ORDERS_CALLERS__RATE": "0",
        "ORDERS_CALLERS__DETAIL_RATE": "0",
        "ORDERS_CALLERS__SCAN_RATE": "0",
        "ORDERS_LOG__LEVEL": "warning",
        TOLD: str(tasks_file),
    }
