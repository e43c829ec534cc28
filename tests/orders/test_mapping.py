"""Mapping: every value that can be parsed is served, and one that cannot never costs the row."""

import gc
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.orders.mapping import (
    MAX_OBJECT_BYTES,
    MAX_RAW_CHARS,
    MAX_SHARED_BYTES,
    MAX_TEXT_CHARS,
    UnparsedField,
    map_order,
    map_payment,
    mask_account,
    row_drift,
)
from app.orders.timestamps import parse_timestamp_ns
from app.orders.upstream_time import parse_time
from app.upstream.drift import DriftKind
from app.upstream.wire import JsonNumber

SHANGHAI = ZoneInfo("Asia/Shanghai")
MAX_BODY_BYTES = 14_000

WIRE = {
    "orderNo": "202209251234224",
    "goodsName": "企业版",
    "goodsNameEn": "Enterprise",
    "goodsUnitPrice": "199.00",
    "quantity": "2",
    "actualAmount": "398.00",
    "status": "2",
    "orderType": "New",
    "createTime": "2022-09-25 12:34:22",
    "source": "SelfHelp",
}


def mapped(**changes: Any) -> tuple[dict[str, Any], tuple[UnparsedField, ...]]:
    row = map_order({**WIRE, **changes}, SHANGHAI)
    return json.loads(row.body), row.unparsed


def test_an_order_is_mapped_to_our_names_and_values():
    order, unparsed = mapped()
    assert order == {
        "order_no": "202209251234224",
        "package_name": {"en": "Enterprise", "zh": "企业版"},
        "unit_price": "199.00",
        "quantity": 2,
        "actual_amount": "398.00",
        "status": "paid",
        "type": "new",
        "source": "self_service",
        "created_at": "2022-09-25T04:34:22Z",
    }
    assert unparsed == ()
    assert list(order)[:2] == ["order_no", "package_name"]


@pytest.mark.parametrize(
    ("wire", "value"),
    [("1", "unpaid"), ("2", "paid"), ("3", "completed"), ("4", "cancelled"), ("5", "expired")],
)
def test_each_status_is_mapped_from_a_text_or_a_number(wire: str, value: str):
    assert mapped(status=wire)[0]["status"] == value
    for number in (wire, f"{wire}.0", f"0.{wire}e1"):
        assert mapped(status=JsonNumber(number)) == (mapped(status=wire)[0], ())


def test_numbers_may_have_a_fraction_of_zeros_or_an_exponent():
    order, unparsed = mapped(
        goodsUnitPrice=JsonNumber("1e2"),
        quantity=JsonNumber("2.0"),
        actualAmount=JsonNumber("2.50E1"),
    )
    assert (order["unit_price"], order["quantity"], order["actual_amount"]) == ("100", 2, "25.0")
    assert unparsed == ()
    assert mapped(quantity="-3")[0]["quantity"] == -3


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("New", "new"),
        ("Upgrade", "upgrade"),
        ("Renew", "renewal"),
        ("Overdue_Correct", "overdue_correction"),
        ("Overflowed_Correct", "overflow_correction"),
        ("NEW", "new"),
    ],
)
def test_each_type_is_mapped_in_any_case(wire: str, value: str):
    assert mapped(orderType=wire)[0]["type"] == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("Licence", "license"),
        ("License", "license"),
        ("Offline", "offline"),
        ("Eadmin", "admin"),
        ("SelfHelp", "self_service"),
        ("Cdkey", "redemption_code"),
    ],
)
def test_each_source_is_mapped(wire: str, value: str):
    assert mapped(source=wire)[0]["source"] == value


@pytest.mark.parametrize("key", ["status", "orderType", "source"])
def test_a_new_enum_value_is_unknown_with_a_warning(key: str):
    field = {"status": "status", "orderType": "type", "source": "source"}[key]
    for wire, raw in (("Barter", "Barter"), ({"a": 1}, '{"a": 1}')):
        order, unparsed = mapped(**{key: wire})
        assert order[field] == "unknown"
        assert unparsed == (UnparsedField(field, raw),)
    assert mapped(**{key: None})[0][field] == "unknown"
    assert mapped(**{key: None})[1] == ()


@pytest.mark.parametrize(
    ("key", "field", "wire"),
    [
        ("goodsUnitPrice", "unit_price", "12,50"),
        ("goodsUnitPrice", "unit_price", "1e3"),
        ("goodsUnitPrice", "unit_price", JsonNumber("1e99")),
        ("goodsUnitPrice", "unit_price", "1" * 65),
        ("actualAmount", "actual_amount", ""),
        ("quantity", "quantity", "two"),
        ("quantity", "quantity", "1" * 19),
        ("quantity", "quantity", "٣"),
        ("quantity", "quantity", True),
        ("createTime", "created_at", "yesterday"),
        ("createTime", "created_at", "2022-13-40 00:00:00"),
        ("createTime", "created_at", ["2022"]),
    ],
)
def test_a_value_that_cannot_be_parsed_is_omitted_with_a_warning(key: str, field: str, wire: Any):
    order, unparsed = mapped(**{key: wire})
    assert field not in order
    assert [one.field for one in unparsed] == [field]


