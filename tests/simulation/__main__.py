"""Run many worlds, or one of them to read: `python -m tests.simulation --help`."""

import argparse
import gc
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import reduce

from tests.simulation.batch import Tally, hunt, silence_logs, simulate
from tests.simulation.mutants import PLANTED
from tests.simulation.plan import SMALL, draw
from tests.simulation.world import Told, run

AT_ONCE = 500


def replay(seed: int, *, verbose: bool) -> Told:
    """Run one world again, and print what happened in it: if asked for, or if it broke a rule."""
    silence_logs()
    told = run(draw(seed), trace=True)
    if verbose or told.violations:
        print(told.plan, *told.trace, sep="\n")
    for violation in told.violations:
        print(f"seed {seed}: {violation}")
    return told


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--worlds", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--small", type=int, default=0, help="so many small ones beside them (0)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="one a core")
    parser.add_argument("--seed", type=int, help="only this one, replayed exactly")
    parser.add_argument("--planted", action="store_true", help="look for the bugs on purpose")
    parser.add_argument("--verbose", action="store_true", help="tell all that happens in it")
    given = parser.parse_args()
    if given.seed is not None:
        told = replay(given.seed, verbose=given.verbose)
        print(f"seed {given.seed}: {'BROKEN' if told.violations else 'every rule held'}")
        return 1 if told.violations else 0
    if given.planted:
        with _pool(given.processes) as pool:
            found = list(pool.map(hunt, range(len(PLANTED))))
        print(*found, sep="\n")
        return int(any("NOT FOUND" in one for one in found))
    chunks = [*_chunks(given.first, given.worlds), *_chunks(SMALL + given.first, given.small)]
    with _pool(given.processes) as pool:
        total = reduce(Tally.__add__, pool.map(simulate, chunks), Tally())
    print(
        f"{total.worlds:,} worlds ({given.small:,} small, {total.whole:,} with the whole way to the"
        f" upstream), each with an order of events of its own: {total.callers:,} callers,"
        f" {total.fetches:,} fetches, {total.steps:,} steps in {total.cpu:.1f} s of CPU"
    )
    if total.failed is None:
        print("every rule held")
        return 0
    replay(total.failed, verbose=True)
    print(f"BROKEN: replay it by `make simulate SEED={total.failed}`")
    return 1


def _chunks(first: int, worlds: int) -> list[range]:
    last = first + worlds
    return [range(at, min(at + AT_ONCE, last)) for at in range(first, last, AT_ONCE)]


def _pool(processes: int) -> ProcessPoolExecutor:
    """Processes that do not search for garbage in what was imported, over and over."""
    return ProcessPoolExecutor(processes, initializer=gc.freeze)


if __name__ == "__main__":
    sys.exit(main())
