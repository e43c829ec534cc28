"""The upstream's row as compact JSON, and its fingerprint."""

import hashlib
import json
from typing import Any

import msgspec
import pytest

from app.orders.fingerprint import compact_json, fingerprint
from app.upstream.wire import ORDER_FIELDS, JsonNumber, WireOrder, order_fields
from tests.support.upstream import wire_order


def test_a_row_is_serialised_as_it_was_wire_digit_for_digit():
    wire = {
        "b": JsonNumber("1.50E+3"),
        "a": [JsonNumber("007"), None, True],
        "企": {"q": 'x"\n'},
        "e": [],
    }
    assert (
        compact_json(wire).decode()
        == '{"b":1.50E+3,"a":[007,null,true],"企":{"q":"x\\"\\n"},"e":[]}'
    )
    assert compact_json("no object") == b'"no object"'


def rev(wire: object) -> str:
    return fingerprint(order_fields(wire))


def test_the_fingerprint_is_a_hash_of_the_canonical_form():
    wire = wire_order(7)
    canonical = json.dumps([wire[field] for field in ORDER_FIELDS], ensure_ascii=False).replace(
        '", ', '",'
    )
    assert rev(wire) == hashlib.sha256(canonical.encode()).hexdigest()[:16]
    assert rev(wire) == "df88e110c3acf379"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": JsonNumber("3")},
        {"newField": "x"},
        {"goodsName": "企业版"},
    ],
)
def test_the_fingerprint_ignores_notation_order_and_unknown_fields(changes: dict[str, Any]):
    wire = wire_order(7)
    assert rev(dict(reversed({**wire, **changes}.items()))) == rev(wire)


@pytest.mark.parametrize("changes", [{}, {"goodsName": None}, {"goodsNameEn": '<\u2028"\n'}])
def test_a_row_as_documented_has_the_same_json_and_fingerprint_as_any_object(
    changes: dict[str, Any],
):
    wire = wire_order(7) | changes
    documented = msgspec.convert(wire, WireOrder)
    assert rev(documented) == rev(wire)
    assert json.loads(compact_json(documented)) == json.loads(compact_json(wire))
    del wire["quantity"]
    without = msgspec.convert(wire, WireOrder)
    assert rev(without) == rev(wire) != rev(documented)
    assert json.loads(compact_json(without)) == wire


def test_an_absent_field_equals_null_and_a_row_that_is_no_object_has_no_fields():
    assert rev({"orderNo": None}) == rev({}) == rev("no object")


@pytest.mark.parametrize("field", ORDER_FIELDS)
def test_the_fingerprint_changes_with_each_known_field(field: str):
    wire = wire_order(7)
    assert rev({**wire, field: f"{wire[field]}0"}) != rev(wire)
    assert rev({**wire, field: True}) != rev(wire)


def test_a_value_that_is_nested_too_deeply_becomes_null():
    deep: dict[str, Any] = {}
    for _ in range(500_000):  # Python 3.14 limits the bytes of the stack, not the levels
        deep = {"a": deep}
    assert compact_json(deep) == b"null"
    assert compact_json({"a": {"b": [JsonNumber("1.0")]}}) == b'{"a":{"b":[1.0]}}'
