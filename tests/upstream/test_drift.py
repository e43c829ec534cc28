"""Each kind of drift is logged once, with field name and type but without a value."""

import logging

import pytest

from app.upstream.drift import (
    MAX_KINDS,
    MAX_NEW_FIELDS,
    OTHER,
    Drift,
    DriftKind,
    find_drift,
    new_fields,
)
from app.upstream.wire import ORDER_FIELDS, JsonNumber
from tests.support.upstream import wire_order

SHORT = DriftKind("fewer rows than expected", "list")
FIELD = DriftKind("new field", "order", "discount", "number")


def test_the_known_schema_is_no_drift():
    assert not find_drift("order", wire_order(1), ORDER_FIELDS)
    assert not find_drift("order", wire_order(1) | {"quantity": JsonNumber("1")}, ORDER_FIELDS)
    assert not find_drift("order", wire_order(1) | {"goodsName": None}, ORDER_FIELDS)
    assert not find_drift("order", {}, ORDER_FIELDS)


def test_new_fields_and_changed_types_are_found_with_name_and_type():
    sent = wire_order(1) | {"discount": JsonNumber("7"), "quantity": True, "tags": ["secret"]}
    assert find_drift("order", sent, ORDER_FIELDS) == {
        FIELD,
        DriftKind("changed type", "order", "quantity", "boolean"),
        DriftKind("new field", "order", "tags", "list"),
    }
    assert find_drift("order", "a row", ORDER_FIELDS) == {
        DriftKind("changed type", "order", "", "text")
    }


@pytest.mark.parametrize(
    "name",
    ["13800138000", "a@example.com", "x" * 41, "é", "", "a b", "a\n", "order_20220925", "1st"],
)
def test_a_name_that_could_be_a_value_is_not_shown(name: str):
    assert {kind.name for kind in new_fields("order", {name: "x"}, ORDER_FIELDS)} == {"(not shown)"}


def test_each_kind_is_counted_once_per_response_and_logged_once(caplog: pytest.LogCaptureFixture):
    drift = Drift()
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        for kinds in ([SHORT], [SHORT, SHORT], [FIELD, SHORT], []):
            drift.report(kinds)
    assert [getattr(line, "fields", None) for line in caplog.records] == [
        {"what": "fewer rows than expected", "where": "list"},
        {"what": "new field", "where": "order", "name": "discount", "type": "number"},
    ]
    assert {line.levelno for line in caplog.records} == {logging.WARNING}
    assert drift.counts == ((SHORT, 3), (FIELD, 1))


def test_two_proxies_in_one_process_report_drift_independently():
    reported: list[DriftKind] = []
    for drift in (Drift(reported.append), Drift(reported.append)):
        drift.report([SHORT])
    assert reported == [SHORT, SHORT]


def test_the_number_of_kinds_is_limited():
    reported: list[DriftKind] = []
    drift = Drift(reported.append)
    for number in range(3):
        drift.report(DriftKind("new field", "order", f"f{number}_{at}") for at in range(MAX_KINDS))
    assert len(reported) == len(drift.counts) == MAX_KINDS + 1
    assert dict(drift.counts)[OTHER] == 2 * MAX_KINDS


def test_the_new_fields_of_one_object_are_named_up_to_a_limit():
    sent = dict.fromkeys((f"f{number}" for number in range(100_000)), "x")
    kinds = new_fields("order", sent, ORDER_FIELDS)
    assert len(kinds) == MAX_NEW_FIELDS + 1
    assert OTHER in kinds


def test_the_kinds_of_one_response_are_taken_up_to_a_limit():
    kinds = iter([DriftKind("new field", "order", f"f{number}") for number in range(1000)])
    drift = Drift(lambda _: None)
    drift.report(kinds)
    assert len(drift.counts) == MAX_KINDS + 1
    assert dict(drift.counts)[OTHER] == 1
    assert len(list(kinds)) == 1000 - MAX_KINDS - 1, "the others are not even looked at"


def test_a_kind_has_a_readable_description():
    assert str(SHORT) == "fewer rows than expected (list)"
    assert str(FIELD) == "new field (order): discount (number)"
