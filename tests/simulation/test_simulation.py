"""No rule is broken in thousands of worlds, and each mutant is found."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.batch import run_seed
from tests.simulation.draw import FIRST_SMALL_SEED, draw_plan
from tests.simulation.mutants import MUTANTS, Mutant, cache, orders, sync, upstream
from tests.simulation.sync.draw import FIRST_ANYWHERE_SEED, FIRST_DEFECT_SEED, FIRST_SYNC_SEED
from tests.simulation.world import run_world

pytestmark = pytest.mark.without_coverage

REPOSITORY = Path(__file__).parents[2]
WORLDS, SMALL_WORLDS = 1_500, 3_000


def run_command(*options: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    """Run the command in its own process."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *options],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def mutant_named(description: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.description == description)


def test_no_rule_is_broken_in_thousands_of_worlds():
    result = run_command("--worlds", str(WORLDS), "--small", str(SMALL_WORLDS))
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr
    assert result.stdout.startswith(f"{WORLDS + SMALL_WORLDS:,} worlds")


def test_no_rule_is_broken_while_a_list_is_followed_or_something_goes_wrong():
    kinds = {"sync": 80, "anywhere": 20, "defects": 30, "disturbed": 16}
    options = (text for kind, worlds in kinds.items() for text in (f"--{kind}", str(worlds)))
    result = run_command("--worlds", "0", *options)
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr
    assert result.stdout.startswith(f"{sum(kinds.values())} worlds")


@pytest.fixture(scope="module")
def search_results() -> list[str]:
    """One line for each mutant."""
    result = run_command("--mutants")
    assert not result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("description", [mutant.description for mutant in MUTANTS])
def test_a_mutant_is_found(search_results: list[str], description: str):
    found = f"{description}: found in "
    assert any(line.startswith(found) for line in search_results), search_results


@pytest.mark.parametrize(
    "description",
    ["each caller starts its own fetch", "a caller that disconnects cancels the fetch"],
)
def test_a_mutant_is_found_in_a_small_world_too(description: str):
    mutant = mutant_named(description)
    plans = (draw_plan(FIRST_SMALL_SEED + number) for number in range(100))
    results = (run_world(plan, mutant.components) for plan in plans)
    assert any(
        violation.rule in mutant.rules for result in results for violation in result.violations
    )


@pytest.mark.parametrize(
    "mutated",
    [
        member
        for module in (cache, orders, sync, upstream)
        for member in vars(module).values()
        if inspect.isclass(member) and member.__module__ == module.__name__
    ],
)
def test_a_mutant_overrides_only_what_its_base_class_defines(mutated: type):
    (base,) = mutated.__bases__
    overridden = {
        name
        for name, member in vars(mutated).items()
        if inspect.isfunction(member) or isinstance(member, staticmethod)
    }
    assert overridden
    assert overridden <= set(dir(base)), f"{base.__name__} lacks some of {overridden}"


@pytest.mark.parametrize(
    "seed",
    [
        20,
        21,
        22,
        FIRST_SMALL_SEED + 3,
        FIRST_SYNC_SEED + 1,
        FIRST_ANYWHERE_SEED + 1,
        FIRST_DEFECT_SEED + 20,
    ],
)
def test_a_seed_replays_exactly(seed: int):
    first, second = (run_seed(seed, trace=True) for _ in range(2))
    assert first.trace == second.trace
    assert first.steps == second.steps
    result = run_command("--seed", str(seed), "--verbose", hash_seed="7")
    assert list(first.trace) == result.stdout.splitlines()[1 : 1 + len(first.trace)]


def test_a_broken_rule_is_reported_after_the_events_that_led_to_it():
    mutant = mutant_named("a failed fetch removes the entry")
    plans = map(draw_plan, range(1000))
    results = (run_world(plan, mutant.components, trace=True) for plan in plans)
    result = next(result for result in results if result.violations)
    position = next(number for number, line in enumerate(result.trace) if "VIOLATION" in line)
    assert result.violations[0].rule.value in result.trace[position]
    assert any("failed" in line for line in result.trace[:position])
