"""Responses of the three endpoints are parsed leniently."""

from typing import Any

import pytest

from app.upstream.drift import Drift
from app.upstream.envelope import Envelope
from app.upstream.errors import (
    OrderNotFound,
    PaymentNotFound,
    UpstreamMalformed,
    UpstreamNotFound,
)
from app.upstream.parsing import Subject, parse_object, parse_order_list
from app.upstream.wire import MAX_TOTAL, JsonNumber, ObjectResponse, OrderListResponse


def envelope(data: Any, **members: Any) -> Envelope:
    raw = {"statusCode": JsonNumber("200"), "message": "", "data": data, **members}
    return Envelope(raw, data, "r-1", sandbox=False)


def parse(data: Any, page: int = 1) -> tuple[OrderListResponse, list[str]]:
    drift = Drift()
    return parse_order_list(envelope(data), page, drift), [str(kind) for kind, _ in drift.counts]


@pytest.mark.parametrize(
    "total", ["2", "2.0", JsonNumber("2"), JsonNumber("2.0"), JsonNumber("0.2e1")]
)
def test_the_total_may_be_text_or_a_number_in_any_form(total: str):
    response, drift = parse({"totalCount": total, "list": [{"orderNo": "1"}, {}]})
    assert response == OrderListResponse(({"orderNo": "1"}, {}), 2, "r-1", sandbox=False)
    assert not drift


@pytest.mark.parametrize(
    "total",
    [
        None,
        "",
        "two",
        "-1",
        "1.5",
        "1e3",
        JsonNumber("1e-3"),
        JsonNumber("1e99"),
        "٣",
        " 1",
        f"{MAX_TOTAL + 1}",
        "1" * 13,
        True,
        [],
        {},
    ],
)
def test_a_list_without_a_valid_total_is_malformed(total: object):
    with pytest.raises(UpstreamMalformed) as raised:
        parse({"totalCount": total, "list": []})
    assert raised.value.request_id == "r-1"


@pytest.mark.parametrize("data", [None, [], "", "x", JsonNumber("1"), {}])
def test_missing_data_is_malformed_and_no_empty_list(data: object):
    with pytest.raises(UpstreamMalformed):
        parse(data)


@pytest.mark.parametrize("rows", ["x", JsonNumber("1"), True])
def test_a_list_that_is_not_an_array_is_malformed(rows: object):
    with pytest.raises(UpstreamMalformed):
        parse({"totalCount": "1", "list": rows})


@pytest.mark.parametrize("data", [{"totalCount": "0"}, {"totalCount": "0", "list": None}])
def test_a_missing_list_is_empty_if_the_total_is_zero(data: dict[str, Any]):
    response, drift = parse(data)
    assert response.rows == ()
    assert not drift


def test_a_list_that_is_an_object_has_one_row():
    response, drift = parse({"totalCount": "1", "list": {"orderNo": "1"}})
    assert response.rows == ({"orderNo": "1"},)
    assert drift == ["changed type (list): list (object)"]


def test_new_fields_in_a_list_are_reported_once_however_many_rows_have_them():
    rows = [{"orderNo": "1", "discount": JsonNumber("1")}, {"orderNo": ["2"], "discount": "2"}]
    response, drift = parse({"totalCount": "2", "list": rows, "cursor": None})
    assert response.rows == tuple(rows)
    assert drift == [
        "changed type (order): orderNo (list)",
        "new field (list): cursor (null)",
        "new field (order): discount (number)",
        "new field (order): discount (text)",
    ]


def test_rows_beyond_fifty_are_dropped_and_reported():
    response, drift = parse({"totalCount": "60", "list": [str(at) for at in range(60)]})
    assert response.rows == tuple(str(at) for at in range(50))
    assert drift == ["changed type (order) (text)", "more rows than requested (list)"]


@pytest.mark.parametrize(("page", "rows"), [(1, 0), (2, 49), (3, 36)])
def test_fewer_rows_than_expected_are_reported(page: int, rows: int):
    response, drift = parse({"totalCount": "137", "list": [{}] * rows}, page)
    assert response.rows == ({},) * rows
    assert drift == ["fewer rows than expected (list)"]


@pytest.mark.parametrize(
    ("page", "stated", "rows", "total"),
    [(1, "0", 3, 3), (2, "0", 20, 70), (1, "49", 50, 50), (3, "137", 38, 138)],
)
def test_if_there_are_more_rows_than_the_total_admits_the_rows_count(
    page: int, stated: str, rows: int, total: int
):
    response, drift = parse({"totalCount": stated, "list": [{}] * rows}, page)
    assert response.total == total
    assert drift == ["more rows than the total (list)"]


