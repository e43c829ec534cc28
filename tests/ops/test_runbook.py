"""The runbook has a row for each problem code, and names nothing that does not exist."""

import re
from pathlib import Path

from app.edge.problem_types import PROBLEM_TYPES
from app.settings import Settings
from app.settings.errors import example_values

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/ops/README.md").read_text("utf-8")


def test_every_problem_code_has_one_row_and_no_row_is_of_another_code() -> None:
    table = RUNBOOK.partition("## Problem codes")[2]
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+) \| (.+) \|$", table, re.MULTILINE)
    codes = [code for code, _, _ in rows]
    assert sorted(codes) == sorted(PROBLEM_TYPES)


def test_every_variable_of_the_runbook_exists() -> None:
    named = set(re.findall(r"ORDERS_[A-Z]+(?:__?[A-Z]+)*(?![A-Z_…])", RUNBOOK)) - {
        "ORDERS_SECRETS_DIR"
    }
    assert named
    assert named <= set(example_values(Settings))


def test_every_target_of_make_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make ([a-z-]+)`", RUNBOOK):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
