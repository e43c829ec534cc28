"""All bodies of the order routes, to be read in one place, hence a long file.

`mapping` and `rendering` make them; the OpenAPI document is generated from here. They are typed
dicts rather than models because unknown values are omitted: a key may be absent, but never null.
Enums are open: clients treat a value that they do not know as `unknown`.
"""

import json
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic supports typing's own only from Python 3.12 on

from app.edge.schema import Count, Int32, described, documented, open_enum

ORDER_NO = "202209251234224"
UPSTREAM_REQUEST_ID = "934108e5-9fbf-4d24-8da1-c330328abd6c"
EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_text("utf-8"))
"""Example bodies for the OpenAPI document."""

UNKNOWN = "the upstream's value is missing or not known to this version"

STATUSES = {
    "unpaid": "not paid yet",
    "paid": "paid, not completed",
    "completed": "paid and completed",
    "cancelled": "cancelled",
    "expired": "expired without payment",
    "unknown": UNKNOWN,
}
TYPES = {
    "new": "a first order",
    "upgrade": "an upgrade of a package",
    "renewal": "a renewal",
    "overdue_correction": "a correction after late payment",
    "overflow_correction": "a correction after the quota was exceeded",
    "unknown": UNKNOWN,
}
SOURCES = {
    "self_service": "ordered by the customer",
    "license": "a license order",
    "offline": "sold offline",
    "admin": "activated by the vendor's back office",
    "redemption_code": "a redeemed code",
    "unknown": UNKNOWN,
}
INTERVALS = {
    "day": "by day",
    "week": "by week, from Monday (ISO 8601)",
    "month": "by calendar month",
    "quarter": "by calendar quarter",
}
CHANGES = {
    "created": "the order is new",
    "updated": "the order has changed",
    "removed": "the order is no longer in the list",
}

STATUS_ENUM = open_enum("The status of the order, as the upstream reports it.", STATUSES)
TYPE_ENUM = open_enum("What kind of order it is.", TYPES)
SOURCE_ENUM = open_enum("Where the order comes from.", SOURCES)

DecimalText = Annotated[
    str,
    described(
        "A decimal number, with the upstream's digits, unrounded.",
        "199.00",
        pattern=r"^-?[0-9]+(\.[0-9]+)?$",
    ),
]
Quantity = Annotated[int, Field(gt=-(10**18), lt=10**18, json_schema_extra={"format": "int64"})]
Timestamp = Annotated[
    str,
    described(
        "RFC 3339 in UTC.", "2022-09-25T04:34:22Z", json_schema_extra={"format": "date-time"}
    ),
]
OrderNo = Annotated[
    str, described("Empty if the upstream's order number could not be read.", ORDER_NO)
]


class PackageName(TypedDict):
    """The package name, in the languages available."""

    en: NotRequired[Annotated[str, Field(examples=["Enterprise"])]]
    zh: NotRequired[Annotated[str, Field(examples=["企业版"])]]


class Order(TypedDict):
    """One order. Unknown values are omitted."""

    order_no: OrderNo
    package_name: NotRequired[PackageName]
    unit_price: NotRequired[Annotated[DecimalText, described("The price of one unit.")]]
    quantity: NotRequired[Annotated[Quantity, described("Units ordered.", 2)]]
    actual_amount: NotRequired[
        Annotated[DecimalText, described("The amount charged for the order.")]
    ]
    status: Annotated[str, STATUS_ENUM]
    type: Annotated[str, TYPE_ENUM]
    source: Annotated[str, SOURCE_ENUM]
    created_at: NotRequired[Timestamp]


class Origin(TypedDict):
    """The upstream response that an order comes from."""

    upstream_request_id: NotRequired[Annotated[str, Field(examples=[UPSTREAM_REQUEST_ID])]]
    fetched_at: Annotated[Timestamp, described("When it was requested.")]


Rev = Annotated[
    str,
    described(
        "Fingerprint of the upstream's row: it changes when the order does.",
        "8d3f1c0a9b7e5264",
        pattern="^[0-9a-f]{16}$",
    ),
]


class ListedOrder(Order):
    """One order of a list, with the fields that `include` adds."""

    rev: NotRequired[Rev]
    raw: NotRequired[Annotated[Any, described("The upstream's row, unchanged.")]]
    origin: NotRequired[Origin]


class Payment(TypedDict):
    """The payment of one order. Unknown values are omitted."""

    order_no: OrderNo
    channel_order_no: NotRequired[Annotated[str, described("The number at the payment channel.")]]
    paid_amount: NotRequired[DecimalText]
    paid_at: NotRequired[Timestamp]
    paid_account: NotRequired[
        Annotated[str, described("All but the last 4 characters are `*`.", "****6503")]
    ]
    status_code: NotRequired[
        Annotated[str, described("The upstream's own code; its meaning is not documented.", "3")]
    ]
    method: NotRequired[Annotated[str, described("The payment channel.", "Alipay")]]
    created_at: NotRequired[Timestamp]


