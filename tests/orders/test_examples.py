"""The examples in the OpenAPI document match its schemas."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.edge import me
from app.orders import examples
from app.orders.export import COLUMNS
from app.orders.schema import (
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
        (OrderPage, examples.PAGE),
        (SingleOrder, examples.ORDER),
        (SinglePayment, examples.PAYMENT),
        (Summary, examples.SUMMARY),
        (OrderChanges, examples.CHANGES),
        (me.MeResponse, me.EXAMPLE),
        (ListedOrder, json.loads(examples.NDJSON)),
    ],
)
def test_an_example_matches_its_schema_and_has_nothing_else(schema: Any, example: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(schema)
    assert adapter.validate_python(example, extra="forbid") == example


def test_the_csv_example_has_all_columns() -> None:
    head, line, _ = examples.CSV.split("\r\n")
    assert head == ",".join(COLUMNS)
    assert len(line.split(",")) == len(COLUMNS)