@pytest.mark.parametrize("key", ["goodsName", "goodsNameEn"])
def test_a_package_may_have_a_name_in_one_language_only(key: str):
    order, unparsed = mapped(**{key: None})
    assert len(order["package_name"]) == 1
    assert unparsed == ()


def test_a_null_or_absent_value_is_omitted_without_a_warning():
    row = map_order({"orderNo": "1", "quantity": None}, SHANGHAI)
    unknown = {"status": "unknown", "type": "unknown", "source": "unknown"}
    assert json.loads(row.body) == {"order_no": "1"} | unknown
    assert row.unparsed == ()
    assert not row.has_amount


@pytest.mark.without_coverage
@given(st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", fullmatch=True))
def test_decimals_stay_exact(text: str):
    assert mapped(goodsUnitPrice=text)[0]["unit_price"] == text
    assert mapped(goodsUnitPrice=JsonNumber(text))[0]["unit_price"] == text


def test_an_order_number_that_cannot_be_requested_is_unreadable():
    assert mapped(orderNo="9" * 64)[0]["order_no"] == "9" * 64

    order, (unparsed,) = mapped(orderNo="9" * 65)
    assert order["order_no"] == ""
    assert (unparsed.field, unparsed.raw) == ("order_no", "9" * 65)


@pytest.mark.parametrize("wire", [None, "", ["1"], {"no": 1}])
def test_a_row_without_an_order_number_has_a_warning(wire: Any):
    order, unparsed = mapped(orderNo=wire)
    assert order["order_no"] == ""
    assert [one.field for one in unparsed] == ["order_no"]


@pytest.mark.parametrize("wire", [None, "nonsense", [1, 2], JsonNumber("7")])
def test_a_row_that_is_no_object_is_a_row_without_an_order_number(wire: Any):
    row = map_order(wire, SHANGHAI)
    assert row.order_no == ""
    assert row.unparsed[0].field == "order_no"


def test_a_warning_shows_the_start_of_the_value():
    assert mapped(quantity="x" * 500)[1][0].raw == "x" * 100


@pytest.mark.parametrize("key", ["goodsName", "goodsNameEn"])
def test_a_package_name_of_more_than_a_thousand_characters_is_omitted_with_a_warning(key: str):
    field = {"goodsName": "package_name/zh", "goodsNameEn": "package_name/en"}[key]
    longest = "\U0001f600" * MAX_TEXT_CHARS
    order, unparsed = mapped(**{key: longest})
    assert order["package_name"][field[-2:]] == longest
    assert unparsed == ()
    order, unparsed = mapped(**{key: longest + "x"})
    assert field[-2:] not in order["package_name"]
    assert unparsed == (UnparsedField(field, longest[:100]),)


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("channelOrderNo", "channel_order_no"),
        ("payStatus", "status_code"),
        ("payType", "method"),
        ("paidAccountNo", "paid_account"),
    ],
)
def test_a_text_of_a_payment_has_at_most_a_thousand_characters(key: str, field: str):
    for length, known in ((MAX_TEXT_CHARS, True), (MAX_TEXT_CHARS + 1, False)):
        row = map_payment({"orderNo": "1", key: "x" * length}, SHANGHAI)
        assert (field in json.loads(row.body)) is known
        assert [one.field for one in row.unparsed] == ([] if known else [field])


def test_an_upstream_object_over_the_limit_is_null():
    fields = {"orderNo": "1", "more": "x" * (MAX_OBJECT_BYTES - len('{"orderNo":"1","more":""}'))}
    assert len(map_order(fields, SHANGHAI).raw) == MAX_OBJECT_BYTES
    row = map_order({**fields, "most": "x"}, SHANGHAI)
    assert (row.raw, row.order_no) == (b"null", "1")


def test_the_json_of_an_order_has_at_most_14_kilobytes():
    """Each character of a name takes up to six bytes: it is escaped."""
    largest = {key: ["\U0001f600" * 200] for key in WIRE} | {
        "orderNo": "1" * 64,
        "goodsName": "\u0001" * MAX_TEXT_CHARS,
        "goodsNameEn": "\u0001" * MAX_TEXT_CHARS,
        "goodsUnitPrice": "1" * 64,
        "actualAmount": "1" * 64,
        "createTime": "2022-09-25T12:34:22.123456789+14:00",
    }
    row = map_order(largest, SHANGHAI)
    assert 2 * 6 * MAX_TEXT_CHARS < len(row.body) <= MAX_BODY_BYTES
    assert sum(len(one.raw or "") for one in row.unparsed) <= 10 * MAX_RAW_CHARS


