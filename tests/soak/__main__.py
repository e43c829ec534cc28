"""`make soak`: minutes of mixed load on two proxies, and whether all responses were correct.

The upstream of the first proxy has faults and outages that come and go; the upstream of the second
is unreachable the whole time. The callers check each response against the sandbox's orders. The
exit code is 1 if something was wrong. `--busy` prints times but does not check them, because on a
busy machine they depend on other processes.
"""

import asyncio
import time
from argparse import ArgumentParser
from collections.abc import Awaitable, Sequence

from tests.soak.measure import max_within, slope
from tests.soak.rig import DEADLINE, MAX_RATE, TTL, Resources, Rig, open_rig

CALLERS = 16
WARM_UP = 0.5
"""The part of a run whose memory readings are ignored, while the caches fill."""

MIN_SLOPE_SECONDS = 300
"""Shorter runs have no memory slope: their caches are still being filled."""

RATE_TOLERANCE = 2
"""Calls above MAX_RATE that may arrive within a second, because their latencies differ."""

MAX_PRINTED = 10

TASK_CHECKS = 30
"""How often, once a second, to check whether the tasks have ended. A leaked one never does."""


async def soak(minutes: float, *, busy: bool) -> int:
    """Run the test; return how many kinds of errors there were."""
    async with open_rig(1) as faulty, open_rig(2) as unreachable:
        rigs = (faulty, unreachable)
        before = [await rig.resources() for rig in rigs]
        stop = asyncio.Event()
        seconds = minutes * 60
        started = time.monotonic()
        work: list[Awaitable[None]] = [
            faulty.faults.run(stop, scale=min(1.0, minutes / 2)),
            unreachable.faults.run_outage(unreachable.tcp_proxy.stop, stop, seconds),
            *(rig.load.run(CALLERS, stop) for rig in rigs),
            *(rig.measure_memory(stop) for rig in rigs),
        ]
        running = asyncio.gather(*work)
        async with asyncio.timeout(None) as timeout:
            await _sleep_while(running, seconds)
            # The outage of the second proxy has ended; its recovery happens under load.
            await _sleep_while(running, TTL)
            stop.set()
            timeout.reschedule(asyncio.get_running_loop().time() + 120)
            await running
        elapsed = time.monotonic() - started
        # Longer than any request and than the timeout of idle connections.
        await asyncio.sleep(2 * DEADLINE)
        after = await _resources_at_rest(rigs, before)
        return _report(rigs, before, after, elapsed, busy=busy)


async def _sleep_while(running: "asyncio.Future[list[None]]", seconds: float) -> None:
    """Sleep for `seconds`; raise at once if `running` fails meanwhile."""
    done, _ = await asyncio.wait((running,), timeout=seconds)
    if done:
        running.result()


async def _resources_at_rest(rigs: Sequence[Rig], before: list[Resources]) -> list[Resources]:
    """Return the resources once there are no new tasks, or after `TASK_CHECKS` seconds."""
    for _ in range(TASK_CHECKS):
        after = [await rig.resources() for rig in rigs]
        if not _leaked_tasks(before, after):
            break
        await asyncio.sleep(1)
    return after


def _leaked_tasks(before: list[Resources], after: list[Resources]) -> list[str]:
    """Return as many tasks as there are more than before."""
    pairs = zip(before, after, strict=True)
    return [f"leaked task: {task}" for old, new in pairs for task in new.tasks[len(old.tasks) :]]


def _report(
    rigs: Sequence[Rig],
    before: list[Resources],
    after: list[Resources],
    elapsed: float,
    *,
    busy: bool,
) -> int:
    tallies = [rig.load.tally for rig in rigs]
    rates = [max_within(rig.tcp_proxy.request_times, 1.0) for rig in rigs]
    recoveries = [max(rig.faults.recoveries, default=0.0) for rig in rigs]
    logged_errors = [rig.proxy.count_log_lines(b'"level":"error"') for rig in rigs]
    steady = [rig.memory[int(len(rig.memory) * WARM_UP) :] for rig in rigs]
    resources = list(zip(before, after, strict=True))
    print(f"soak: {elapsed / 60:.1f} minutes, {CALLERS} callers per proxy, TTL {TTL:g} s")
    _print_row("upstream", ["faulty", "unreachable"])
    _print_row(
        "faults, outages",
        [f"{rig.faults.fault_count}, {len(rig.faults.recoveries)}" for rig in rigs],
    )
    _print_row("responses", [str(sum(tally.statuses.values())) for tally in tallies])
    _print_row("disconnected callers", [str(tally.disconnects) for tally in tallies])
    _print_row("wrong responses (0)", [str(len(tally.wrong)) for tally in tallies])
    _print_row("5xx, though cached (0)", [str(len(tally.cached_errors)) for tally in tallies])
    _print_row("5xx, not cached", [str(sum(tally.uncached_errors.values())) for tally in tallies])
    _print_row(f"later than {DEADLINE + 0.5:g} s (0)", [str(len(each.late)) for each in tallies])
    _print_row("slowest response, s", [f"{tally.longest:.2f}" for tally in tallies])
    _print_row(f"longest recovery, s ({TTL:g})", [f"{seconds:.1f}" for seconds in recoveries])
    _print_row(f"most calls in a second ({MAX_RATE})", [str(rate) for rate in rates])
    _print_row("errors logged (0)", [str(count) for count in logged_errors])
    _print_row("memory at the end, MiB", [f"{rig.memory[-1][1]:.1f}" for rig in rigs])
    has_slope = elapsed >= MIN_SLOPE_SECONDS
    slopes = [f"{slope(points):+.1f}" if has_slope else "too short" for points in steady]
    _print_row("memory slope, MiB/hour", slopes)
    _print_row("sockets before, after", [f"{old.sockets}, {new.sockets}" for old, new in resources])
    _print_row(
        "tasks before, after", [f"{len(old.tasks)}, {len(new.tasks)}" for old, new in resources]
    )
    errors = [error for tally in tallies for error in (*tally.wrong, *tally.cached_errors)]
    leaks = _leaked_tasks(before, after)
    for line in errors[:MAX_PRINTED] + leaks[:MAX_PRINTED]:
        print(f"  {line}")
    failures = (errors, [count for count in logged_errors if count], leaks)
    time_failures = (
        [seconds for tally in tallies for seconds in tally.late],
        [seconds for seconds in recoveries if seconds > TTL],
        [rate for rate in rates if rate > MAX_RATE + RATE_TOLERANCE],
    )
    return sum(map(bool, failures if busy else failures + time_failures))


def _print_row(name: str, values: Sequence[str]) -> None:
    print(f"{name:32}" + "".join(f"{value:>18}" for value in values))


def main() -> int:
    """Run the command; return its exit code."""
    parser = ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--busy", action="store_true", help="do not check times")
    arguments = parser.parse_args()
    return asyncio.run(soak(arguments.minutes, busy=arguments.busy))


if __name__ == "__main__":
    raise SystemExit(main())
