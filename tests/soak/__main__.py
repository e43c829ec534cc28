"""`make soak`: minutes of mixed load on two proxies, and what was wrong with it.

One proxy stands in the weather: faults and outages that come and go between it and its upstream.
The upstream of the other is away the whole time. Callers of every kind check each answer against
the sandbox's orders. Exit 1 where something was wrong. On a busy machine times are told and not
judged: they say more of it than of the proxy.
"""

import asyncio
import time
from argparse import ArgumentParser
from collections.abc import Awaitable, Sequence

from tests.soak.measure import most_within, slope
from tests.soak.rig import DEADLINE, MAX_RATE, TTL, Stand, stand

CALLERS = 16
WARM_UP = 0.25
"""The part of a run whose memory is not judged: what is held is still being gathered."""

RATE_SLACK = 2
"""Calls more than MAX_RATE that may arrive within a second, since the ways are not equally long."""

SHOWN = 10

LOOKS = 30
"""How often, a second apart, to look whether a task has ended: a leaked one never does."""


Held = tuple[int, list[str]]
"""How many sockets, and which tasks."""


async def soak(minutes: float, *, busy: bool) -> int:
    """Run it; how many kinds of wrong there were, late ones only where the machine is not busy."""
    async with stand(1) as stormy, stand(2) as alone:
        stands = (stormy, alone)
        before = [(each.sockets(), await each.tasks()) for each in stands]
        over = asyncio.Event()
        seconds = minutes * 60
        started = time.monotonic()
        running: list[Awaitable[None]] = [
            stormy.weather.change(over, scale=min(1.0, minutes / 2)),
            alone.weather.outage(alone.wire.down, over, seconds),
            *(each.crowd.stay(CALLERS, over) for each in stands),
            *(each.measure(over) for each in stands),
        ]
        whole = asyncio.gather(*running)
        async with asyncio.timeout(None) as patience:
            await _sleep_unless(whole, seconds)
            # The outage of the second has ended; its recovery is looked at under load.
            await _sleep_unless(whole, TTL)
            over.set()
            patience.reschedule(asyncio.get_running_loop().time() + 120)
            await whole
        took = time.monotonic() - started
        # The longest that anything under way may take, and the idle connections after it.
        await asyncio.sleep(2 * DEADLINE)
        after = await _at_rest(stands, before)
        return _report(stands, before, after, took, busy=busy)


async def _at_rest(stands: Sequence[Stand], before: list[Held]) -> list[Held]:
    """What they hold once no task is left; what they hold after a while, if some are."""
    for _ in range(LOOKS):
        after = [(each.sockets(), await each.tasks()) for each in stands]
        if not _left(before, after):
            break
        await asyncio.sleep(1)
    return after


async def _sleep_unless(whole: "asyncio.Future[list[None]]", seconds: float) -> None:
    """Wait so long; what fails meanwhile is raised now."""
    done, _ = await asyncio.wait((whole,), timeout=seconds)
    if done:
        whole.result()


def _left(before: list[Held], after: list[Held]) -> list[str]:
    """The tasks that there are more of than before."""
    pairs = zip(before, after, strict=True)
    return [f"task left: {task}" for (_, was), (_, now) in pairs for task in now[len(was) :]]


def _report(
    stands: Sequence[Stand], before: list[Held], after: list[Held], took: float, *, busy: bool
) -> int:
    tallies = [each.crowd.tally for each in stands]
    rates = [most_within(each.wire.asked, 1.0) for each in stands]
    recoveries = [max(each.weather.recoveries, default=0.0) for each in stands]
    errors = [each.place.count_lines(b'"level":"error"') for each in stands]
    steady = [each.memory[int(len(each.memory) * WARM_UP) :] for each in stands]
    print(f"soak: {took / 60:.1f} minutes, {CALLERS} callers a proxy, ttl {TTL:g} s")
    _row("", ["in the weather", "upstream away"])
    _row(
        "faults, outages",
        [f"{each.weather.seen}, {len(each.weather.recoveries)}" for each in stands],
    )
    _row("answers", [str(sum(tally.answers.values())) for tally in tallies])
    _row("callers who hung up", [str(tally.hung_up) for tally in tallies])
    _row("wrong answers (0)", [str(len(tally.wrong)) for tally in tallies])
    _row("5xx for what was held (0)", [str(len(tally.refused)) for tally in tallies])
    _row("5xx for what was not", [str(sum(tally.unheld.values())) for tally in tallies])
    _row(f"later than {DEADLINE + 0.5:g} s (0)", [str(len(tally.late)) for tally in tallies])
    _row("longest wait, s", [f"{tally.longest:.2f}" for tally in tallies])
    _row(f"longest recovery, s ({TTL:g})", [f"{each:.1f}" for each in recoveries])
    _row(f"most calls in a second ({MAX_RATE})", [str(rate) for rate in rates])
    _row("errors logged (0)", [str(each) for each in errors])
    _row("memory at the end, MiB", [f"{each.memory[-1][1]:.1f}" for each in stands])
    _row("memory slope, MiB/hour", [f"{slope(each):+.1f}" for each in steady])
    _row("sockets before, after", [_change(*pair, 0) for pair in zip(before, after, strict=True)])
    _row("tasks before, after", [_change(*pair, 1) for pair in zip(before, after, strict=True)])
    told = [line for tally in tallies for line in (*tally.wrong, *tally.refused)]
    for line in told[:SHOWN]:
        print(f"  {line}")
    leaks = _left(before, after)
    for line in leaks[:SHOWN]:
        print(f"  {line}")
    late = (
        [late for tally in tallies for late in tally.late],
        [each for each in recoveries if each > TTL],
        [rate for rate in rates if rate > MAX_RATE + RATE_SLACK],
    )
    wrongs = (told, [each for each in errors if each], leaks)
    return sum(map(bool, wrongs if busy else wrongs + late))


def _row(name: str, values: Sequence[str]) -> None:
    print(f"{name:32}" + "".join(f"{value:>18}" for value in values))


def _change(was: Held, now: Held, which: int) -> str:
    counts = [held[0] if which == 0 else len(held[1]) for held in (was, now)]
    return f"{counts[0]}, {counts[1]}"


def main() -> int:
    """Run it for as many minutes as are asked for."""
    parser = ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--busy", action="store_true", help="judge no times: the machine is busy")
    given = parser.parse_args()
    return asyncio.run(soak(given.minutes, busy=given.busy))


if __name__ == "__main__":
    raise SystemExit(main())
