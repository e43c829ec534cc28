"""What an opened envelope answers to each question, read leniently. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from app.upstream.drift import Drift, Kind, new_fields, strange_in
from app.upstream.envelope import Envelope
from app.upstream.errors import UpstreamMalformed, UpstreamNotFound
from app.upstream.wire import (
    BLOCK_SIZE,
    ENVELOPE_FIELDS,
    LIST_FIELDS,
    ORDER_FIELDS,
    PAYMENT_FIELDS,
    ObjectAnswer,
    OrdersAnswer,
)

Subject = Literal["order", "payment"]

_TOTAL = re.compile(r"[0-9]{1,12}")
_FIELDS: Mapping[Subject, frozenset[str]] = {"order": ORDER_FIELDS, "payment": PAYMENT_FIELDS}


def read_orders(envelope: Envelope, page: int, drift: Drift) -> OrdersAnswer:
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
    return OrdersAnswer(rows[:BLOCK_SIZE], total, envelope.request_id, envelope.sandbox)


def read_object(
    envelope: Envelope, subject: Subject, unknown: type[UpstreamNotFound], drift: Drift
) -> ObjectAnswer:
    """The answer to a question about one order: under `data`, or flat in the envelope.

    Raises:
        UpstreamNotFound: `unknown`, where there is nothing in it.
        UpstreamMalformed: what is there is no object.
    """
    data = envelope.data
    if data is None:
        # Old deployments send a payment's fields beside `statusCode`.
        data = {key: envelope.whole[key] for key in PAYMENT_FIELDS if key in envelope.whole}
    if _is_empty(data) or (isinstance(data, dict) and all(map(_is_empty, data.values()))):
        raise unknown(
            "the upstream has nothing of it", status_code=200, request_id=envelope.request_id
        )
    if not isinstance(data, dict):
        raise UpstreamMalformed("the answer is no object", request_id=envelope.request_id)
    drift.report(
        new_fields("envelope", envelope.whole, ENVELOPE_FIELDS | PAYMENT_FIELDS)
        | strange_in(subject, data, _FIELDS[subject])
    )
    return ObjectAnswer(data, envelope.request_id, envelope.sandbox)


def _rows(envelope: Envelope) -> tuple[object, ...]:
    sent = envelope.data.get("list")
    if sent is None:
        return ()
    if isinstance(sent, list):
        return tuple(sent)
    if isinstance(sent, dict):
        return (sent,)
    raise UpstreamMalformed("the list is no list", request_id=envelope.request_id)


def _strange_in_list(envelope: Envelope, rows: tuple[object, ...], promised: int) -> Iterator[Kind]:
    yield from new_fields("envelope", envelope.whole, ENVELOPE_FIELDS)
    yield from new_fields("list", envelope.data, LIST_FIELDS)
    if isinstance(envelope.data.get("list"), dict):
        yield Kind("changed type", "list", "list", "object")
    if len(rows) > BLOCK_SIZE:
        yield Kind("more rows than were asked for", "list")
    if len(rows) < promised:
        yield Kind("fewer rows than promised", "list")
    for row in rows[:BLOCK_SIZE]:
        yield from strange_in("order", row, ORDER_FIELDS)


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})
