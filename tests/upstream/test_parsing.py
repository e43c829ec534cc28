"""What the three questions are answered, read leniently."""

from typing import Any

import pytest

from app.upstream.drift import Drift
from app.upstream.envelope import Envelope
from app.upstream.errors import OrderNotFound, PaymentNotFound, UpstreamMalformed
from app.upstream.parsing import parse_object, parse_order_list
from app.upstream.wire import JsonNumber, OrderListResponse


def envelope(data: Any, **beside: Any) -> Envelope:
    whole = {"statusCode": JsonNumber("200"), "message": "", "data": data, **beside}
    return Envelope(whole, data, "r-1", sandbox=False)


def read(data: Any, page: int = 1) -> tuple[OrderListResponse, list[str]]:
    drift = Drift()
    return parse_order_list(envelope(data), page, drift), [str(kind) for kind, _ in drift.counts]


@pytest.mark.parametrize("total", ["2", JsonNumber("2")])
def test_the_total_is_read_from_text_or_number(total: str):
    answer, drift = read({"totalCount": total, "list": [{"orderNo": "1"}, {}]})
    assert answer == OrderListResponse(({"orderNo": "1"}, {}), 2, "r-1", sandbox=False)
    assert not drift


@pytest.mark.parametrize(
    "total",
    [None, "", "two", "-1", "1.5", JsonNumber("1e3"), "٣", " 1", "1" * 13, True, [], {}],
)
def test_a_list_without_a_readable_total_is_malformed(total: object):
    with pytest.raises(UpstreamMalformed) as raised:
        read({"totalCount": total, "list": []})
    assert raised.value.request_id == "r-1"


@pytest.mark.parametrize("data", [None, [], "", "x", JsonNumber("1"), {}])
def test_an_absent_list_is_malformed_and_never_empty(data: object):
    with pytest.raises(UpstreamMalformed):
        read(data)


@pytest.mark.parametrize("rows", ["x", JsonNumber("1"), True])
def test_a_list_that_is_no_list_is_malformed(rows: object):
    with pytest.raises(UpstreamMalformed):
        read({"totalCount": "1", "list": rows})


@pytest.mark.parametrize("data", [{"totalCount": "0"}, {"totalCount": "0", "list": None}])
def test_no_list_is_an_empty_one_where_the_total_says_so(data: dict[str, Any]):
    answer, drift = read(data)
    assert answer.rows == ()
    assert not drift


def test_a_list_that_is_an_object_is_a_list_of_one():
    answer, drift = read({"totalCount": "1", "list": {"orderNo": "1"}})
    assert answer.rows == ({"orderNo": "1"},)
    assert drift == ["changed type (list): list (object)"]


def test_what_is_new_in_a_list_is_reported_however_often_it_is_there():
    rows = [{"orderNo": "1", "discount": JsonNumber("1")}, {"orderNo": ["2"], "discount": "2"}]
    answer, drift = read({"totalCount": "2", "list": rows, "cursor": None})
    assert answer.rows == tuple(rows)
    assert drift == [
        "changed type (order): orderNo (list)",
        "new field (list): cursor (null)",
        "new field (order): discount (number)",
        "new field (order): discount (text)",
    ]


def test_rows_past_fifty_are_dropped_and_reported():
    answer, drift = read({"totalCount": "60", "list": [str(at) for at in range(60)]})
    assert answer.rows == tuple(str(at) for at in range(50))
    assert drift == ["changed type (order) (text)", "more rows than were asked for (list)"]


@pytest.mark.parametrize(("page", "rows"), [(1, 0), (2, 49), (3, 36)])
def test_fewer_rows_than_promised_are_reported(page: int, rows: int):
    answer, drift = read({"totalCount": "137", "list": [{}] * rows}, page)
    assert answer.rows == ({},) * rows
    assert drift == ["fewer rows than promised (list)"]


@pytest.mark.parametrize(("page", "rows"), [(2, 50), (3, 37), (4, 0), (9, 0)])
def test_as_many_rows_as_promised_are_no_drift(page: int, rows: int):
    assert read({"totalCount": "137", "list": [{}] * rows}, page)[1] == []


@pytest.mark.parametrize("unknown", [OrderNotFound, PaymentNotFound])
@pytest.mark.parametrize(
    "data", [None, {}, [], "", {"orderNo": None, "status": ""}, {"a": [], "b": {}}]
)
def test_nothing_in_it_is_not_found(data: Any, unknown: type[OrderNotFound]):
    with pytest.raises(unknown) as raised:
        parse_object(envelope(data), "order", unknown, Drift())
    assert raised.value.request_id == "r-1"
    assert raised.value.status_code == 200


@pytest.mark.parametrize("data", ["x", [{"orderNo": "1"}], JsonNumber("0"), True])
def test_an_answer_about_one_order_that_is_no_object_is_malformed(data: Any):
    with pytest.raises(UpstreamMalformed):
        parse_object(envelope(data), "order", OrderNotFound, Drift())


def test_an_object_with_anything_in_it_is_an_answer():
    drift = Drift()
    whole = envelope({"orderNo": "1", "status": None, "tags": []}, traceId="t-1")
    answer = parse_object(whole, "order", OrderNotFound, drift)
    assert [str(kind) for kind, _ in drift.counts] == [
        "new field (envelope): traceId (text)",
        "new field (order): tags (list)",
    ]
    assert answer.data == {"orderNo": "1", "status": None, "tags": []}
    assert answer.request_id == "r-1"


def test_an_old_deployments_payment_is_read_from_beside_the_status_code():
    flat = Envelope(
        {"statusCode": JsonNumber("200"), "requestId": "r-1", "orderNo": "1", "paidAmount": "7.9"},
        None,
        "r-1",
        sandbox=True,
    )
    drift = Drift()
    answer = parse_object(flat, "payment", PaymentNotFound, drift)
    assert not drift.counts
    assert answer.data == {"orderNo": "1", "paidAmount": "7.9"}
    assert answer.sandbox


def test_an_envelope_that_says_more_than_we_know_makes_no_order():
    with pytest.raises(OrderNotFound):
        parse_object(
            envelope(None, timestamp="2026", success=True), "order", OrderNotFound, Drift()
        )
