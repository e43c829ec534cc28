"""Run many simulated worlds, or replay one of them."""

import argparse
import gc
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import reduce

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


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--worlds", type=int, default=10_000, help="number of worlds")
    parser.add_argument("--small", type=int, default=0, help="number of small worlds besides")
    parser.add_argument("--sync", type=int, default=0, help="number of lists that are followed")
    parser.add_argument("--anywhere", type=int, default=0, help="likewise, with inserts anywhere")
    parser.add_argument("--defects", type=int, default=0, help="number of lists that are wrong")
    parser.add_argument("--disturbed", type=int, default=0, help="number of disturbed worlds")
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
    chunks = [
        *_chunks(args.first, args.worlds),
        *_chunks(FIRST_SMALL_SEED + args.first, args.small),
        *_chunks(FIRST_SYNC_SEED + args.first, args.sync),
        *_chunks(FIRST_ANYWHERE_SEED + args.first, args.anywhere),
        *_chunks(FIRST_DEFECT_SEED + args.first, args.defects),
        *_chunks(FIRST_DISTURBED_SEED + args.first, args.disturbed),
    ]
    with _pool(args.processes) as pool:
        totals = reduce(Totals.__add__, pool.map(simulate, chunks), Totals())
    print(
        f"{totals.worlds:,} worlds ({args.small:,} small, {totals.with_client:,} with the upstream"
        f" client): {totals.callers:,} callers, {totals.fetches:,} fetches,"
        f" {totals.steps:,} steps in {totals.cpu_seconds:.1f} s of CPU time"
    )
    if totals.figures.changes:
        print(f"lists that are followed: {totals.figures}")
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
