"""What a response means, by its envelope, or by its HTTP status if it has none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.envelope import Envelope, HttpResponse, parse_envelope
from app.upstream.errors import (
    OrderNotFound,
    PaymentNotFound,
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformed,
    UpstreamNotFound,
    UpstreamPlanRequired,
    UpstreamRejected,
    UpstreamThrottled,
)
from app.upstream.wire import JsonNumber

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def parsed(
    body: bytes | dict[str, Any],
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    not_found: type[UpstreamNotFound] | None = None,
) -> Envelope:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_envelope(HttpResponse(status, headers or {}, content), NOW, not_found=not_found)


def error_of(body: bytes | dict[str, Any], **options: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        parsed(body, **options)
    return raised.value


@pytest.mark.parametrize(
    ("status_code", "api_code", "error_class"),
    [
        (400, None, UpstreamRejected),
        (401, None, UpstreamCredentialRejected),
        (402, None, UpstreamPlanRequired),
        (403, None, UpstreamCredentialRejected),
        (404, None, UpstreamRejected),
        (409, None, UpstreamRejected),
        (413, None, UpstreamRejected),
        (422, None, UpstreamRejected),
        (422, 4004, UpstreamRejected),
        (429, None, UpstreamThrottled),
        (499, None, UpstreamRejected),
        (500, None, UpstreamFailed),
        (503, None, UpstreamFailed),
        (601, None, UpstreamFailed),
        (603, None, UpstreamFailed),
        (699, None, UpstreamFailed),
        (400, 2020, UpstreamCredentialRejected),
        (400, 1300, UpstreamCredentialRejected),
        (500, 1399, UpstreamCredentialRejected),
        (404, 2224, UpstreamCredentialRejected),
        (400, 2333, UpstreamCredentialRejected),
        (400, 1299, UpstreamRejected),
        (400, 1400, UpstreamRejected),
        (201, None, UpstreamMalformed),
        (418, None, UpstreamMalformed),
        (700, None, UpstreamMalformed),
    ],
)
def test_the_status_code_in_the_body_decides(
    status_code: int, api_code: int | None, error_class: type[UpstreamError]
):
    body = {"statusCode": status_code, "apiCode": api_code, "message": "m", "requestId": "r-1"}
    error = error_of(body)
    assert type(error) is error_class
    assert (error.status_code, error.api_code) == (status_code, api_code)
    assert error.request_id == "r-1"
    assert error.message == "m"


@pytest.mark.parametrize("http_status", [201, 404, 429, 500])
def test_the_http_status_is_ignored_if_there_is_an_envelope(http_status: int):
    assert parsed({"statusCode": 200, "data": {}}, status=http_status).data == {}
    assert type(error_of({"statusCode": 402}, status=http_status)) is UpstreamPlanRequired


@pytest.mark.parametrize(
    ("http_status", "error_class"),
    [
        (200, UpstreamMalformed),
        (400, UpstreamMalformed),
        (401, UpstreamCredentialRejected),
        (403, UpstreamCredentialRejected),
        (404, UpstreamMalformed),
        (429, UpstreamThrottled),
        (500, UpstreamFailed),
        (502, UpstreamFailed),
    ],
)
def test_the_http_status_decides_if_there_is_no_envelope(
    http_status: int, error_class: type[UpstreamError]
):
    for body in (b"<html>", b"", b"[1]", b'{"error": "x"}', b'{"statusCode": "soon"}'):
        assert type(error_of(body, status=http_status, not_found=OrderNotFound)) is error_class


@pytest.mark.parametrize("status", [300, 302, 308, 399])
def test_a_redirect_is_malformed_whatever_its_body_is(status: int):
    error = error_of({"statusCode": 200, "data": {}}, status=status)
    assert type(error) is UpstreamMalformed


@pytest.mark.parametrize(("status_code", "api_code"), [(404, None), (422, 4004), (422, 5001)])
@pytest.mark.parametrize("not_found", [OrderNotFound, PaymentNotFound])
def test_a_request_for_one_object_can_end_in_not_found(
    status_code: int, api_code: int | None, not_found: type[UpstreamNotFound]
):
    error = error_of({"statusCode": status_code, "apiCode": api_code}, not_found=not_found)
    assert type(error) is not_found


def test_a_pool_that_is_not_found_does_not_mean_that_the_order_is_not():
    error = error_of({"statusCode": 404, "apiCode": 2224}, not_found=OrderNotFound)
    assert type(error) is UpstreamCredentialRejected


def test_the_upstream_s_text_is_not_in_our_message():
    error = error_of({"statusCode": 500, "message": "duplicate key value"})
    assert "duplicate" not in str(error)
    assert "duplicate" not in repr(error)


def test_a_message_that_is_not_text_is_ignored():
    assert error_of({"statusCode": 500, "message": ["x"]}).message == ""


def test_no_more_of_a_message_is_kept_than_is_ever_shown():
    assert error_of({"statusCode": 500, "message": "x" * 100_000}).message == "x" * 300


@pytest.mark.parametrize("number", ["200.0", "2e2", '"200"', '"200.00"'])
def test_a_status_code_may_be_written_like_any_number(number: str):
    assert parsed(f'{{"statusCode": {number}, "data": 1}}'.encode()).data == "1"


def test_numbers_keep_all_digits():
    data = parsed(b'{"statusCode": 200, "data": {"a": 1.10, "b": 12345678901234567890}}').data
    assert data == {"a": "1.10", "b": "12345678901234567890"}
    assert type(data["a"]) is type(data["b"]) is JsonNumber


@pytest.mark.parametrize(
    "body",
    [
        b'{"statusCode": 200, "data": {"a": NaN}}',
        b'{"statusCode": 200, "data": {"a": -Infinity}}',
        b'{"statusCode": 200, "data": "\xff"}',
        b'{"statusCode": 200, "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"statusCode": 200, "data": {}',
    ],
    ids=["nan", "infinity", "not UTF-8", "too deep", "cut"],
)
def test_a_body_that_is_not_json_is_malformed(body: bytes):
    assert type(error_of(body)) is UpstreamMalformed


def test_a_byte_order_mark_is_accepted():
    assert parsed(b'\xef\xbb\xbf{"statusCode": 200, "data": {"a": "b"}}').data == {"a": "b"}


def test_a_lone_surrogate_is_replaced():
    body = rb'{"statusCode": 200, "data": {"\ud800": "a\udfff", "l": ["\ud83d", ["\ude00"], 1]}}'
    data = parsed(body).data
    assert data == {"�": "a�", "l": ["�", ["�"], "1"]}
    assert parsed(rb'{"statusCode": 200, "data": {"a": "\ud83d\ude00"}}').data == {"a": "😀"}


@pytest.mark.parametrize(
    ("in_body", "headers", "found"),
    [
        ("934108e5-9fbf", {"x-request-id": "other"}, "934108e5-9fbf"),
        (None, {"x-request-id": "a.b_c"}, "a.b_c"),
        ("bad id\n", {"x-authing-request-id": "ok"}, "ok"),
        ("x" * 128, {}, "x" * 128),
        ("x" * 129, {}, None),
        ("", {"x-request-id": "<script>"}, None),
        (12, {}, "12"),
        (["a"], {}, None),
    ],
)
def test_an_upstream_request_id_is_used_only_if_it_is_well_formed(
    in_body: object, headers: dict[str, str], found: str | None
):
    body = {"statusCode": 200, "data": {}, "requestId": in_body}
    assert parsed(body, headers=headers).request_id == found
    assert error_of(body | {"statusCode": 500}, headers=headers).request_id == found


def test_an_error_without_an_envelope_may_have_a_request_id():
    assert error_of(b"", status=500, headers={"x-request-id": "edge-1"}).request_id == "edge-1"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("61", 60.0),
        ("86400", 60.0),
        ("9" * 64, 60.0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        ("-1", None),
        ("1" * 65, None),
        ("soon", None),
        ("", None),
        ("Mon, 23 Nov 2026 12:00:30 +99999999999999", None),
    ],
)
def test_retry_after_may_be_seconds_or_a_date_up_to_a_minute(value: str, seconds: float | None):
    headers = {"retry-after": value}
    assert error_of({"statusCode": 429}, headers=headers).retry_after == seconds
    assert error_of(b"", status=429, headers=headers).retry_after == seconds
    assert error_of(b"", status=503, headers=headers).retry_after == seconds


@given(st.text(max_size=60))
def test_any_retry_after_can_be_parsed(value: str):
    error = error_of({"statusCode": 429}, headers={"retry-after": value})
    assert error.retry_after is None or 0 <= error.retry_after <= 60


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_body_can_be_parsed(body: bytes, status: int):
    error_of(body, status=status)


def test_a_sandbox_is_recognized_by_its_header():
    assert parsed({"statusCode": 200}, headers={"x-sandbox": "true"}).sandbox
    assert not parsed({"statusCode": 200}).sandbox
