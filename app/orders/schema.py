"""All that we promise of bodies, in one file to be read as one. Knows nothing of the upstream.

The bodies are typed dicts and not models, because what is not known is left out: a key that is
absent says so, and the document shows no `null`. Enums are open: clients treat a value that they
do not know as `unknown`.
"""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

from app.edge.openapi_components import open_enum

ORDER_NO = "202209251234224"
UPSTREAM_REQUEST_ID = "934108e5-9fbf-4d24-8da1-c330328abd6c"


STATUSES = ("paid", "unpaid", "completed", "cancelled", "expired")
TYPES = ("new", "upgrade", "renewal", "overdue_correction", "overflow_correction")
SOURCES = ("self_service", "license", "offline", "admin", "redemption_code")

DecimalText = Annotated[
    str,
    Field(
        description="A decimal number, digit for digit as the upstream has it.",
        pattern=r"^-?[0-9]+(\.[0-9]+)?$",
        examples=["199.00"],
    ),
]
Timestamp = Annotated[
    str,
    Field(
        description="RFC 3339, in UTC.",
        json_schema_extra={"format": "date-time"},
        examples=["2022-09-25T04:34:22Z"],
    ),
]
OrderNo = Annotated[
    str, Field(description="Empty where the upstream's cannot be read.", examples=[ORDER_NO])
]


class PackageName(TypedDict):
    """The name of what was ordered, in the languages it has one."""

    en: NotRequired[Annotated[str, Field(examples=["Enterprise"])]]
    zh: NotRequired[Annotated[str, Field(examples=["企业版"])]]


class Order(TypedDict):
    """One order. What is not known is left out."""

    order_no: OrderNo
    package_name: NotRequired[PackageName]
    unit_price: NotRequired[DecimalText]
    quantity: NotRequired[Annotated[int, Field(examples=[2])]]
    actual_amount: NotRequired[DecimalText]
    status: Annotated[str, open_enum(*STATUSES)]
    type: Annotated[str, open_enum(*TYPES)]
    source: Annotated[str, open_enum(*SOURCES)]
    created_at: NotRequired[Timestamp]


class Origin(TypedDict):
    """The upstream answer that a row comes from."""

    upstream_request_id: NotRequired[Annotated[str, Field(examples=[UPSTREAM_REQUEST_ID])]]
    fetched_at: Annotated[Timestamp, Field(description="When it was asked for.")]


Rev = Annotated[
    str,
    Field(
        description="Fingerprint of what the upstream sent of it: it changes when the order does.",
        pattern="^[0-9a-f]{16}$",
        examples=["8d3f1c0a9b7e5264"],
    ),
]


class ListedOrder(Order):
    """One order of a list, with what `include` asks for."""

    rev: NotRequired[Rev]
    raw: NotRequired[Annotated[Any, Field(description="The upstream's row as it was sent.")]]
    origin: NotRequired[Origin]


class Payment(TypedDict):
    """The payment of one order. What is not known is left out."""

    order_no: OrderNo
    channel_order_no: NotRequired[str]
    paid_amount: NotRequired[DecimalText]
    paid_at: NotRequired[Timestamp]
    paid_account: NotRequired[
        Annotated[
            str,
            Field(description="All but the last 4 characters are `*`.", examples=["****6503"]),
        ]
    ]
    status_code: NotRequired[
        Annotated[
            str,
            Field(description="The upstream's own; its meaning is not documented.", examples=["3"]),
        ]
    ]
    method: NotRequired[Annotated[str, Field(examples=["Alipay"])]]
    created_at: NotRequired[Timestamp]


class UnparsedValue(TypedDict):
    """A value of the upstream that could not be read, and was left out or is `unknown`."""

    pointer: Annotated[
        str,
        Field(description="Where it would stand (RFC 6901).", examples=["/data/3/quantity"]),
    ]
    order_no: OrderNo
    raw: NotRequired[
        Annotated[str, Field(description="As sent, cut to 100 characters.", max_length=100)]
    ]


