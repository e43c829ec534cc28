"""Wire to contract: nothing that can be read is lost, nothing unreadable costs a row."""

import gc
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.mapping import UnparsedField, map_order, map_payment, masked, row_drift, utc
from app.upstream.drift import DriftKind
from app.upstream.wire import JsonNumber

SHANGHAI = ZoneInfo("Asia/Shanghai")

SENT = {
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


def read(**changes: Any) -> tuple[dict[str, Any], tuple[UnparsedField, ...]]:
    row = map_order({**SENT, **changes}, SHANGHAI)
    return json.loads(row.body), row.unparsed


def test_an_order_is_told_in_our_words():
    order, unread = read()
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
    assert unread == ()
    assert list(order)[:2] == ["order_no", "package_name"]


@pytest.mark.parametrize(
    ("sent", "word"),
    [("1", "unpaid"), ("2", "paid"), ("3", "completed"), ("4", "cancelled"), ("5", "expired")],
)
def test_each_status_has_its_word_from_text_or_number(sent: str, word: str):
    assert read(status=sent)[0]["status"] == word
    assert read(status=JsonNumber(sent)) == (read(status=sent)[0], ())


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ("New", "new"),
        ("Upgrade", "upgrade"),
        ("Renew", "renewal"),
        ("Overdue_Correct", "overdue_correction"),
        ("Overflowed_Correct", "overflow_correction"),
        ("NEW", "new"),
    ],
)
def test_each_type_has_its_word_in_any_case(sent: str, word: str):
    assert read(orderType=sent)[0]["type"] == word


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ("Licence", "license"),
        ("License", "license"),
        ("Offline", "offline"),
        ("Eadmin", "admin"),
        ("SelfHelp", "self_service"),
        ("Cdkey", "redemption_code"),
    ],
)
def test_each_source_has_its_word(sent: str, word: str):
    assert read(source=sent)[0]["source"] == word


@pytest.mark.parametrize("key", ["status", "orderType", "source"])
def test_a_word_we_do_not_know_is_unknown_with_a_warning(key: str):
    field = {"status": "status", "orderType": "type", "source": "source"}[key]
    for sent, raw in (("Barter", "Barter"), ({"a": 1}, '{"a": 1}')):
        order, unread = read(**{key: sent})
        assert order[field] == "unknown"
        assert unread == (UnparsedField(field, raw),)
    assert read(**{key: None})[0][field] == "unknown"
    assert read(**{key: None})[1] == ()


@pytest.mark.parametrize(
    ("key", "field", "sent"),
    [
        ("goodsUnitPrice", "unit_price", "12,50"),
        ("goodsUnitPrice", "unit_price", JsonNumber("1e3")),
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
def test_a_value_that_cannot_be_read_is_left_out_and_named(key: str, field: str, sent: Any):
    order, unread = read(**{key: sent})
    assert field not in order
    assert [one.field for one in unread] == [field]


@pytest.mark.parametrize("key", ["goodsName", "goodsNameEn"])
def test_a_package_may_have_a_name_in_one_language(key: str):
    order, unread = read(**{key: None})
    assert len(order["package_name"]) == 1
    assert unread == ()


def test_what_is_null_or_absent_is_left_out_without_a_warning():
    row = map_order({"orderNo": "1", "quantity": None}, SHANGHAI)
    unknown = {"status": "unknown", "type": "unknown", "source": "unknown"}
    assert json.loads(row.body) == {"order_no": "1"} | unknown
    assert row.unparsed == ()
    assert not row.has_amount


@given(st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", fullmatch=True))
def test_decimal_text_stays_exact(text: str):
    assert read(goodsUnitPrice=text)[0]["unit_price"] == text
    assert read(goodsUnitPrice=JsonNumber(text))[0]["unit_price"] == text


@pytest.mark.parametrize("sent", [None, "", ["1"], {"no": 1}])
def test_a_row_without_a_readable_number_says_so(sent: Any):
    order, unread = read(orderNo=sent)
    assert order["order_no"] == ""
    assert [one.field for one in unread] == ["order_no"]


@pytest.mark.parametrize("sent", [None, "nonsense", [1, 2], JsonNumber("7")])
def test_a_row_that_is_no_object_is_a_row_without_a_number(sent: Any):
    row = map_order(sent, SHANGHAI)
    assert row.order_no == ""
    assert row.unparsed[0].field == "order_no"


def test_what_could_not_be_read_is_shown_cut():
    assert read(quantity="x" * 500)[1][0].raw == "x" * 100


@given(st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=5), st.data())
def test_no_value_at_all_costs_the_row(value: Any, data: st.DataObject):
    key = data.draw(st.sampled_from(list(SENT)))
    order, _ = read(**{key: value})
    assert {"order_no", "status", "type", "source"} <= set(order)


@pytest.mark.parametrize(
    ("sent", "told"),
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
def test_times_are_told_in_utc_with_the_fraction_they_have(sent: str, told: str | None):
    assert utc(sent, SHANGHAI) == told


def test_a_payment_is_told_in_our_words_with_its_account_masked():
    sent = {
        "orderNo": "2022080911591337da0aae9660",
        "channelOrderNo": "Mock22e7",
        "paidAmount": "7.9",
        "paidTime": "2022-08-09 11:59:46",
        "paidAccountNo": "62bec1591aeb41ad3f1a6503",
        "payStatus": "3",
        "createTime": "2022-08-09 11:59:20",
        "payType": "Alipay",
    }
    row = map_payment(sent, SHANGHAI)
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


def test_an_account_that_cannot_be_read_is_not_shown_in_its_warning():
    row = map_payment({"orderNo": "1", "paidAccountNo": ["4111"]}, SHANGHAI)
    assert row.unparsed == (UnparsedField("paid_account", None),)
    assert "paid_account" not in json.loads(row.body)


@pytest.mark.parametrize(
    ("account", "shown"), [("", ""), ("1234", "****"), ("12345", "*2345"), ("x", "*")]
)
def test_an_account_shows_its_last_four_at_most(account: str, shown: str):
    assert masked(account) == shown


def test_new_words_and_values_that_cannot_be_read_are_drift_by_field_and_without_the_value():
    rows = [
        map_order({"orderNo": "1", "status": "9", "quantity": "many"}, SHANGHAI),
        map_order({"orderNo": "2", "status": "8", "source": "Gift"}, SHANGHAI),
        map_order({"orderNo": "3"}, SHANGHAI),
    ]
    assert row_drift("order", rows) == {
        DriftKind("new word", "order", "status"),
        DriftKind("new word", "order", "source"),
        DriftKind("unread value", "order", "quantity"),
    }


@pytest.mark.parametrize("sent", [{"orderNo": "1", "goodsName": "企业版"}, {"status": "odd"}, None])
def test_a_row_is_nothing_that_the_collector_of_cycles_has_to_walk(sent: Any):
    assert not gc.is_tracked(map_order(sent, SHANGHAI))
