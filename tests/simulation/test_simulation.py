"""Tens of thousands of worlds in which every rule holds, and bugs on purpose, each found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import PLANTED
from tests.simulation.plan import SMALL, draw
from tests.simulation.world import run

ROOT = Path(__file__).parents[2]
WORLDS, SMALL_WORLDS = 6_000, 16_000


def simulate(*options: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which nobody measures: that would double its time."""
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *options],
        cwd=ROOT,
        env=environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_rule_holds_in_tens_of_thousands_of_worlds_whatever_comes_first():
    told = simulate("--worlds", str(WORLDS), "--small", str(SMALL_WORLDS))
    assert told.returncode == 0, told.stdout[-10_000:] + told.stderr
    assert told.stdout.startswith(f"{WORLDS + SMALL_WORLDS:,} worlds")


@pytest.fixture(scope="module")
def found() -> list[str]:
    """What became of each bug on purpose."""
    told = simulate("--planted")
    assert not told.stderr
    return told.stdout.splitlines()


@pytest.mark.parametrize("what", [planted.what for planted in PLANTED])
def test_a_planted_bug_is_found(found: list[str], what: str):
    assert any(line.startswith(f"{what}: found in ") for line in found), found


@pytest.mark.parametrize("seed", [20, 21, 22, SMALL + 3])
def test_a_seed_replays_exactly(seed: int):
    first, again = (run(draw(seed), trace=True) for _ in range(2))
    assert first.trace == again.trace
    assert first.steps == again.steps
    told = simulate("--seed", str(seed), "--verbose", hash_seed="7")
    assert list(first.trace) == told.stdout.splitlines()[1:-1]


@pytest.mark.parametrize("what", ["nobody joins", "a leaver ends the flight"])
def test_a_planted_bug_is_found_in_a_small_world_too(what: str):
    planted = next(one for one in PLANTED if one.what == what)
    worlds = (run(draw(SMALL + at), planted.parts) for at in range(100))
    assert any({one.rule for one in world.violations} & planted.rules for world in worlds)


def test_a_broken_rule_is_told_with_what_led_to_it():
    planted = next(one for one in PLANTED if one.what == "errors forget")
    worlds = (run(draw(seed), planted.parts, trace=True) for seed in range(1000))
    told = next(world for world in worlds if world.violations)
    at = next(at for at, line in enumerate(told.trace) if "VIOLATION" in line)
    assert told.violations[0].rule in told.trace[at]
    assert any("failed" in line for line in told.trace[:at])
