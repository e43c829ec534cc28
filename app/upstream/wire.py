"""The upstream's words, as it sends them; what they mean is the affair of orders/reshape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BLOCK_SIZE = 50
"""Rows of one list call: the most the upstream gives."""

ENVELOPE_FIELDS = frozenset({"statusCode", "apiCode", "message", "requestId", "data"})
LIST_FIELDS = frozenset({"totalCount", "list"})
ORDER_FIELDS = frozenset(
    {
        "orderNo",
        "goodsName",
        "goodsNameEn",
        "goodsUnitPrice",
        "quantity",
        "actualAmount",
        "status",
        "orderType",
        "createTime",
        "source",
    }
)
PAYMENT_FIELDS = frozenset(
    {
        "orderNo",
        "channelOrderNo",
        "paidAmount",
        "paidTime",
        "paidAccountNo",
        "payStatus",
        "createTime",
        "payType",
    }
)

WireObject = Mapping[str, Any]
"""A JSON object. Every number in it is a `Number`: its text, digit for digit."""


class JsonNumber(str):
    """A JSON number, kept as the text it was sent as, so that no digit is lost to a float."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class OrderListResponse:
    """One answer to get-orders: at most `BLOCK_SIZE` rows, each as sent, object or not."""

    rows: tuple[object, ...]
    total: int
    request_id: str | None
    sandbox: bool


@dataclass(frozen=True, slots=True)
class ObjectResponse:
    """One answer to get-order-detail or get-order-pay-detail: an object with something in it."""

    data: WireObject
    request_id: str | None
    sandbox: bool
