"""Parses the data of an envelope, leniently: surprises are reported as drift."""

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from app.upstream.drift import Drift, DriftKind, find_drift, new_fields
from app.upstream.envelope import Envelope
from app.upstream.errors import UpstreamMalformed, UpstreamNotFound
from app.upstream.numbers import parse_integer
from app.upstream.wire import (
    BLOCK_SIZE,
    ENVELOPE_FIELDS,
    LIST_FIELDS,
    MAX_TOTAL,
    ORDER_FIELDS,
    PAYMENT_FIELDS,
    ObjectResponse,
    OrderListResponse,
    WireOrder,
)

Subject = Literal["order", "payment"]

_FIELDS: Mapping[Subject, Collection[str]] = {"order": ORDER_FIELDS, "payment": PAYMENT_FIELDS}


def parse_order_list(envelope: Envelope, page: int, drift: Drift) -> OrderListResponse:
    """Return the response to get-orders for `page`, from 1; report what is new in it to `drift`.

    If it has more rows than its total admits, the rows count.

    Raises:
        UpstreamMalformed: there is no data or no valid total, so an empty list is never assumed.
    """
    if envelope.is_unchanged:
        return OrderListResponse(
            (), 0, envelope.request_id, envelope.sandbox, envelope.data_digest, is_unchanged=True
        )
    if not isinstance(envelope.data, dict):
        raise UpstreamMalformed("the list is missing", request_id=envelope.request_id)
    total = parse_integer(envelope.data.get("totalCount"))
    if total is None or total > MAX_TOTAL:
        raise UpstreamMalformed("the list has no valid total", request_id=envelope.request_id)
    rows = _rows(envelope)
    has_drift = drift.report(_list_drift(envelope, rows, total - (page - 1) * BLOCK_SIZE))
    rows = rows[:BLOCK_SIZE]
    if rows:
        total = max(total, (page - 1) * BLOCK_SIZE + len(rows))
    digest = None if has_drift else envelope.data_digest
    return OrderListResponse(rows, total, envelope.request_id, envelope.sandbox, digest)


def parse_object(
    envelope: Envelope,
    subject: Subject,
    order_no: str,
    *,
    not_found: type[UpstreamNotFound],
    drift: Drift,
) -> ObjectResponse:
    """Return the response about the order `order_no`: it, or its payment.

    Raises:
        UpstreamNotFound: `not_found`, if the object is missing or empty.
        UpstreamMalformed: it is not an object, or it is about another order.
    """
    data = envelope.data
    if data is None and subject == "payment":
        # Old deployments send a payment's fields next to `statusCode`.
        data = {key: envelope.raw[key] for key in PAYMENT_FIELDS if key in envelope.raw}
    if _is_empty(data) or (isinstance(data, dict) and all(map(_is_empty, data.values()))):
        raise not_found(
            "the upstream has no data for it", status_code=200, request_id=envelope.request_id
        )
    if not isinstance(data, dict):
        raise UpstreamMalformed("the data is not an object", request_id=envelope.request_id)
    drift.report(
        {
            *_cut_drift(envelope),
            *new_fields("envelope", envelope.raw, ENVELOPE_FIELDS | PAYMENT_FIELDS),
            *find_drift(subject, data, _FIELDS[subject]),
        }
    )
    sent = data.get("orderNo")
    if sent and isinstance(sent, str) and sent != order_no:
        drift.report([DriftKind("another order than requested", subject)])
        raise UpstreamMalformed(
            "the response is about another order", request_id=envelope.request_id
        )
    return ObjectResponse(data, envelope.request_id, envelope.sandbox)


def _rows(envelope: Envelope) -> tuple[object, ...]:
    sent = envelope.data.get("list")
    if sent is None:
        return ()
    if isinstance(sent, list):
        return tuple(sent)
    if isinstance(sent, dict):
        return (sent,)
    raise UpstreamMalformed("the list is not an array", request_id=envelope.request_id)


def _list_drift(envelope: Envelope, rows: tuple[object, ...], promised: int) -> Iterator[DriftKind]:
    yield from _cut_drift(envelope)
    yield from new_fields("envelope", envelope.raw, ENVELOPE_FIELDS)
    yield from new_fields("list", envelope.data, LIST_FIELDS)
    if isinstance(envelope.data.get("list"), dict):
        yield DriftKind("changed type", "list", "list", "object")
    if len(rows) > BLOCK_SIZE:
        yield DriftKind("more rows than requested", "list")
    if len(rows) < min(promised, BLOCK_SIZE):
        yield DriftKind("fewer rows than expected", "list")
    if min(len(rows), BLOCK_SIZE) > max(promised, 0):
        yield DriftKind("more rows than the total", "list")
    for row in rows[:BLOCK_SIZE]:
        if not isinstance(row, WireOrder):
            yield from find_drift("order", row, ORDER_FIELDS)


def _cut_drift(envelope: Envelope) -> Iterator[DriftKind]:
    if envelope.is_cut:
        yield DriftKind("too many values", "envelope")


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})