def test_only_parts_of_small_orders_are_shared_between_rows():
    small, large = "企业版" * 30, "企业版" * 60
    for name, is_shared in ((small, True), (large, False)):
        wire = {**WIRE, "goodsName": name, "goodsNameEn": None}
        first, second = map_order(wire, SHANGHAI), map_order(wire, SHANGHAI)
        assert (first.search_names is second.search_names) is is_shared


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "2.0"),
        ("goodsUnitPrice", "1e2"),
        ("quantity", "1e2"),
        ("actualAmount", "1e2"),
    ],
)
def test_a_number_is_not_mapped_like_an_equal_text(key: str, value: str):
    text, number = map_order({key: value}, SHANGHAI), map_order({key: JsonNumber(value)}, SHANGHAI)
    assert len(text.unparsed) == 2
    assert len(number.unparsed) == 1


VALUES = st.sampled_from(["2", "2.0", "1e2", "x", ""])


@given(
    st.dictionaries(
        st.sampled_from(list(WIRE)),
        VALUES | VALUES.map(JsonNumber) | st.none() | st.booleans() | st.just([]),
    )
)
def test_an_order_whose_parts_are_shared_is_mapped_like_any_other(wire: dict[str, Any]):
    small = map_order(wire, SHANGHAI)
    large = map_order({**wire, "more": "x" * MAX_SHARED_BYTES}, SHANGHAI)
    assert replace(large, raw=small.raw) == small


@given(st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=5), st.data())
def test_no_value_costs_the_row(value: Any, data: st.DataObject):
    key = data.draw(st.sampled_from(list(WIRE)))
    order, _ = mapped(**{key: value})
    assert {"order_no", "status", "type", "source"} <= set(order)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ("2022-09-25 12:34:22", "2022-09-25T04:34:22Z"),
        ("2022-09-25T12:34:22", "2022-09-25T04:34:22Z"),
        ("2022-09-25T12:34:22Z", "2022-09-25T12:34:22Z"),
        ("2022-09-25T12:34:22.5Z", "2022-09-25T12:34:22.5Z"),
        ("2022-09-25 12:34:22.123456789", "2022-09-25T04:34:22.123456789Z"),
        ("2022-09-25T12:34:22+02:00", "2022-09-25T10:34:22Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00Z"),
        ("0001-01-01 00:00:00", None),
        ("1663000000000", None),
    ],
)
def test_times_are_converted_to_utc_and_keep_their_fraction(wire: str, expected: str | None):
    parsed = parse_time(wire, SHANGHAI)
    assert (parsed and parsed[0]) == expected
    assert (parsed and parsed[1]) == (expected and parse_timestamp_ns(expected))


def test_a_payment_is_mapped_with_its_account_masked():
    wire = {
        "orderNo": "2022080911591337da0aae9660",
        "channelOrderNo": "Mock22e7",
        "paidAmount": "7.9",
        "paidTime": "2022-08-09 11:59:46",
        "paidAccountNo": "62bec1591aeb41ad3f1a6503",
        "payStatus": "3",
        "createTime": "2022-08-09 11:59:20",
        "payType": "Alipay",
    }
    row = map_payment(wire, SHANGHAI)
    assert json.loads(row.body) == {
        "order_no": "2022080911591337da0aae9660",
        "channel_order_no": "Mock22e7",
        "paid_amount": "7.9",
        "paid_at": "2022-08-09T03:59:46Z",
        "paid_account": "********************6503",
        "status_code": "3",
        "method": "Alipay",
        "created_at": "2022-08-09T03:59:20Z",
    }
    assert row.has_amount


def test_the_warning_about_an_account_does_not_show_it():
    row = map_payment({"orderNo": "1", "paidAccountNo": ["4111"]}, SHANGHAI)
    assert row.unparsed == (UnparsedField("paid_account", None),)
    assert "paid_account" not in json.loads(row.body)


@pytest.mark.parametrize(
    ("account", "masked"), [("", ""), ("1234", "****"), ("12345", "*2345"), ("x", "*")]
)
def test_at_most_the_last_four_characters_of_an_account_are_visible(account: str, masked: str):
    assert mask_account(account) == masked


def test_drift_has_the_field_and_not_the_value():
    rows = [
        map_order({"orderNo": "1", "status": "9", "quantity": "many"}, SHANGHAI),
        map_order({"orderNo": "2", "status": "8", "source": "Gift"}, SHANGHAI),
        map_order({"orderNo": "3"}, SHANGHAI),
    ]
    assert row_drift("order", rows) == {
        DriftKind("unknown value", "order", "status"),
        DriftKind("unknown value", "order", "source"),
        DriftKind("unparsed value", "order", "quantity"),
    }


@pytest.mark.parametrize("wire", [{"orderNo": "1", "goodsName": "企业版"}, {"status": "odd"}, None])
def test_the_garbage_collector_does_not_track_a_row(wire: Any):
    assert not gc.is_tracked(map_order(wire, SHANGHAI))
