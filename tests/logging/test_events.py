"""Every event has one name, and a page documents it with its level."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from app.edge import audit
from app.logging.setup import LOGGER

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "ops" / "log-events.md"
LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    # Methods that log the event they are given.
    "_retry_in": "error",
    "_report": "warning",
    "_log": "info",
}
COMPUTED = {"event", "REFUSALS[status]", "context.audit_event"}
"""Expressions that are events in place of a literal: those of the methods above, and audit's."""


def logging_calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield the level and the syntax tree of each call that logs an event of ours."""
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name, target = node.func.attr, ast.unparse(node.func.value)
                if name in LEVELS and (target == "_logger" or name.startswith("_")):
                    yield LEVELS[name], node


def logged_events() -> set[tuple[str, str]]:
    """Return the name and the level of each event in the code."""
    events = {("request", "info")}
    for level, call in logging_calls():
        literals = [ast.literal_eval(one) for one in call.args if isinstance(one, ast.Constant)]
        names = [one for one in literals if isinstance(one, str)]
        assert names or ast.unparse(call.args[0]) in COMPUTED, ast.unparse(call)
        events |= {(name, level) for name in names}
    constants = [value for name, value in vars(audit).items() if name.isupper()]
    audited = {*(one for one in constants if isinstance(one, str)), *audit.REFUSALS.values()}
    return events | {(name, "info") for name in audited}


def test_the_page_has_every_event_with_its_level_and_no_other():
    rows = re.findall(r"\| `(\w+)` \| (\w+) \|", PAGE.read_text("utf-8"))
    names = [name for name, _ in rows]
    assert sorted(names) == sorted(set(names))
    assert set(rows) == logged_events()


def test_every_logger_is_one_of_the_project():
    for path in (ROOT / "app").rglob("*.py"):
        if path.parent.name != "logging":
            for name in re.findall(
                r"^_logger = logging\.getLogger\((.*)\)", path.read_text("utf-8")
            ):
                assert name.startswith(f'"{LOGGER}.'), path
