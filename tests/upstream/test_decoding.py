"""However many values a response has, a bounded number of them is decoded."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream import decoding
from app.upstream.decoding import MAX_DEPTH, MAX_VALUES, Decoded
from app.upstream.wire import JsonNumber, WireOrder
from tests.support.upstream import wire_order, wire_payment


def plain(value: Any) -> Any:
    """Return a JSON value with each `WireOrder` as an object."""
    if isinstance(value, WireOrder):
        return msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def decode(body: bytes, known_digest: bytes | None = None) -> Decoded:
    decoded = decoding.decode(body, known_digest)
    return decoded._replace(value=plain(decoded.value))


def values_in(value: object) -> Iterator[object]:
    yield value
    members = value.values() if isinstance(value, dict) else value
    for member in members if isinstance(members, (list, type({}.values()))) else ():
        yield from values_in(member)


def body_of(data: object) -> bytes:
    return json.dumps({"statusCode": 200, "requestId": "r-1", "data": data, "x": None}).encode()


MANY: dict[str, Any] = {f"f{number}": {"a": [1, {}]} for number in range(MAX_VALUES)}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"totalCount": 2, "list": [wire_order(1) | MANY, wire_order(2)]},
            {"totalCount": "2", "list": [wire_order(1), wire_order(2)]},
        ),
        (wire_order(1) | MANY, wire_order(1)),
        (wire_payment("1") | MANY, wire_payment("1")),
        (
            {"access_token": "t", "expires_in": 7.5} | MANY,
            {"access_token": "t", "expires_in": "7.5"},
        ),
        ({"totalCount": 1, "list": None} | MANY, {"totalCount": "1", "list": None}),
        (
            {"totalCount": 10**5, "list": ["x", None] + [wire_order(1)] * MAX_VALUES},
            {"totalCount": "100000", "list": ["x", None] + [wire_order(1)] * 49},
        ),
    ],
    ids=["row", "order", "payment", "token", "no list", "rows"],
)
def test_of_a_response_with_too_many_values_only_the_known_fields_and_rows_are_decoded(
    data: Any, expected: Any
):
    decoded = decode(body_of(data))
    assert decoded.is_cut
    assert decoded.value == {"statusCode": "200", "requestId": "r-1", "data": expected}


@pytest.mark.parametrize("data", [None, "x", 1, [1, 2]])
def test_a_response_with_too_many_values_may_have_any_data(data: Any):
    body = body_of(data)[:-1] + b', "y": [' + b"0," * MAX_VALUES + b"0]}"
    decoded = decode(body)
    assert decoded.is_cut
    assert decoded.value["statusCode"] == "200"


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * MAX_VALUES + b"1]",
        b'{"statusCode": 200, "data": {"orderNo": [' + b"1," * MAX_VALUES + b"1]}}",
        b'{"statusCode": 200, "data": [' + b"1," * MAX_VALUES + b"1]}",
        b'{"statusCode": 200, "data": {"list": {"a": [' + b"1," * MAX_VALUES + b"1]}}}",
        b'{"statusCode": 200, "x": ' + b"[" * 10**6 + b"]" * 10**6 + b"}",
        b'{"statusCode": 200, "x": [' + b"1," * MAX_VALUES + b"}",
    ],
    ids=["an array", "a known field", "data", "list", "too deep", "no JSON"],
)
def test_a_response_whose_known_fields_have_too_many_values_is_not_decoded(body: bytes):
    with pytest.raises(ValueError, match=r"."):
        decode(body)


@pytest.mark.parametrize("value", ["x", 1, [], {}])
def test_a_response_of_the_most_values_is_decoded_completely(value: object):
    items = [value] * (MAX_VALUES - 10 if value in ("x", 1) else MAX_VALUES // 2 - 10)
    decoded = decode(json.dumps({"a": items}).encode())
    assert not decoded.is_cut
    assert len(decoded.value["a"]) == len(items)
    assert len(list(values_in(decoded.value))) <= MAX_VALUES + 2


def test_what_is_nested_deeper_than_the_limit_is_null():
    deep: Any = "leaf"
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": [deep]}
    decoded = decode(json.dumps({"deep": deep, "b": "c"}).encode()).value
    assert decoded["b"] == "c"
    innermost = decoded["deep"]
    for _ in range((MAX_DEPTH - 2) // 2):
        (innermost,) = innermost["a"]
    assert innermost == {"a": None}


def test_unknown_fields_of_the_envelope_do_not_change_what_is_nested_too_deeply():
    deep: Any = "leaf"
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    response = {"statusCode": 200, "message": deep, "data": {"totalCount": 1, "list": [deep]}}
    with_more = decode(json.dumps(response | {"x": 1}).encode()).value
    del with_more["x"]
    assert decode(json.dumps(response).encode()).value == with_more


@given(st.text(st.characters(exclude_categories=()), max_size=30))
def test_text_is_decoded_so_that_it_can_be_encoded(text: str):
    (decoded,) = decode(json.dumps([text]).encode()).value
    assert isinstance(decoded.encode(), bytes)


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{\x00}\x00", b'"\x01"', b'"\xed\xa0\x80"', b'"\xc3"', b"01", b"1_0", b"+1"]
)
def test_what_other_decoders_would_reject_is_not_decoded(body: bytes):
    with pytest.raises(ValueError, match=r"."):
        decode(body)


def test_of_fields_with_the_same_name_the_last_one_counts():
    assert decode(b'{"a": 1, "a": 2}').value == {"a": JsonNumber("2")}


TEXTS = st.text(st.characters(exclude_categories=()), max_size=5)
ROWS = st.lists(st.dictionaries(TEXTS, TEXTS | st.none(), max_size=3), max_size=3)
OTHER_ROWS = st.lists(st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(TEXTS)), max_size=3)


@pytest.mark.without_coverage
@given(ROWS | OTHER_ROWS, st.booleans())
def test_a_list_is_decoded_alike_with_and_without_unknown_fields(rows: Any, escaped: bool):
    def body(**more: object) -> bytes:
        data = {"totalCount": 7, "list": rows, **more}
        text = json.dumps({"statusCode": 200, "message": "ok", "data": data}, ensure_ascii=escaped)
        return text.encode("utf-8", "replace")

    value, other = decode(body()).value, decode(body(x=1)).value
    del other["data"]["x"]
    assert value == other
    assert json.dumps(value) == json.dumps(other)
    assert str(types_in(value)) == str(types_in(other))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([wire_order(1), {}, {"status": None}], [WireOrder, WireOrder, WireOrder]),
        ([wire_order(1), {"status": 1}], [dict, dict]),
        ([wire_order(1), {"discount": "1"}], [dict, dict]),
        ([wire_order(1), "x"], [dict, str]),
    ],
    ids=["documented", "a number", "a new field", "no object"],
)
def test_the_rows_of_a_list_are_orders_if_all_are_as_documented(
    rows: list[object], expected: list[type]
):
    body = json.dumps({"statusCode": 200, "data": {"totalCount": 9, "list": rows}}).encode()
    decoded = decoding.decode(body).value["data"]["list"]
    assert [type(row) for row in decoded] == expected


def types_in(value: object) -> list[type]:
    return [type(one) for one in values_in(value)]


@pytest.mark.parametrize("row", [b'"\xff"', b'"\xed\xa0\x80"', b'"\x01"'])
def test_a_list_with_a_text_that_is_no_utf_8_is_not_decoded(row: bytes):
    with pytest.raises(ValueError, match=r"."):
        decode(b'{"statusCode":200,"data":{"totalCount":1,"list":[{"a":%b}]}}' % row)


def response_of(request_id: str, data: object, **more: object) -> bytes:
    return json.dumps({"statusCode": 200, "requestId": request_id, "data": data, **more}).encode()


def test_data_that_the_caller_has_is_not_decoded_again():
    first = decode(response_of("r-1", {"totalCount": 1, "list": [wire_order(1)]}))
    assert first.data_digest
    again = decode(
        response_of("r-2", {"totalCount": 1, "list": [wire_order(1)]}, message="other"),
        first.data_digest,
    )
    assert again.is_unchanged
    assert again.value == {"statusCode": "200", "requestId": "r-2", "message": "other"}
    changed = decode(
        response_of("r-3", {"totalCount": 1, "list": [wire_order(2)]}), first.data_digest
    )
    assert not changed.is_unchanged
    assert changed.value["data"]["list"] == [wire_order(2)]


@pytest.mark.parametrize(
    "body",
    [
        response_of("r-1", {}, more=1),
        response_of("r-1", {}, statusCode=500),
        response_of("r-1", {}, statusCode="200"),
        b'{"data": {}}',
        b'{"statusCode": 200}',
    ],
    ids=["an unknown field", "an error", "a text as status", "no status", "no data"],
)
def test_only_the_data_of_a_success_in_a_known_envelope_has_a_digest(body: bytes):
    assert decode(body).data_digest is None


@pytest.mark.parametrize(
    "envelope",
    [{}, {"message": None}, {"message": "ok", "requestId": "r-1"}, {"apiCode": 0}],
    ids=["nothing", "null", "texts", "a code"],
)
def test_the_envelope_of_a_success_is_decoded_as_it_was_sent(envelope: dict[str, object]):
    sent = {"statusCode": 200, **envelope, "data": {"totalCount": "0", "list": []}}
    decoded = decode(json.dumps(sent).encode())
    assert decoded.data_digest
    numbers = {name: str(value) for name, value in sent.items() if isinstance(value, int)}
    assert decoded.value == sent | numbers


def test_a_success_whose_request_id_is_no_text_is_decoded():
    decoded = decode(response_of("r-1", {}, requestId=7))
    assert decoded == Decoded({"statusCode": "200", "requestId": "7", "data": {}}, is_cut=False)
