"""What an answer of the upstream means, by its envelope and else by its HTTP status."""

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


def opened(
    body: bytes | dict[str, Any],
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    unknown: type[UpstreamNotFound] | None = None,
) -> Envelope:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_envelope(HttpResponse(status, headers or {}, content), NOW, unknown=unknown)


def error_of(body: bytes | dict[str, Any], **how: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        opened(body, **how)
    return raised.value


@pytest.mark.parametrize(
    ("status_code", "api_code", "kind"),
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
    status_code: int, api_code: int | None, kind: type[UpstreamError]
):
    body = {"statusCode": status_code, "apiCode": api_code, "message": "m", "requestId": "r-1"}
    error = error_of(body)
    assert type(error) is kind
    assert (error.status_code, error.api_code) == (status_code, api_code)
    assert error.request_id == "r-1"
    assert error.message == "m"


@pytest.mark.parametrize("http_status", [201, 404, 429, 500])
def test_the_http_status_says_nothing_beside_an_envelope(http_status: int):
    assert opened({"statusCode": 200, "data": {}}, status=http_status).data == {}
    assert type(error_of({"statusCode": 402}, status=http_status)) is UpstreamPlanRequired


@pytest.mark.parametrize(
    ("http_status", "kind"),
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
def test_the_http_status_decides_where_there_is_no_envelope(
    http_status: int, kind: type[UpstreamError]
):
    for body in (b"<html>", b"", b"[1]", b'{"error": "x"}', b'{"statusCode": "soon"}'):
        assert type(error_of(body, status=http_status, unknown=OrderNotFound)) is kind


@pytest.mark.parametrize("status", [300, 302, 308, 399])
def test_a_redirect_is_malformed_whatever_its_body_says(status: int):
    error = error_of({"statusCode": 200, "data": {}}, status=status)
    assert type(error) is UpstreamMalformed


@pytest.mark.parametrize(("status_code", "api_code"), [(404, None), (422, 4004), (422, 5001)])
@pytest.mark.parametrize("unknown", [OrderNotFound, PaymentNotFound])
def test_a_question_about_one_thing_may_be_answered_that_there_is_no_such_thing(
    status_code: int, api_code: int | None, unknown: type[UpstreamNotFound]
):
    error = error_of({"statusCode": status_code, "apiCode": api_code}, unknown=unknown)
    assert type(error) is unknown


def test_a_pool_that_is_not_found_does_not_make_an_order_unknown():
    error = error_of({"statusCode": 404, "apiCode": 2224}, unknown=OrderNotFound)
    assert type(error) is UpstreamCredentialRejected


def test_the_upstreams_own_text_is_not_in_our_words():
    error = error_of({"statusCode": 500, "message": "duplicate key value"})
    assert "duplicate" not in str(error)
    assert "duplicate" not in repr(error)


def test_a_message_that_is_no_text_is_none():
    assert error_of({"statusCode": 500, "message": ["x"]}).message == ""


def test_numbers_keep_every_digit():
    data = opened(b'{"statusCode": 200, "data": {"a": 1.10, "b": 12345678901234567890}}').data
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
def test_what_is_not_json_is_malformed(body: bytes):
    assert type(error_of(body)) is UpstreamMalformed


def test_a_byte_order_mark_is_tolerated():
    assert opened(b'\xef\xbb\xbf{"statusCode": 200, "data": {"a": "b"}}').data == {"a": "b"}


def test_half_a_surrogate_pair_can_be_sent_on():
    body = rb'{"statusCode": 200, "data": {"\ud800": "a\udfff", "l": ["\ud83d", ["\ude00"], 1]}}'
    data = opened(body).data
    assert data == {"�": "a�", "l": ["�", ["�"], "1"]}
    assert opened(rb'{"statusCode": 200, "data": {"a": "\ud83d\ude00"}}').data == {"a": "😀"}


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
def test_an_upstream_request_id_is_taken_only_if_it_is_well_formed(
    in_body: object, headers: dict[str, str], found: str | None
):
    body = {"statusCode": 200, "data": {}, "requestId": in_body}
    assert opened(body, headers=headers).request_id == found
    assert error_of(body | {"statusCode": 500}, headers=headers).request_id == found


def test_a_failure_without_an_envelope_may_have_a_request_id():
    assert error_of(b"", status=500, headers={"x-request-id": "edge-1"}).request_id == "edge-1"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("86400", 3600.0),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("Mon, 23 Nov 2026 12:00:30 +99999999999999", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None):
    headers = {"retry-after": value}
    assert error_of({"statusCode": 429}, headers=headers).retry_after == seconds
    assert error_of(b"", status=429, headers=headers).retry_after == seconds
    assert error_of(b"", status=503, headers=headers).retry_after == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reading(value: str):
    error = error_of({"statusCode": 429}, headers={"retry-after": value})
    assert error.retry_after is None or 0 <= error.retry_after <= 3600


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_body_breaks_the_reading(body: bytes, status: int):
    error_of(body, status=status)


def test_a_sandbox_says_so():
    assert opened({"statusCode": 200}, headers={"x-sandbox": "true"}).sandbox
    assert not opened({"statusCode": 200}).sandbox
