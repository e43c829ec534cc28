"""`make bench`: what the proxy costs, compared with others in the same run.

Prints the results and writes the tables and the plot of docs/performance.md. The cost is the CPU
time of the server process, because wall time on a shared machine depends on other processes.
Loopback only; less than ten minutes. What cannot be measured is reported, and the rest is.
"""

import argparse
import asyncio
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from subprocess import PIPE
from typing import Any

import uvloop

from bench import load_generator
from bench.cache_stampede import measure_cold_page, measure_waiter_wakeups
from bench.growth import Series, measure_growth
from bench.hits import measure_hits
from bench.plot import draw_panels
from bench.random_windows import count_calls_of_random_windows

DOCUMENT = Path("docs/performance.md")
PLOT = Path("docs/pictures/cost-of-a-hit.svg")
OPEN_FILES = 8192

MODULES = {
    "misses": ("cold_pages", "unchanged_list"),
    "start": ("start",),
    "stalls": ("event_loop_stalls",),
}
"""The sections that consist of what other benchmarks print."""

MODULE_TIMEOUT = 120
"""Seconds for each of them."""

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


def run_modules(section: str, names: Sequence[str]) -> None:
    """Run other benchmarks of this package, and write what they print to a section.

    Why one fails is printed only.
    """
    texts = []
    for name in names:
        with subprocess.Popen(
            [sys.executable, "-m", f"bench.{name}"], stdout=PIPE, stderr=PIPE, text=True
        ) as process:
            try:
                text, errors = process.communicate(timeout=MODULE_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)  # it stops its servers
                text, errors = process.communicate()
        text = text.strip()
        if process.returncode:
            text += f"\nbench.{name}: not measured"
            print(f"{errors[-1000:]}(a benchmark has {MODULE_TIMEOUT} s)")
        print(text, flush=True)
        texts.append(text)
    write_section(section, "```text\n" + "\n".join(texts) + "\n```")


def write_section(name: str, text: str) -> None:
    """Replace the section `name` of the document, which comments enclose."""
    document = DOCUMENT.read_text("utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = document.partition(start)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{start}\n{text}\n\n{end}{after}", "utf-8")


async def write_hits(rounds: int) -> None:
    """Measure hits, and write their table."""
    print(HEAD, end="", flush=True)
    rows, notes = await measure_hits(rounds)
    table = HEAD + "\n".join(row.markdown() for row in rows)
    write_section("hits", "\n\n".join([describe_machine(), table, *notes]))


async def write_growth(rounds: int) -> None:
    """Measure how the cost of a hit grows, and write it."""
    write_series(await measure_growth(rounds))


def write_series(series: Sequence[Series]) -> None:
    """Write the tables and the plot of the growth."""
    tables = "\n\n".join("\n".join(each.markdown()) for each in series)
    print(tables, flush=True)
    description = "The tables as a plot: microseconds for one hit of orders-bff and of nginx"
    picture = f"![{description}]({PLOT.relative_to('docs')})"
    write_section("growth", f"{describe_machine()}\n\n{tables}\n\n{picture}")
    PLOT.write_text(draw_panels(series), "utf-8")


async def bench(rounds: int) -> None:
    """Run all benchmarks. One that fails is reported, and the others are run."""
    print(describe_machine())
    await attempt("hits", write_hits(rounds))
    for section, names in MODULES.items():
        await asyncio.to_thread(run_modules, section, names)
    await attempt("growth", write_growth(max(rounds // 2, 1)))
    await attempt("stampede", measure_cold_page())
    await attempt("wake-ups", measure_waiter_wakeups())
    await attempt("random windows", count_calls_of_random_windows())


async def attempt(name: str, measurement: Coroutine[Any, Any, None]) -> None:
    """Await `measurement`, and print how long it took, and the reason if it fails."""
    started = time.monotonic()
    try:
        await measurement
    except (Exception, SystemExit) as error:  # noqa: BLE001  the other measurements follow
        print(f"{name}: not measured: {error!r}")
    print(f"({name}: {time.monotonic() - started:.0f} s)", flush=True)


def main() -> None:
    """Run all benchmarks with `--rounds` pairs for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each comparison")
    arguments = parser.parse_args()
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench(arguments.rounds))


if __name__ == "__main__":
    main()
