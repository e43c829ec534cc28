"""The query parameters of the order routes but the export: all in one file, to be compared."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from app.edge.query_params import decimal_integer
from app.edge.schema import describe_values
from app.orders.filters import NO_FILTER, Filter
from app.orders.schema import INTERVALS, ORDER_NO, SOURCES, STATUSES, TYPES
from app.orders.search_text import normalized
from app.orders.timestamps import parse_date_ns, parse_timestamp_ns
from app.time_zones import time_zone_names

MAX_PAGE = 1_000_000
MAX_LIMIT = 50
MAX_ORDER_NOS = 50

# Named schemas, so that generated clients have one class for all operations.
KnownStatus = TypeAliasType(
    "KnownStatus", Literal["unpaid", "paid", "completed", "cancelled", "expired", "unknown"]
)
KnownType = TypeAliasType(
    "KnownType",
    Literal["new", "upgrade", "renewal", "overdue_correction", "overflow_correction", "unknown"],
)
KnownSource = TypeAliasType(
    "KnownSource",
    Literal["self_service", "license", "offline", "admin", "redemption_code", "unknown"],
)
SortOrder = TypeAliasType(
    "SortOrder",
    Literal[
        "created_at",
        "-created_at",
        "actual_amount",
        "-actual_amount",
        "order_no",
        "-order_no",
        "status",
        "-status",
    ],
)
Include = TypeAliasType("Include", Literal["raw", "rev", "origin"])
Interval = TypeAliasType("Interval", Literal["day", "week", "month", "quarter"])

_ORDER_NO_PATTERN = re.compile(r"(?=.*[0-9])[0-9A-Za-z_-]{1,64}")
_CURSOR_PATTERN = re.compile(r"[0-9a-f]{32}")
_AMOUNT_PATTERN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TIME_SCHEMA = {"maxLength": 35, "anyOf": [{"format": "date-time"}, {"format": "date"}]}


def _check_order_no(value: str) -> str:
    if not _ORDER_NO_PATTERN.fullmatch(value):
        raise ValueError(
            "must be 1 to 64 of the characters 0-9 A-Z a-z _ - with at least one digit"
        )
    return value


def _check_cursor(value: str) -> str:
    if not _CURSOR_PATTERN.fullmatch(value):
        raise ValueError("must be the meta.cursor of an earlier response; omit it to get one")
    return value


def _any_of(description: str, values: dict[str, str], example: str) -> Any:
    """Return the field of a repeatable parameter that selects orders by an enum."""
    return Field(
        description=f"{description}; repeatable.\n\n" + describe_values(values),
        max_length=len(values),
        examples=[[example]],
    )


OrderNoParameter = Annotated[
    str,
    AfterValidator(_check_order_no),
    # Only documented here: pydantic's own patterns have no lookahead.
    Field(json_schema_extra={"pattern": f"^{_ORDER_NO_PATTERN.pattern}$", "maxLength": 64}),
]
"""An order number in a path or query."""


class FilterQuery(BaseModel):
    """Parameters that filter orders."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    status: Annotated[
        tuple[KnownStatus, ...], _any_of("Only orders with one of these statuses", STATUSES, "paid")
    ] = ()
    type: Annotated[
        tuple[KnownType, ...], _any_of("Only orders of one of these types", TYPES, "renewal")
    ] = ()
    source: Annotated[
        tuple[KnownSource, ...],
        _any_of("Only orders from one of these sources", SOURCES, "self_service"),
    ] = ()
    order_no: Annotated[
        tuple[OrderNoParameter, ...],
        Field(
            description=f"Only these order numbers; repeatable, up to {MAX_ORDER_NOS}.",
            max_length=MAX_ORDER_NOS,
            examples=[[ORDER_NO]],
        ),
    ] = ()
    q: Annotated[
        Annotated[str, Field(min_length=1, max_length=100)] | SkipJsonSchema[None],
        Field(
            description="Only orders whose number or package name contains this text (literal; "
            "upper and lower case, full and half width are the same).",
            examples=["企业版"],
        ),
    ] = None
    time_zone: Annotated[
        str,
        Field(
            description="IANA time zone for date-only filters and for grouping by month.",
            max_length=64,
            json_schema_extra={"format": "time-zone"},
            examples=["Asia/Shanghai"],
        ),
    ] = "UTC"
    created_from: Annotated[
        str | SkipJsonSchema[None],
        Field(
            description="Only orders created at or after this time: RFC 3339, or a date (midnight "
            "in `time_zone`). Orders without a creation time are excluded.",
            json_schema_extra=_TIME_SCHEMA,
            examples=["2022-09-01"],
        ),
    ] = None
    created_to: Annotated[
        str | SkipJsonSchema[None],
        Field(
            description="Only orders created before this time (exclusive); same format.",
            json_schema_extra=_TIME_SCHEMA,
            examples=["2022-10-01T00:00:00Z"],
        ),
    ] = None

    amount_from: Annotated[
        Annotated[str, Field(max_length=100)] | SkipJsonSchema[None],
        Field(
            description="Only orders of at least this amount. Orders without a readable amount are "
            "excluded.",
            json_schema_extra={"pattern": f"^{_AMOUNT_PATTERN.pattern}$"},
            examples=["1000"],
        ),
    ] = None
    amount_to: Annotated[
        Annotated[str, Field(max_length=100)] | SkipJsonSchema[None],
        Field(
            description="Only orders of at most this amount.",
            json_schema_extra={"pattern": f"^{_AMOUNT_PATTERN.pattern}$"},
            examples=["4999.99"],
        ),
    ] = None

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        if value not in time_zone_names():
            raise ValueError("must be an IANA time zone, for example Asia/Shanghai")
        return value

    @field_validator("created_from", "created_to")
    @classmethod
    def _check_time(cls, value: str, info: ValidationInfo) -> str:
        zone = ZoneInfo(info.data.get("time_zone", "UTC"))
        time_ns = _parse_time_ns(value, zone)
        if time_ns is None:
            raise ValueError(
                "must be a date (2022-09-25) or an RFC 3339 time (2022-09-25T04:34:22Z);"
                " encode the + of an offset as %2B"
            )
        start_ns = _parse_time_ns(info.data.get("created_from") or "", zone)
        if info.field_name == "created_to" and start_ns is not None and start_ns >= time_ns:
            raise ValueError("must be later than created_from")
        return value

    @field_validator("amount_from", "amount_to")
    @classmethod
    def _check_amount(cls, value: str, info: ValidationInfo) -> str:
        if not _AMOUNT_PATTERN.fullmatch(value):
            raise ValueError("must be a decimal number, for example 1000 or 199.50")
        start = info.data.get("amount_from")
        if info.field_name == "amount_to" and start is not None and Decimal(start) > Decimal(value):
            raise ValueError("must not be less than amount_from")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of dates and months."""
        return ZoneInfo(self.time_zone)

    def filter(self) -> Filter:
        """Return the filter for the list."""
        return Filter(
            frozenset(self.status),
            frozenset(self.type),
            frozenset(self.source),
            frozenset(self.order_no),
            normalized(self.q or ""),
            self._time_ns(self.created_from),
            self._time_ns(self.created_to),
            None if self.amount_from is None else Decimal(self.amount_from),
            None if self.amount_to is None else Decimal(self.amount_to),
        )

    def _time_ns(self, text: str | None) -> int | None:
        return None if text is None else _parse_time_ns(text, self.zone)


class SummaryQuery(FilterQuery):
    """Parameters of a summary."""

    interval: Annotated[
        Interval | SkipJsonSchema[None],
        Field(
            description="Adds `by_period`: totals by day, week, month or quarter in "
            "`time_zone`.\n\n" + describe_values(INTERVALS),
            examples=["quarter"],
        ),
    ] = None


class ListQuery(FilterQuery):
    """Parameters that filter, sort and extend orders."""

    sort: Annotated[
        SortOrder | SkipJsonSchema[None],
        Field(
            description="Order of the result. Default and tie-breaker: upstream order. Unknown "
            "values sort last.\n\n"
            + describe_values(
                {
                    "created_at": "creation time, oldest first",
                    "-created_at": "creation time, newest first",
                    "actual_amount": "amount, smallest first",
                    "-actual_amount": "amount, largest first",
                    "order_no": "order number, ascending",
                    "-order_no": "order number, descending",
                    "status": "`unpaid`, `paid`, `completed`, `cancelled`, `expired`",
                    "-status": "the other way round",
                }
            ),
            examples=["-created_at"],
        ),
    ] = None
    include: Annotated[
        tuple[Include, ...],
        Field(
            description="Additional fields for each order; repeatable.\n\n"
            + describe_values(
                {
                    "rev": "a fingerprint that changes when the order does",
                    "origin": "the upstream response that the order comes from",
                    "raw": "the upstream's row, unchanged (requires the scope `orders:raw`)",
                }
            ),
            max_length=3,
            examples=[["rev"]],
        ),
    ] = ()


class PageQuery(ListQuery):
    """Parameters of a page of the list."""

    page: Annotated[
        int,
        Field(
            description="The page, from 1. A page past the end is empty.",
            ge=1,
            le=MAX_PAGE,
            json_schema_extra={"format": "int32"},
            examples=[1],
        ),
        decimal_integer(MAX_PAGE, "follow the Link header to the existing pages"),
    ] = 1
    limit: Annotated[
        int,
        Field(
            description="Orders per page.",
            ge=1,
            le=MAX_LIMIT,
            json_schema_extra={"format": "int32"},
            examples=[10],
        ),
        decimal_integer(MAX_LIMIT, "request more pages"),
    ] = 10

    @property
    def start(self) -> int:
        """The position of the first order of the page."""
        return (self.page - 1) * self.limit

    def is_unfiltered(self) -> bool:
        """Return whether this is a page of the list in upstream order."""
        return self.sort is None and self.filter() == NO_FILTER


class ChangesQuery(BaseModel):
    """Parameters of the changes feed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    since: Annotated[
        Annotated[str, AfterValidator(_check_cursor)] | SkipJsonSchema[None],
        Field(
            description="The `meta.cursor` of an earlier response. Omit it to get no data, just "
            "the current cursor.",
            json_schema_extra={"pattern": f"^{_CURSOR_PATTERN.pattern}$", "maxLength": 32},
            examples=["5f0c9be2a0d54c7e8d3f1c0a9b7e5264"],
        ),
    ] = None


def _parse_time_ns(text: str, zone: ZoneInfo) -> int | None:
    at = parse_date_ns(text, zone)
    return parse_timestamp_ns(text) if at is None else at