@pytest.mark.parametrize("page", [1, 1_000_000])
def test_the_largest_total_is_accepted(page: int):
    response, _ = parse({"totalCount": str(MAX_TOTAL), "list": [{}] * 50}, page)
    assert response.total == MAX_TOTAL


@pytest.mark.parametrize(("page", "rows"), [(2, 50), (3, 37), (4, 0), (9, 0)])
def test_as_many_rows_as_expected_are_no_drift(page: int, rows: int):
    assert parse({"totalCount": "137", "list": [{}] * rows}, page)[1] == []


def parse_one(sent: Envelope, subject: Subject = "order") -> tuple[ObjectResponse, list[str]]:
    """Return the response about the order `1`, and the drift that was reported."""
    drift = Drift()
    not_found = OrderNotFound if subject == "order" else PaymentNotFound
    response = parse_object(sent, subject, "1", not_found=not_found, drift=drift)
    return response, [str(kind) for kind, _ in drift.counts]


@pytest.mark.parametrize(
    ("subject", "not_found"), [("order", OrderNotFound), ("payment", PaymentNotFound)]
)
@pytest.mark.parametrize(
    "data", [None, {}, [], "", {"orderNo": None, "status": ""}, {"a": [], "b": {}}]
)
def test_an_empty_object_is_not_found(
    data: Any, subject: Subject, not_found: type[UpstreamNotFound]
):
    with pytest.raises(not_found) as raised:
        parse_one(envelope(data), subject)
    assert raised.value.request_id == "r-1"
    assert raised.value.status_code == 200


@pytest.mark.parametrize("data", ["x", [{"orderNo": "1"}], JsonNumber("0"), True])
def test_data_of_one_order_that_is_not_an_object_is_malformed(data: Any):
    with pytest.raises(UpstreamMalformed):
        parse_one(envelope(data))


def test_an_object_with_any_value_is_returned():
    sent = envelope({"orderNo": "1", "status": None, "tags": []}, traceId="t-1")
    response, drift = parse_one(sent)
    assert drift == ["new field (envelope): traceId (text)", "new field (order): tags (list)"]
    assert response.data == {"orderNo": "1", "status": None, "tags": []}
    assert response.request_id == "r-1"


@pytest.mark.parametrize("subject", ["order", "payment"])
@pytest.mark.parametrize("order_no", ["2", "01", " 1", JsonNumber("2")])
def test_an_object_of_another_order_than_requested_is_malformed(order_no: str, subject: Subject):
    drift = Drift()
    with pytest.raises(UpstreamMalformed) as raised:
        parse_object(
            envelope({"orderNo": order_no, "createTime": "x"}),
            subject,
            "1",
            not_found=UpstreamNotFound,
            drift=drift,
        )
    assert raised.value.request_id == "r-1"
    assert [str(kind) for kind, _ in drift.counts] == [f"another order than requested ({subject})"]


@pytest.mark.parametrize("order_no", [None, "", JsonNumber("1"), ["2"]])
def test_an_object_that_names_no_other_order_is_the_requested_one(order_no: object):
    data = {"orderNo": order_no, "createTime": "x"}
    assert parse_one(envelope(data))[0].data == data


FLAT = {"statusCode": JsonNumber("200"), "requestId": "r-1", "orderNo": "1", "createTime": "x"}


def test_a_payment_of_an_old_deployment_is_taken_from_the_envelope_itself():
    sent = Envelope({**FLAT, "paidAmount": "7.9"}, None, "r-1", sandbox=True)
    response, drift = parse_one(sent, "payment")
    assert not drift
    assert response.data == {"orderNo": "1", "createTime": "x", "paidAmount": "7.9"}
    assert response.sandbox


def test_an_order_is_never_taken_from_the_envelope_itself():
    with pytest.raises(OrderNotFound):
        parse_one(Envelope(FLAT, None, "r-1", sandbox=False))


def test_unknown_members_of_the_envelope_are_no_payment():
    with pytest.raises(PaymentNotFound):
        parse_one(envelope(None, timestamp="2026", success=True), "payment")


def test_a_response_whose_unknown_values_were_skipped_is_reported():
    cut = Envelope({}, {"totalCount": "0", "orderNo": "1"}, "r-1", sandbox=False, is_cut=True)
    drift = Drift()
    parse_order_list(cut, 1, drift)
    assert "too many values (envelope)" in [str(kind) for kind, _ in drift.counts]
    assert "too many values (envelope)" in parse_one(cut)[1]
