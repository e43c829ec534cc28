"""Runs many worlds, in one process of a pool.

It is a module of its own because a worker that was not forked imports its function by name, and
multiprocessing cannot import `tests.simulation.__main__`. Python 3.14 no longer forks by default.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from tests.simulation.components import ORIGINALS, Components
from tests.simulation.disturbed.plan import FIRST_DISTURBED_SEED, draw_disturbed_plan
from tests.simulation.disturbed.world import run_disturbed_world
from tests.simulation.draw import draw_plan, seam_of
from tests.simulation.mutants import MAX_LONG_WORLDS, MAX_WORLDS, MUTANTS
from tests.simulation.plan import Seam
from tests.simulation.sync.draw import FIRST_SYNC_SEED, draw_sync_plan
from tests.simulation.sync.figures import Figures
from tests.simulation.sync.world import SyncResult, run_sync_world
from tests.simulation.world import Result, run_world


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over worlds.

    Attributes:
        with_client: worlds that include the upstream client.
        failed_seed: the first seed that broke a rule.
        figures: of the worlds in which the list is followed.
    """

    worlds: int = 0
    with_client: int = 0
    callers: int = 0
    fetches: int = 0
    steps: int = 0
    cpu_seconds: float = 0.0
    failed_seed: int | None = None
    figures: Figures = field(default_factory=Figures)

    def __add__(self, other: "Totals") -> "Totals":
        failed_seeds = [seed for seed in (self.failed_seed, other.failed_seed) if seed is not None]
        return Totals(
            self.worlds + other.worlds,
            self.with_client + other.with_client,
            self.callers + other.callers,
            self.fetches + other.fetches,
            self.steps + other.steps,
            self.cpu_seconds + other.cpu_seconds,
            min(failed_seeds, default=None),
            self.figures + other.figures,
        )


def run_seed(seed: int, components: Components = ORIGINALS, *, trace: bool = False) -> Result:
    """Run the world of a seed, of whichever kind."""
    if seed >= FIRST_DISTURBED_SEED:
        return run_disturbed_world(draw_disturbed_plan(seed), components, trace=trace)
    if seed >= FIRST_SYNC_SEED:
        return run_sync_world(draw_sync_plan(seed), components, trace=trace)
    return run_world(draw_plan(seed), components, trace=trace)


def simulate(seeds: Iterable[int]) -> Totals:
    """Run the worlds of `seeds` until one breaks a rule."""
    silence_logs()
    started_at = time.process_time()
    totals = Totals()
    for seed in seeds:
        result = run_seed(seed)
        totals += Totals(
            worlds=1,
            with_client=result.plan.seam is Seam.TRANSPORT,
            callers=len(result.plan.callers),
            fetches=result.fetches,
            steps=result.steps,
            failed_seed=seed if result.violations else None,
            figures=result.figures if isinstance(result, SyncResult) else Figures(),
        )
        if result.violations:
            break
    return totals + Totals(cpu_seconds=time.process_time() - started_at)


def find_mutant(number: int) -> str:
    """Run worlds with a mutant until its rule is broken; return a line about it."""
    silence_logs()
    mutant = MUTANTS[number]
    worlds = 0
    is_long = mutant.first_seed >= FIRST_SYNC_SEED
    for seed in count(mutant.first_seed):
        if is_long or seam_of(seed) is mutant.seam:
            worlds += 1
            violations = run_seed(seed, mutant.components).violations
            if any(violation.rule in mutant.rules for violation in violations):
                return f"{mutant.description}: found in {worlds} worlds, with seed {seed}"
        if worlds == (MAX_LONG_WORLDS if is_long else MAX_WORLDS):
            break
    return f"{mutant.description}: NOT FOUND in {worlds} worlds"


def silence_logs() -> None:
    """Turn off the log of the simulated proxies."""
    logging.getLogger("orders_bff").setLevel(logging.CRITICAL + 1)
