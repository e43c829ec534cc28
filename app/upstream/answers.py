"""What an opened envelope answers to each question, read leniently. Pure."""

import re
from collections.abc import Callable

from app.upstream.envelope import Envelope
from app.upstream.errors import UpstreamMalformed, UpstreamNotFound
from app.upstream.wire import BLOCK_SIZE, ObjectAnswer, OrdersAnswer

_TOTAL = re.compile(r"[0-9]{1,12}")

FLAT_FIELDS = (
    "orderNo",
    "channelOrderNo",
    "paidAmount",
    "paidTime",
    "paidAccountNo",
    "payStatus",
    "createTime",
    "payType",
)
"""What old deployments send of a payment beside `statusCode`, not under `data`."""


def read_orders(envelope: Envelope, page: int, report_drift: Callable[[str], None]) -> OrdersAnswer:
    """The answer to get-orders for `page`, from 1.

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
    rows = _rows(envelope, report_drift)
    if len(rows) > BLOCK_SIZE:
        report_drift("more rows than were asked for")
    if len(rows) < min(max(total - (page - 1) * BLOCK_SIZE, 0), BLOCK_SIZE):
        report_drift("fewer rows than promised")
    return OrdersAnswer(rows[:BLOCK_SIZE], total, envelope.request_id, envelope.sandbox)


def read_object(envelope: Envelope, unknown: type[UpstreamNotFound]) -> ObjectAnswer:
    """The answer to a question about one order: under `data`, or flat in the envelope.

    Raises:
        UpstreamNotFound: `unknown`, where there is nothing in it.
        UpstreamMalformed: what is there is no object.
    """
    data = envelope.data
    if data is None:
        data = {key: envelope.whole[key] for key in FLAT_FIELDS if key in envelope.whole}
    if _is_empty(data) or (isinstance(data, dict) and all(map(_is_empty, data.values()))):
        raise unknown(
            "the upstream has nothing of it", status_code=200, request_id=envelope.request_id
        )
    if not isinstance(data, dict):
        raise UpstreamMalformed("the answer is no object", request_id=envelope.request_id)
    return ObjectAnswer(data, envelope.request_id, envelope.sandbox)


def _rows(envelope: Envelope, report_drift: Callable[[str], None]) -> tuple[object, ...]:
    sent = envelope.data.get("list")
    if sent is None:
        return ()
    if isinstance(sent, list):
        return tuple(sent)
    if isinstance(sent, dict):
        report_drift("the list is an object")
        return (sent,)
    raise UpstreamMalformed("the list is no list", request_id=envelope.request_id)


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})
