"""What the document shows is what a caller may get."""

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
    ("kind", "example"),
    [
        (OrderPage, examples.PAGE),
        (SingleOrder, examples.ORDER),
        (SinglePayment, examples.PAYMENT),
        (Summary, examples.SUMMARY),
        (OrderChanges, examples.CHANGES),
        (me.MeAnswer, me.EXAMPLE),
        (ListedOrder, json.loads(examples.NDJSON)),
    ],
)
def test_an_example_keeps_the_contract_and_says_no_more(kind: Any, example: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    assert adapter.validate_python(example, extra="forbid") == example


def test_the_example_of_a_table_has_its_columns() -> None:
    head, line, _ = examples.CSV.split("\r\n")
    assert head == ",".join(COLUMNS)
    assert len(line.split(",")) == len(COLUMNS)
