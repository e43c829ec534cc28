"""wrk, or this package's own load generator where wrk is not installed.

The servers are compared by their CPU time, so the load generator only has to keep them busy. wrk is
written in C and does that with less of the machine.
"""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from bench.load import exchange, process_cpu_seconds
from bench.servers import ServerProcess, pinned

CONNECTIONS = 32

_WRK = shutil.which("wrk")
_TRACES = 10_000
"""Different trace ids. The requests are made before the load, because wrk has to be faster than
the server."""

_SCRIPT = r"""
local requests, at, wait = {}, 0, %(wait)s
for _, request in ipairs(%(requests)s) do
  for _ = 1, request:find("TRACE") and %(traces)s or 1 do
    local trace = string.format("%%016x%%016x", math.random(0, 2^31), #requests)
    requests[#requests + 1] = request:gsub("TRACE", trace)
  end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
if wait > 0 then function delay() return math.random(wait / 2, wait * 1.5) end end
"""

NAME = "wrk" if _WRK else "bench.load (wrk is not installed)"


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured while a server was busy.

    Attributes:
        requests: the responses.
        seconds: the CPU time of the server.
        p99: the 99th percentile of the latency in milliseconds; 0 without wrk.
    """

    requests: int
    seconds: float
    p99: float

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of CPU time."""
        return self.requests / max(self.seconds, 0.001)


def apply_load(
    server: ServerProcess,
    port: int,
    requests: Sequence[str],
    *,
    seconds: int = 1,
    connections: int = CONNECTIONS,
    wait: int = 0,
) -> Load:
    """Send `requests` in turn to the server for so many seconds.

    Args:
        server: the process whose CPU time is measured, with its children.
        port: where it listens.
        requests: whole requests; each with `TRACE` is sent with `_TRACES` trace ids in turn.
        seconds: for how long.
        connections: at once.
        wait: milliseconds between two requests of a connection, on average.

    Raises:
        SystemExit: a response had a status of 400 or more.
    """
    before = process_cpu_seconds(server.pid)
    if _WRK:
        sent, p99 = _run_wrk(port, requests, seconds, connections, wait)
    else:
        heads = [request.replace("TRACE", "0" * 32).encode() for request in requests]
        batch = islice(cycle(heads), max(seconds * 3000, len(heads)))
        statuses = asyncio.run(exchange(port, batch, connections=connections))
        sent, p99 = statuses.total(), 0.0
        if any(status >= 400 for status in statuses):
            raise SystemExit(f"statuses: {dict(statuses)}")
    return Load(sent, process_cpu_seconds(server.pid) - before, p99)


def _run_wrk(
    port: int, requests: Sequence[str], seconds: int, connections: int, wait: int
) -> tuple[int, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as script:
        heads = "{" + ",".join(json.dumps(request) for request in requests) + "}"
        script.write(_SCRIPT % {"requests": heads, "traces": _TRACES, "wait": wait})
        script.flush()
        command = [
            str(_WRK), "--threads", "1", "--connections", str(connections), "--latency",
            "--duration", f"{seconds}s", "--timeout", "10s", "--script", script.name,
            f"http://127.0.0.1:{port}/",
        ]  # fmt: skip
        done = subprocess.run(pinned(command, core=1), capture_output=True, text=True, check=True)
    output = done.stdout
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: .*", output)
    found = re.search(r"(\d+) requests in", output)
    if errors or not found:
        raise SystemExit(f"{Path(str(_WRK)).name}: {output}{done.stderr}")
    latency = re.search(r"99%\s+([0-9.]+)(us|ms|s)", output)
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    return int(found[1]), float(latency[1]) * scale[latency[2]] if latency else 0.0
