"""The examples in the OpenAPI document match its schemas."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.edge import me
from app.orders.export import COLUMNS
from app.orders.schema import (
    EXAMPLES,
    ListedOrder,
    OrderChanges,
    OrderPage,
    SingleOrder,
    SinglePayment,
    Summary,
)


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        (OrderPage, EXAMPLES["page"]),
        (SingleOrder, EXAMPLES["order"]),
        (SinglePayment, EXAMPLES["payment"]),
        (Summary, EXAMPLES["summary"]),
        (OrderChanges, EXAMPLES["changes"]),
        (me.MeResponse, me.EXAMPLE),
        (ListedOrder, json.loads(EXAMPLES["ndjson"])),
    ],
)
def test_an_example_matches_its_schema_and_has_nothing_else(schema: Any, example: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(schema)
    assert adapter.validate_python(example, extra="forbid") == example


def test_the_csv_example_has_all_columns() -> None:
    head, line, _ = EXAMPLES["csv"].split("\r\n")
    assert head == ",".join(COLUMNS)
    assert len(line.split(",")) == len(COLUMNS)
