"""One proxy in its own process, with everything that a soak test needs around it."""

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
from tests.faults.environments import OwnProcess, own_process
from tests.faults.tcp_proxy import TcpProxy
from tests.soak.fault_schedule import FaultSchedule
from tests.soak.load import LoadGenerator
from tests.soak.measure import open_sockets, resident_mib
from tests.soak.oracle import Oracle
from tests.soak.server import TASKS_FILE_VARIABLE

DEADLINE, MAX_STALE_WAIT, TTL, MAX_RATE = 2.0, 0.5, 10.0, 50
ORDERS, REQUESTED_ORDERS = 2000, 1500


@dataclass(frozen=True, slots=True)
class Resources:
    """What the process uses: the number of open sockets, and a line for each asyncio task."""

    sockets: int
    tasks: list[str]


@dataclass
class Rig:
    """A proxy, its TCP proxy to the sandbox, its load and its faults.

    Attributes:
        memory: (time in hours, resident memory in MiB), once a second.
    """

    proxy: OwnProcess
    pid: int
    tcp_proxy: TcpProxy
    load: LoadGenerator
    faults: FaultSchedule
    tasks_file: Path
    memory: list[tuple[float, float]] = field(default_factory=list)

    async def measure_memory(self, stop: asyncio.Event) -> None:
        """Append to `memory` each second until `stop` is set."""
        while not stop.is_set():
            self.memory.append((time.monotonic() / 3600, resident_mib(self.pid)))
            await asyncio.sleep(1)

    async def resources(self) -> Resources:
        """Return what the process uses now."""
        return Resources(open_sockets(self.pid), await self._tasks())

    async def _tasks(self) -> list[str]:
        self.tasks_file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        while not self.tasks_file.exists():  # noqa: ASYNC110  a file of another process
            await asyncio.sleep(0.01)
        return self.tasks_file.read_text("utf-8").splitlines()


@asynccontextmanager
async def open_rig(seed: int) -> AsyncIterator[Rig]:
    """Start a rig and fill the proxy's cache."""
    options = Options(orders=ORDERS, max_calls_per_second=0)
    with tempfile.TemporaryDirectory() as folder:
        tasks_file = Path(folder, "tasks")
        async with (
            SandboxServer(options, clock=SystemClock()) as upstream,
            TcpProxy(int(upstream.base_url.rpartition(":")[2])) as tcp_proxy,
            own_process(
                _environ(tcp_proxy, options, tasks_file), ("tests.soak.server", "serve")
            ) as (proxy, process),
        ):
            port = int(proxy.origin.rpartition(":")[2])
            oracle = Oracle(upstream.sandbox.orders)
            load = LoadGenerator(
                port, oracle, deadline=DEADLINE, orders=REQUESTED_ORDERS, seed=seed
            )
            faults = FaultSchedule(port, tcp_proxy, upstream, seed=seed)
            await load.warm_up()
            yield Rig(proxy, process.pid, tcp_proxy, load, faults, tasks_file)


def _environ(tcp_proxy: TcpProxy, options: Options, tasks_file: Path) -> dict[str, str]:
    upstream = {
        "BASE_URL": f"http://127.0.0.1:{tcp_proxy.port}",
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
        "MAX_STALE_WAIT": str(MAX_STALE_WAIT),
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
        TASKS_FILE_VARIABLE: str(tasks_file),
    }