class UnparsedValue(TypedDict):
    """An upstream value that could not be parsed: it is omitted, or `unknown`."""

    pointer: Annotated[str, described("JSON Pointer (RFC 6901) to the value.", "/data/3/quantity")]
    order_no: OrderNo
    raw: NotRequired[Annotated[str, described("As sent, cut to 100 characters.", max_length=100)]]


class ResponseMeta(TypedDict):
    """What a response is based on."""

    as_of: Annotated[Timestamp, described("When the oldest part of it was requested.")]
    upstream_request_ids: Annotated[
        list[str],
        described(
            "The requestId of each upstream response that this one is based on.",
            [UPSTREAM_REQUEST_ID],
            max_length=200,
        ),
    ]
    upstream_responses: NotRequired[
        Annotated[
            Int32,
            described(
                "Total number of upstream responses; present when the list of ids is cut at 200."
            ),
        ]
    ]
    warnings: NotRequired[Annotated[list[UnparsedValue], Field(max_length=100)]]
    warnings_omitted: NotRequired[
        Annotated[Count, described("Number of warnings beyond the first 100.")]
    ]
    currency: NotRequired[
        Annotated[str, described("ISO 4217, as configured by the operator.", "CNY")]
    ]


Inconsistent = Annotated[
    bool,
    described(
        "The list changed while it was read, or contradicts itself: an order may be missing or, "
        "if it contradicts itself for good, appear twice."
    ),
]


class PageMeta(ResponseMeta):
    """The position of a page in the list, and what it is based on."""

    page: Annotated[Int32, Field(examples=[1])]
    limit: Annotated[Int32, Field(examples=[10])]
    total: Annotated[Count, described("Number of matching orders.", 137)]
    pages: Annotated[Count, described("0 when there are no orders.", 14)]
    inconsistent: NotRequired[Inconsistent]


@documented
class OrderPage(TypedDict):
    """One page of the order list, in upstream order or sorted."""

    data: list[ListedOrder]
    meta: PageMeta


class Total(TypedDict):
    """The number of some orders, and the sum of their amounts."""

    count: Annotated[Count, Field(examples=[57])]
    actual_amount: Annotated[DecimalText, described("The exact sum of the readable amounts.")]


class StatusTotal(Total):
    """The total of one status."""

    status: Annotated[str, STATUS_ENUM]


class TypeTotal(Total):
    """The total of one type."""

    type: Annotated[str, TYPE_ENUM]


class SourceTotal(Total):
    """The total of one source."""

    source: Annotated[str, SOURCE_ENUM]


class MonthTotal(StatusTotal):
    """The total of one month and one status."""

    month: Annotated[
        str,
        described(
            "`YYYY-MM` in `time_zone`. `earlier`, sorted first, for everything before the newest "
            "400 months; `unknown`, sorted last, for orders without a creation time.",
            "2022-09",
        ),
    ]


class PeriodTotal(StatusTotal):
    """The total of one period and one status."""

    period: Annotated[
        str,
        described(
            "The first day of the period, in `time_zone`. `earlier`, sorted first, for everything "
            "before the newest 400 periods; `unknown`, sorted last, for orders without a creation "
            "time.",
            "2022-07-01",
        ),
    ]


class StatusGroups(TypedDict):
    """Totals of the statuses that belong together. They add up to the total of all orders."""

    revenue: Annotated[Total, described("Orders that are `paid` or `completed`.")]
    outstanding: Annotated[Total, described("Orders that are `unpaid`.")]
    lost: Annotated[Total, described("Orders that are `cancelled` or `expired`.")]
    other: Annotated[Total, described("Orders of any other status.")]


class Totals(Total):
    """Totals of all matching orders."""

    amounts_unknown: Annotated[
        Count, described("Orders without a readable amount, which are in no sum.", 0)
    ]
    groups: StatusGroups
    by_status: list[StatusTotal]
    by_type: list[TypeTotal]
    by_source: list[SourceTotal]
    by_month: list[MonthTotal]
    by_period: NotRequired[
        Annotated[list[PeriodTotal], described("Only with the parameter `interval`.")]
    ]


class OrderChange(TypedDict):
    """What happened to one order since the cursor."""

    change: Annotated[str, open_enum("What happened.", CHANGES)]
    order_no: OrderNo
    order: NotRequired[Annotated[Order, described("The order as it is now; absent if removed.")]]


class ChangesMeta(ResponseMeta):
    """The state after the changes."""

    cursor: Annotated[
        str, described("Pass it as `since` next time.", "5f0c9be2a0d54c7e8d3f1c0a9b7e5264")
    ]
    poll_after: Annotated[Int32, described("Seconds to wait before polling again.", 41)]


@documented
class OrderChanges(TypedDict):
    """What changed since a cursor, in no particular order."""

    data: list[OrderChange]
    meta: ChangesMeta


class SummaryMeta(ResponseMeta):
    """What a response over the whole list is based on."""

    inconsistent: NotRequired[Inconsistent]


@documented
class Summary(TypedDict):
    """Totals of the list, or of the orders matching the filters."""

    data: Totals
    meta: SummaryMeta


@documented
class SingleOrder(TypedDict):
    """One order."""

    data: Order
    meta: ResponseMeta


@documented
class SinglePayment(TypedDict):
    """One payment."""

    data: Payment
    meta: ResponseMeta
