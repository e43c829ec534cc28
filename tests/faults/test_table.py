"""Every fault of the table, tried on real sockets in this process, on a clock that is wound."""

import asyncio
from pathlib import Path

import pytest

from tests.edge.asgi_harness import logging_to
from tests.faults.report import STABLE, broken_promises, cells, stable_cells
from tests.faults.run import in_this_process
from tests.faults.scenario import Seen
from tests.faults.table import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest) -> dict[str, Seen]:
    """What became of the faults that are asked for, all tried at once: most of it is waiting."""
    chosen = set(map(_row_of, request.session.items))
    with logging_to() as log:
        return asyncio.run(in_this_process(log, [name for name in ROWS if name in chosen]))


def _row_of(item: pytest.Item) -> str:
    call = getattr(item, "callspec", None)
    return str(call.params["name"]) if call and item.path == Path(__file__) else ""


@pytest.mark.parametrize("name", ROWS)
def test_a_fault_is_met_as_the_table_promises(seen: dict[str, Seen], name: str):
    assert broken_promises(name, seen[name]) == []


@pytest.mark.parametrize("name", ROWS)
def test_a_fault_stands_in_the_docs_as_it_is_met(seen: dict[str, Seen], name: str):
    written = stable_cells(PAGE.read_text("utf-8"))
    met = cells(name, seen[name])
    assert written[name] == {column: met[column] for column in STABLE}


def test_the_docs_have_every_fault_and_no_other():
    assert list(stable_cells(PAGE.read_text("utf-8"))) == list(ROWS)
