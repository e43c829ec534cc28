"""What may be asked of the list: every parameter, in one file, and the question that they make.

Knows no route and no list.
"""

from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from app.edge.query_params import DecimalInteger, OneOf, OrderNumber
from app.orders.mapping import Row
from app.orders.schema import ORDER_NO, SOURCES, STATUSES, TYPES
from app.orders.timestamps import parse_date_ns, parse_timestamp_ns

MAX_LIMIT = 50
MAX_ORDER_NOS = 50
SORTS = ("created_at", "actual_amount", "order_no")

Status = Annotated[str, OneOf((*STATUSES, "unknown"))]
Type = Annotated[str, OneOf((*TYPES, "unknown"))]
Source = Annotated[str, OneOf((*SOURCES, "unknown"))]
INCLUDES = ("raw", "rev", "origin")
Include = Annotated[str, OneOf(INCLUDES)]
Sort = Annotated[str, OneOf(tuple(f"{minus}{key}" for key in SORTS for minus in ("", "-")))]

_MOMENT = {
    "anyOf": [
        {"type": "string", "format": "date-time", "maxLength": 35},
        {"type": "string", "format": "date", "maxLength": 10},
    ]
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which orders are meant: those to which every part that is not empty applies.

    Attributes:
        text: case-folded; a substring of the order number or of a package name.
        created_from, created_to: nanoseconds since 1970; from the one on, before the other.
    """

    statuses: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    order_nos: frozenset[str] = frozenset()
    search_text: str = ""
    created_from: int | None = None
    created_to: int | None = None

    def matches(self, row: Row) -> bool:
        """Whether `row` is meant."""
        if self.statuses and row.status not in self.statuses:
            return False
        if self.types and row.type not in self.types:
            return False
        if self.sources and row.source not in self.sources:
            return False
        if self.order_nos and row.order_no not in self.order_nos:
            return False
        return self._in_time(row.created_ns) and self._in_text(row)

    def _in_time(self, created: int | None) -> bool:
        if self.created_from is None and self.created_to is None:
            return True
        if created is None:
            return False
        if self.created_from is not None and created < self.created_from:
            return False
        return self.created_to is None or created < self.created_to

    def _in_text(self, row: Row) -> bool:
        if not self.search_text or self.search_text in row.order_no.casefold():
            return True
        return any(self.search_text in name for name in row.search_names)


NO_FILTER = Filter()


class Filters(BaseModel):
    """Which orders are meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Annotated[
        tuple[Status, ...],
        Field(
            description="Only these statuses. May be repeated.",
            max_length=len(STATUSES) + 1,
            examples=[["paid"]],
        ),
    ] = ()
    type: Annotated[
        tuple[Type, ...],
        Field(
            description="Only these types. May be repeated.",
            max_length=len(TYPES) + 1,
            examples=[["renewal"]],
        ),
    ] = ()
    source: Annotated[
        tuple[Source, ...],
        Field(
            description="Only these sources. May be repeated.",
            max_length=len(SOURCES) + 1,
            examples=[["self_service"]],
        ),
    ] = ()
    order_no: Annotated[
        tuple[OrderNumber, ...],
        Field(
            description=f"Only these orders. May be given {MAX_ORDER_NOS} times.",
            max_length=MAX_ORDER_NOS,
            examples=[[ORDER_NO]],
        ),
    ] = ()
    q: Annotated[
        str | None,
        Field(
            description="Only orders with this text in their number or in a package name, "
            "as it stands; capitals do not matter.",
            min_length=1,
            max_length=100,
            examples=["企业版"],
        ),
    ] = None
    time_zone: Annotated[
        str,
        Field(
            description="The zone (IANA) of dates without a time, and of months.",
            max_length=64,
            json_schema_extra={"format": "time-zone"},
            examples=["UTC"],
        ),
    ] = "UTC"
    created_from: Annotated[
        str | None,
        Field(
            description="Only orders created then or later: RFC 3339, or a date alone, which is "
            "its midnight in `time_zone`. An order that tells no time is left out.",
            json_schema_extra=_MOMENT,
            examples=["2022-09-01"],
        ),
    ] = None
    created_to: Annotated[
        str | None,
        Field(
            description="Only orders created before then; written as `created_from`.",
            json_schema_extra=_MOMENT,
            examples=["2022-10-01T00:00:00Z"],
        ),
    ] = None

    @field_validator("time_zone")
    @classmethod
    def _zone_there_is(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a zone of the IANA list, as Asia/Shanghai") from None
        return value

    @field_validator("created_from", "created_to")
    @classmethod
    def _moment_there_is(cls, value: str, info: ValidationInfo) -> str:
        if _moment(value, ZoneInfo(info.data.get("time_zone", "UTC"))) is None:
            raise ValueError(
                "must be a date, as 2022-09-25, or a moment, as 2022-09-25T04:34:22Z;"
                " write the + of an offset as %2B"
            )
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The zone of dates and months."""
        return ZoneInfo(self.time_zone)

    def filter(self) -> Filter:
        """The filter that they make."""
        return Filter(
            frozenset(self.status),
            frozenset(self.type),
            frozenset(self.source),
            frozenset(self.order_no),
            (self.q or "").casefold(),
            self._at(self.created_from),
            self._at(self.created_to),
        )

    def _at(self, text: str | None) -> int | None:
        return None if text is None else _moment(text, self.zone)


class ListFilters(Filters):
    """Which orders are meant, in which order, and what is told of each."""

    sort: Annotated[
        Sort | None,
        Field(
            description="`-` for descending. Without it, and where two are equal, the upstream's "
            "order stands; what is not known comes last.",
            examples=["-created_at"],
        ),
    ] = None
    include: Annotated[
        tuple[Include, ...],
        Field(
            description="What else is told of each order: `rev`, its fingerprint; `origin`, the "
            "upstream answer it comes from; `raw`, the upstream's row as it was sent (needs the "
            "scope `orders:raw`). May be repeated.",
            max_length=len(INCLUDES),
            examples=[["rev"]],
        ),
    ] = ()


class ExportQuery(ListFilters):
    """Which orders go into which file."""

    format: Annotated[
        str,
        OneOf(("csv", "ndjson")),
        Field(
            description="`csv` for spreadsheets, always with the same columns; `ndjson` for "
            "programs, an order a line. `include` goes with `ndjson` alone.",
            examples=["ndjson"],
        ),
    ]

    @field_validator("format")
    @classmethod
    def _includes_nothing_in_csv(cls, value: str, info: ValidationInfo) -> str:
        if value == "csv" and info.data.get("include"):
            raise ValueError("csv has the same columns always; include goes with ndjson alone")
        return value


class ChangesQuery(BaseModel):
    """From which state on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Annotated[
        str | None,
        Field(
            description="The `meta.cursor` of an earlier answer. Without it there is no data, "
            "but the cursor of the present state.",
            pattern="^[0-9a-f]{32}$",
            json_schema_extra={"maxLength": 32},
            examples=["5f0c9be2a0d54c7e8d3f1c0a9b7e5264"],
        ),
    ] = None


class OrdersQuery(ListFilters):
    """Which page of which list."""

    page: Annotated[
        int,
        DecimalInteger(1_000_000, "follow the Link header to the pages there are"),
        Field(description="The page, from 1. One past the end is empty.", examples=[1]),
    ] = 1
    limit: Annotated[
        int,
        DecimalInteger(MAX_LIMIT, "ask for more pages"),
        Field(description="Orders a page.", examples=[10]),
    ] = 10

    @property
    def start(self) -> int:
        """The position of the page's first order."""
        return (self.page - 1) * self.limit

    def is_unfiltered(self) -> bool:
        """Whether it is a window on the list as it stands."""
        return self.sort is None and self.filter() == NO_FILTER


def _moment(text: str, zone: ZoneInfo) -> int | None:
    at = parse_date_ns(text, zone)
    return parse_timestamp_ns(text) if at is None else at
