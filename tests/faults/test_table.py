"""Every fault of the table, on real sockets in this process, with clocks that are advanced."""

import asyncio
from pathlib import Path

import pytest

from tests.edge.asgi_harness import logging_to
from tests.faults.report import STABLE_COLUMNS, cells, mismatches, stable_cells
from tests.faults.run import run_in_process
from tests.faults.scenario import Observations
from tests.faults.table import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.fixture(scope="module")
def observations(request: pytest.FixtureRequest) -> dict[str, Observations]:
    """Observations of the selected faults, which run concurrently: they mostly wait."""
    selected = set(map(_row_name, request.session.items))
    with logging_to() as log:
        return asyncio.run(run_in_process(log, [name for name in ROWS if name in selected]))


def _row_name(item: pytest.Item) -> str:
    call = getattr(item, "callspec", None)
    return str(call.params["name"]) if call and item.path == Path(__file__) else ""


@pytest.mark.parametrize("name", ROWS)
def test_callers_get_what_the_table_expects(observations: dict[str, Observations], name: str):
    assert mismatches(name, observations[name]) == []


@pytest.mark.parametrize("name", ROWS)
def test_the_docs_describe_what_callers_get(observations: dict[str, Observations], name: str):
    row = cells(name, observations[name])
    assert stable_cells(PAGE.read_text("utf-8"))[name] == {
        column: row[column] for column in STABLE_COLUMNS
    }


def test_the_docs_list_exactly_the_faults_of_the_table():
    assert list(stable_cells(PAGE.read_text("utf-8"))) == list(ROWS)
