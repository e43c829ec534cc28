"""What each process of the pool runs.

It is a module of its own because a worker that was not forked imports its function by name, and
multiprocessing cannot import `tests.simulation.__main__`. Python 3.14 no longer forks by default.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from tests.simulation.mutants import PLANTED, WITHIN
from tests.simulation.plan import Seam, draw, seam_of
from tests.simulation.world import run


@dataclass(frozen=True, slots=True)
class Tally:
    """What some worlds amounted to; `failed` is the first seed that broke a rule."""

    worlds: int = 0
    whole: int = 0
    callers: int = 0
    fetches: int = 0
    steps: int = 0
    cpu: float = 0.0
    failed: int | None = None

    def __add__(self, other: "Tally") -> "Tally":
        failed = [seed for seed in (self.failed, other.failed) if seed is not None]
        return Tally(
            self.worlds + other.worlds,
            self.whole + other.whole,
            self.callers + other.callers,
            self.fetches + other.fetches,
            self.steps + other.steps,
            self.cpu + other.cpu,
            min(failed, default=None),
        )


def simulate(seeds: Iterable[int]) -> Tally:
    """Run the worlds of `seeds`, until one breaks a rule."""
    silence_logs()
    began = time.process_time()
    total = Tally()
    for seed in seeds:
        told = run(draw(seed))
        total += Tally(
            worlds=1,
            whole=told.plan.seam is Seam.TRANSPORT,
            callers=len(told.plan.callers),
            fetches=told.fetches,
            steps=told.steps,
            failed=seed if told.violations else None,
        )
        if told.violations:
            break
    return total + Tally(cpu=time.process_time() - began)


def hunt(which: int) -> str:
    """Look for one of the bugs on purpose; says in how many worlds it was found."""
    silence_logs()
    planted = PLANTED[which]
    tried = 0
    for seed in count(planted.near):
        if seam_of(seed) is planted.seam:
            tried += 1
            broken = {one.rule for one in run(draw(seed), planted.parts).violations}
            if broken & planted.rules:
                return f"{planted.what}: found in {tried} worlds, by seed {seed}"
        if tried == WITHIN:
            break
    return f"{planted.what}: NOT FOUND in {tried} worlds"


def silence_logs() -> None:
    """Turn off the logs of the simulated proxies."""
    logging.getLogger("orders_bff").setLevel(logging.CRITICAL + 1)
