"""The upstream's names and types, as it sends them. `app.orders.mapping` maps them to ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple

BLOCK_SIZE = 50
"""Rows per list call: the most that the upstream allows."""

MAX_TOTAL = 50_000_000
"""Orders in the list; a greater total is not one."""

WireText = str | None | UnsetType
"""A field of the upstream that is a text, null or absent."""


class WireOrder(Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """An order as documented: its fields, each of which is a text, null or absent."""

    order_no: WireText = UNSET
    goods_name: WireText = UNSET
    goods_name_en: WireText = UNSET
    goods_unit_price: WireText = UNSET
    quantity: WireText = UNSET
    actual_amount: WireText = UNSET
    status: WireText = UNSET
    order_type: WireText = UNSET
    create_time: WireText = UNSET
    source: WireText = UNSET


ORDER_FIELDS = WireOrder.__struct_encode_fields__
"""The names of the fields, in the order of `WireOrder`."""

ENVELOPE_FIELDS = frozenset({"statusCode", "apiCode", "message", "requestId", "data"})
LIST_FIELDS = frozenset({"totalCount", "list"})
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


def order_fields(order: object) -> tuple[Any, ...]:
    """Return the values of `ORDER_FIELDS`, None for each that is absent.

    `order` is a `WireOrder`, another JSON object, or something else, which has no fields.
    """
    if isinstance(order, WireOrder):
        values = astuple(order)
        return tuple(None if one is UNSET else one for one in values) if UNSET in values else values
    sent: WireObject = order if isinstance(order, dict) else {}
    return tuple(map(sent.get, ORDER_FIELDS))


@dataclass(frozen=True, slots=True)
class OrderListResponse:
    """A response to get-orders.

    Attributes:
        rows: at most `BLOCK_SIZE`, each a `WireOrder` or another JSON value.
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
