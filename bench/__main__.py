"""`make bench`: what the proxy costs, compared with others in the same run.

Prints the results and writes the tables and the plot of docs/performance.md. The cost is the CPU
time of the server process, because wall time on a shared machine depends on other processes.
Loopback only; about ten minutes.
"""

import argparse
import asyncio
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import uvloop

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from bench import load_generator
from bench.cache_stampede import measure_cold_page, measure_waiter_wakeups
from bench.cold_pages import measure_cold_pages
from bench.growth import Series, measure_growth
from bench.hits import measure_hits
from bench.load import resident_mib, send_requests
from bench.plot import draw_panels
from bench.random_windows import count_calls_of_random_windows
from bench.servers import HEADERS, PAGE, baseline_command, proxy_command, start_server

DOCUMENT = Path("docs/performance.md")
PLOT = Path("docs/pictures/cost-of-a-hit.svg")
OPEN_FILES = 8192

HEAD = """\
| what | compared with | orders-bff | the other | ratio | range of the pairs | target | reached |
|---|---|---|---|---|---|---|---|
"""


def describe_machine() -> str:
    """Return the machine, the versions and the date."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    programs = [f"{platform.python_implementation()} {platform.python_version()}"]
    programs += [f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools")]
    for name, flag in (("nginx", "-v"), ("varnishd", "-V")):
        if path := shutil.which(name) or shutil.which(name, path="/usr/sbin"):
            done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
            found = re.search(r"(?:nginx/|varnish-)([0-9.]+)", done.stderr + done.stdout)
            programs.append(f"{name} {found[1] if found else ''}")
        else:
            programs.append(f"{name} is not installed")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {model[1] if model else platform.machine()}, "
        f"{os.cpu_count()} cores, load average {load}; {', '.join(programs)}; "
        f"load generator: {load_generator.NAME}."
    )


async def measure_start_and_memory(rounds: int) -> str:
    """Return how long the start takes and how much memory it needs, beside a FastAPI proxy."""
    options = Options(max_calls_per_second=0)
    seconds: tuple[list[float], list[float]] = ([], [])
    mebibytes: tuple[list[float], list[float]] = ([], [])
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        commands = (
            proxy_command(upstream.base_url, options, 8706),
            baseline_command("naive", upstream.base_url, options, 8707),
        )
        for _ in range(rounds):
            for command, times, sizes in zip(commands, seconds, mebibytes, strict=True):
                started = time.monotonic()
                with start_server(*command) as server:
                    await send_requests(command[1], [PAGE], HEADERS, connections=1)
                    times.append(time.monotonic() - started)
                    sizes.append(resident_mib(server.pid))
    lines = []
    for name, unit, (ours, theirs), target in (
        ("start to first answer", "s", seconds, 1.5),
        ("memory when ready", "MiB", mebibytes, 1.3),
    ):
        ratios = sorted(own / other for own, other in zip(ours, theirs, strict=True))
        ratio = statistics.median(ratios)
        lines.append(
            f"| {name} | plain FastAPI proxy | {statistics.median(ours):.2f} {unit} "
            f"| {statistics.median(theirs):.2f} {unit} | **{ratio:.2f}** "
            f"| {ratios[0]:.2f} to {ratios[-1]:.2f} | at most {target} "
            f"| {'yes' if ratio <= target else '**no**'} |"
        )
    return "\n".join(lines)


def write_growth(machine: str, tables: str, series: Sequence[Series]) -> None:
    """Write the tables and the plot of the growth."""
    write_section("growth", f"{machine}\n\n{tables}\n\n![]({PLOT.relative_to('docs')})")
    PLOT.write_text(draw_panels(series), "utf-8")


def write_section(name: str, text: str) -> None:
    """Replace the section `name` of the document, which comments enclose."""
    document = DOCUMENT.read_text("utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = document.partition(start)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{start}\n{text}\n\n{end}{after}", "utf-8")


async def bench(rounds: int) -> None:
    """Run all benchmarks."""
    machine = describe_machine()
    print(machine)
    print(HEAD, end="")
    rows, notes = await measure_hits(rounds)
    start = await measure_start_and_memory(rounds)
    print(start)
    table = HEAD + "\n".join([row.markdown() for row in rows] + [start])
    write_section("hits", "\n\n".join([machine, table, *notes]))
    series = await measure_growth(max(rounds // 2, 1))
    tables = "\n\n".join("\n".join(each.markdown()) for each in series)
    print(tables)
    write_growth(machine, tables, series)
    await measure_cold_pages()
    await measure_cold_page()
    await measure_waiter_wakeups()
    await count_calls_of_random_windows()


def main() -> None:
    """Run all benchmarks with `--rounds` pairs for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of each comparison")
    arguments = parser.parse_args()
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench(arguments.rounds))


if __name__ == "__main__":
    main()
