"""The upstream's names and types, as it sends them. `app.orders.mapping` maps them to ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BLOCK_SIZE = 50
"""Rows per list call: the most that the upstream allows."""

MAX_TOTAL = 50_000_000
"""Orders in the list; a greater total is not one."""

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
"""A JSON object. Each number in it is a `JsonNumber`."""


class JsonNumber(str):
    """A JSON number as the text that was sent, so that no digit is lost to a float."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class OrderListResponse:
    """A response to get-orders: at most `BLOCK_SIZE` rows, each as sent, object or not.

    Attributes:
        digest: equal for equal rows and totals; None if there is drift, for which each response has
            to be searched.
        is_unchanged: whether the digest is the one that the caller knows. Then the rows and the
            total are those that the caller has, and missing here.
    """

    rows: tuple[object, ...]
    total: int
    request_id: str | None
    sandbox: bool
    digest: bytes | None = None
    is_unchanged: bool = False


@dataclass(frozen=True, slots=True)
class ObjectResponse:
    """A response to get-order-detail or get-order-pay-detail: an object that is not empty."""

    data: WireObject
    request_id: str | None
    sandbox: bool
