"""What an opened envelope answers to each question, read leniently. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from app.upstream.drift import Drift, DriftKind, find_drift, new_fields
from app.upstream.envelope import Envelope
from app.upstream.errors import UpstreamMalformed, UpstreamNotFound
from app.upstream.wire import (
    BLOCK_SIZE,
    ENVELOPE_FIELDS,
    LIST_FIELDS,
    ORDER_FIELDS,
    PAYMENT_FIELDS,
    ObjectResponse,
    OrderListResponse,
)

Subject = Literal["order", "payment"]

_TOTAL = re.compile(r"[0-9]{1,12}")
_FIELDS: Mapping[Subject, frozenset[str]] = {"order": ORDER_FIELDS, "payment": PAYMENT_FIELDS}


def parse_order_list(envelope: Envelope, page: int, drift: Drift) -> OrderListResponse:
    """The answer to get-orders for `page`, from 1; what is new in it goes to `drift`.

    Raises:
        UpstreamMalformed: no data, or no total that can be read: an empty list is never an
            accident.
    """
    if not isinstance(envelope.data, dict):
        raise UpstreamMalformed("the list is missing", request_id=envelope.request_id)
    told = envelope.data.get("totalCount")
    if not isinstance(told, str) or not _TOTAL.fullmatch(told):
        raise UpstreamMalformed("the list tells no total", request_id=envelope.request_id)
    total = int(told)
    rows = _rows(envelope)
    promised = min(max(total - (page - 1) * BLOCK_SIZE, 0), BLOCK_SIZE)
    drift.report(_strange_in_list(envelope, rows, promised))
    return OrderListResponse(rows[:BLOCK_SIZE], total, envelope.request_id, envelope.sandbox)


def parse_object(
    envelope: Envelope, subject: Subject, unknown: type[UpstreamNotFound], drift: Drift
) -> ObjectResponse:
    """The answer to a question about one order: under `data`, or flat in the envelope.

    Raises:
        UpstreamNotFound: `unknown`, where there is nothing in it.
        UpstreamMalformed: what is there is no object.
    """
    data = envelope.data
    if data is None:
        # Old deployments send a payment's fields beside `statusCode`.
        data = {key: envelope.raw[key] for key in PAYMENT_FIELDS if key in envelope.raw}
    if _is_empty(data) or (isinstance(data, dict) and all(map(_is_empty, data.values()))):
        raise unknown(
            "the upstream has nothing of it", status_code=200, request_id=envelope.request_id
        )
    if not isinstance(data, dict):
        raise UpstreamMalformed("the answer is no object", request_id=envelope.request_id)
    drift.report(
        new_fields("envelope", envelope.raw, ENVELOPE_FIELDS | PAYMENT_FIELDS)
        | find_drift(subject, data, _FIELDS[subject])
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
    raise UpstreamMalformed("the list is no list", request_id=envelope.request_id)


def _strange_in_list(
    envelope: Envelope, rows: tuple[object, ...], promised: int
) -> Iterator[DriftKind]:
    yield from new_fields("envelope", envelope.raw, ENVELOPE_FIELDS)
    yield from new_fields("list", envelope.data, LIST_FIELDS)
    if isinstance(envelope.data.get("list"), dict):
        yield DriftKind("changed type", "list", "list", "object")
    if len(rows) > BLOCK_SIZE:
        yield DriftKind("more rows than were asked for", "list")
    if len(rows) < promised:
        yield DriftKind("fewer rows than promised", "list")
    for row in rows[:BLOCK_SIZE]:
        yield from find_drift("order", row, ORDER_FIELDS)


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})
