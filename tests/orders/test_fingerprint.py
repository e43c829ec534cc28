"""The upstream's row, as it was sent, and a fingerprint that is the same everywhere and always."""

import hashlib
import json
from typing import Any

import pytest

from app.orders.fingerprint import FIELDS, compact_json, fingerprint
from app.upstream.wire import JsonNumber
from tests.support.upstream import wire_order


def test_a_row_is_given_back_as_it_was_sent_digit_for_digit():
    sent = {
        "b": JsonNumber("1.50E+3"),
        "a": [JsonNumber("007"), None, True],
        "企": {"q": 'x"\n'},
        "e": [],
    }
    assert (
        compact_json(sent).decode()
        == '{"b":1.50E+3,"a":[007,null,true],"企":{"q":"x\\"\\n"},"e":[]}'
    )
    assert compact_json("no object") == b'"no object"'


def test_the_fingerprint_is_that_of_its_canonical_form():
    sent = wire_order(7)
    canonical = json.dumps([sent[field] for field in FIELDS], ensure_ascii=False).replace(
        '", ', '",'
    )
    assert fingerprint(sent) == hashlib.sha256(canonical.encode()).hexdigest()[:16]
    assert fingerprint(sent) == "df88e110c3acf379"


@pytest.mark.parametrize(
    "same",
    [
        {"status": JsonNumber("3")},
        {"newField": "x"},
        {"goodsName": "企业版"},
    ],
)
def test_the_fingerprint_stays_where_nothing_that_we_know_changes(same: dict[str, Any]):
    sent = wire_order(7)
    assert fingerprint(dict(reversed({**sent, **same}.items()))) == fingerprint(sent)


def test_absent_and_null_are_the_same_and_nothing_is_a_row_too():
    assert fingerprint({"orderNo": None}) == fingerprint({}) == fingerprint("no object")


@pytest.mark.parametrize("field", FIELDS)
def test_the_fingerprint_changes_with_each_field_that_we_know(field: str):
    sent = wire_order(7)
    assert fingerprint({**sent, field: f"{sent[field]}0"}) != fingerprint(sent)
    assert fingerprint({**sent, field: True}) != fingerprint(sent)


def test_what_nests_deeper_than_can_be_written_costs_no_other_row():
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"a": deep}
    assert compact_json(deep) == b"null"
    assert compact_json({"a": {"b": [JsonNumber("1.0")]}}) == b'{"a":{"b":[1.0]}}'