class ResponseMeta(TypedDict):
    """Where an answer comes from."""

    as_of: Annotated[Timestamp, Field(description="When the oldest part of it was asked for.")]
    upstream_request_ids: Annotated[
        list[str],
        Field(
            description="The requestId of each upstream answer that this one rests on.",
            max_length=200,
            examples=[[UPSTREAM_REQUEST_ID]],
        ),
    ]
    upstream_responses: NotRequired[
        Annotated[int, Field(description="How many there are, where 200 ids do not tell all.")]
    ]
    warnings: NotRequired[Annotated[list[UnparsedValue], Field(max_length=100)]]
    warnings_omitted: NotRequired[
        Annotated[int, Field(description="How many warnings are not shown.")]
    ]
    currency: NotRequired[
        Annotated[str, Field(description="ISO 4217, as the operator states it.", examples=["CNY"])]
    ]


Inconsistent = Annotated[
    bool,
    Field(
        description="The list changed while it was read: an order may be missing here, "
        "none stands twice."
    ),
]


class PageMeta(ResponseMeta):
    """Where a page stands in the list, and where it comes from."""

    page: Annotated[int, Field(examples=[1])]
    limit: Annotated[int, Field(examples=[10])]
    total: Annotated[
        int,
        Field(
            description="Orders in the whole list, or that the filters let through.", examples=[137]
        ),
    ]
    pages: Annotated[int, Field(description="0 when there are no orders.", examples=[14])]
    inconsistent: NotRequired[Inconsistent]


class OrderPage(TypedDict):
    """One page of the order list, in the upstream's order or sorted."""

    data: list[ListedOrder]
    meta: PageMeta


class Total(TypedDict):
    """How many orders, and what they come to."""

    count: Annotated[int, Field(examples=[57])]
    actual_amount: Annotated[
        DecimalText, Field(description="The exact sum of the amounts that are known.")
    ]


class StatusTotal(Total):
    """The orders of one status."""

    status: Annotated[str, open_enum(*STATUSES)]


class TypeTotal(Total):
    """The orders of one type."""

    type: Annotated[str, open_enum(*TYPES)]


class SourceTotal(Total):
    """The orders of one source."""

    source: Annotated[str, open_enum(*SOURCES)]


class MonthTotal(StatusTotal):
    """The orders of one month and one status."""

    month: Annotated[
        str,
        Field(
            description="In `time_zone`; `unknown` where an order tells no time, and then last.",
            examples=["2022-09"],
        ),
    ]


class Totals(Total):
    """All that the filters let through, added up."""

    amounts_unknown: Annotated[
        int, Field(description="Orders whose amount is not known, and in no sum.", examples=[0])
    ]
    by_status: list[StatusTotal]
    by_type: list[TypeTotal]
    by_source: list[SourceTotal]
    by_month: list[MonthTotal]


class OrderChange(TypedDict):
    """What became of one order since the state that was asked for."""

    change: Annotated[str, open_enum("created", "updated", "removed")]
    order_no: OrderNo
    order: NotRequired[Annotated[Order, Field(description="As it is now; none if removed.")]]


class ChangesMeta(ResponseMeta):
    """The state that the changes lead to."""

    cursor: Annotated[
        str,
        Field(
            description="Names the state by its content; for `since`.",
            examples=["5f0c9be2a0d54c7e8d3f1c0a9b7e5264"],
        ),
    ]
    poll_after: Annotated[
        int,
        Field(description="Seconds before which there will be nothing new.", examples=[41]),
    ]


class OrderChanges(TypedDict):
    """What changed since a state, in no promised order."""

    data: list[OrderChange]
    meta: ChangesMeta


class SummaryMeta(ResponseMeta):
    """Where an answer over the whole list comes from."""

    inconsistent: NotRequired[Inconsistent]


class Summary(TypedDict):
    """Totals of the list, or of what the filters let through."""

    data: Totals
    meta: SummaryMeta


class SingleOrder(TypedDict):
    """One order."""

    data: Order
    meta: ResponseMeta


class SinglePayment(TypedDict):
    """One payment."""

    data: Payment
    meta: ResponseMeta
