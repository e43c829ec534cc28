"""Run many simulated worlds, or replay one of them."""

import argparse
import gc
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from operator import add
from typing import NamedTuple

from tests.simulation.batch import Totals, find_mutant, run_seed, silence_logs, simulate
from tests.simulation.disturbed.plan import FIRST_DISTURBED_SEED
from tests.simulation.draw import FIRST_SMALL_SEED
from tests.simulation.mutants import MUTANTS
from tests.simulation.sync.draw import (
    FIRST_ANYWHERE_SEED,
    FIRST_DEFECT_SEED,
    FIRST_SYNC_SEED,
)

CHUNK_SIZE = 100


class Kind(NamedTuple):
    """A kind of worlds, with the first of its seeds, and how many are run by default."""

    description: str
    first_seed: int
    default: int = 0


KINDS = {
    "worlds": Kind("worlds", 0, 10_000),
    "small": Kind("small worlds", FIRST_SMALL_SEED),
    "sync": Kind("lists that are followed, with inserts at one end", FIRST_SYNC_SEED),
    "anywhere": Kind("lists that are followed, with inserts anywhere", FIRST_ANYWHERE_SEED),
    "defects": Kind("lists that contradict themselves", FIRST_DEFECT_SEED),
    "disturbed": Kind("worlds in which one thing goes wrong", FIRST_DISTURBED_SEED),
}


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, kind in KINDS.items():
        parser.add_argument(f"--{name}", type=int, default=kind.default, help=kind.description)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="worker processes")
    parser.add_argument("--seed", type=int, help="replay the world of this seed")
    parser.add_argument("--verbose", action="store_true", help="with --seed: print every event")
    parser.add_argument("--mutants", action="store_true", help="search for each mutant's bug")
    args = parser.parse_args()
    if args.seed is not None:
        broken = replay(args.seed, verbose=args.verbose)
        print(f"seed {args.seed}: {'BROKEN' if broken else 'no rule was broken'}")
        return int(broken)
    if args.mutants:
        with _pool(args.processes) as pool:
            lines = list(pool.map(find_mutant, range(len(MUTANTS))))
        print(*lines, sep="\n")
        return int(any("NOT FOUND" in line for line in lines))
    with _pool(args.processes) as pool:
        results = {
            kind: pool.map(simulate, _chunks(kind.first_seed + args.first, getattr(args, name)))
            for name, kind in KINDS.items()
        }
        by_kind = {kind: reduce(add, results[kind], Totals()) for kind in results}
    totals = reduce(add, by_kind.values())
    print(
        f"{totals.worlds:,} worlds ({args.small:,} small, {totals.with_client:,} with the upstream"
        f" client): {totals.callers:,} callers, {totals.fetches:,} fetches,"
        f" {totals.steps:,} steps in {totals.cpu_seconds:.1f} s of CPU time"
    )
    for kind, of_kind in by_kind.items():
        if of_kind.figures.changes:
            print(f"{kind.description}: {of_kind.figures}")
    if totals.failed_seed is None:
        print("no rule was broken")
        return 0
    replay(totals.failed_seed, verbose=True)
    print(f"BROKEN: replay it with `make simulate SEED={totals.failed_seed}`")
    return 1


def replay(seed: int, *, verbose: bool) -> bool:
    """Run the world of a seed again, and return whether a rule was broken.

    Its events are printed if `verbose`, or if a rule was broken.
    """
    silence_logs()
    result = run_seed(seed, trace=True)
    if verbose or result.violations:
        print(result.plan, *result.trace, sep="\n")
    for violation in result.violations:
        print(f"seed {seed}: {violation}")
    return bool(result.violations)


def _chunks(first: int, worlds: int) -> list[range]:
    end = first + worlds
    return [range(start, min(start + CHUNK_SIZE, end)) for start in range(first, end, CHUNK_SIZE)]


def _pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool whose garbage collections skip the imported modules."""
    return ProcessPoolExecutor(processes, initializer=gc.freeze)


if __name__ == "__main__":
    sys.exit(main())
