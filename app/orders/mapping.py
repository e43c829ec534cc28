"""Maps the upstream's orders and payments to ours, in one file: every renaming happens here.

The mapping is lenient: a value that cannot be parsed is omitted, or `unknown`, and listed in a
warning. It never costs the row. A value that is null or absent is omitted without a warning.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from sys import getsizeof
from typing import TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace
from pydantic_core import to_json

from app.orders.fingerprint import compact_json, fingerprint
from app.orders.search_text import normalized
from app.orders.timestamps import parse_timestamp_ns
from app.upstream.drift import DriftKind
from app.upstream.numbers import parse_decimal, parse_integer
from app.upstream.wire import JsonNumber, WireObject

T = TypeVar("T")

MAX_RAW_CHARS = 100
"""Characters of an unparsed value that its warning shows."""

MAX_TEXT_CHARS = 1000
"""Characters of a package name and of the texts of a payment; longer ones cannot be parsed."""

MAX_OBJECT_BYTES = 64 * 1024
"""Bytes of the upstream's object; a larger one is null."""

MAX_ORDER_NO_CHARS = 64
"""Characters of an order number; a longer one cannot be requested, so it counts as unreadable."""

CACHED_VALUES = 4096
"""Distinct package names, and amounts, that are shared between the rows that have them."""

MAX_SHARED_CHARS = 100
"""Characters of a package's names, above which they are not shared."""

ROW_OVERHEAD = 400
"""Memory in bytes of a row besides what its values contain: the objects, and references to them."""

UNPARSED_OVERHEAD = 100
"""Memory in bytes of an `UnparsedField` besides its text."""

MAX_QUANTITY_DIGITS = 18

_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)

STATUS = {
    "1": "unpaid",
    "2": "paid",
    "3": "completed",
    "4": "cancelled",
    "5": "expired",
}
TYPE = {
    "new": "new",
    "upgrade": "upgrade",
    "renew": "renewal",
    "overdue_correct": "overdue_correction",
    "overflowed_correct": "overflow_correction",
}
SOURCE = {
    "licence": "license",
    "license": "license",
    "offline": "offline",
    "eadmin": "admin",
    "selfhelp": "self_service",
    "cdkey": "redemption_code",
}
_ENUM_FIELDS = frozenset({"status", "type", "source"})


@dataclass(frozen=True, slots=True)
class UnparsedField:
    """A field whose value could not be parsed, and the value; None if it is secret."""

    field: str
    raw: str | None


class Row(Struct, frozen=True, gc=False):
    """One order or payment as it is sent, and the values to filter, sort and sum it by.

    The garbage collector does not track it nor tuples of it. It cannot be part of a cycle, and a
    collection that walks a hundred thousand rows stalls the event loop.

    Attributes:
        order_no: the order number, empty if it cannot be read.
        body: the JSON that is sent.
        unparsed: the fields that could not be parsed.
        has_amount: whether `body` has an amount of money.
        search_names: the package names, normalized.
        amount: `actual_amount`, exact.
        created_ns: `created_at`, in nanoseconds since 1970.
        raw: the upstream's object, as compact JSON.
        rev: the fingerprint of the upstream's object.
    """

    order_no: str
    body: bytes
    unparsed: tuple[UnparsedField, ...]
    has_amount: bool
    status: str = "unknown"
    type: str = "unknown"
    source: str = "unknown"
    search_names: tuple[str, ...] = ()
    amount: Decimal | None = None
    created_ns: int | None = None
    raw: bytes = b"{}"
    rev: str = ""

    @property
    def size(self) -> int:
        """The memory in bytes, shared values included."""
        texts = (self.order_no, *self.search_names, *(one.raw or "" for one in self.unparsed))
        parts = sum(map(getsizeof, (self.body, self.raw, *texts)))
        return parts + ROW_OVERHEAD + UNPARSED_OVERHEAD * len(self.unparsed)


def map_order(wire: object, zone: ZoneInfo) -> Row:
    """Return the row of an order from the upstream's list or order detail.

    Times that carry no zone are in `zone`.
    """
    reader = _WireReader(wire, zone)
    order_no = reader.order_no()
    status = reader.enum("status", "status", STATUS)
    type_ = reader.enum("orderType", "type", TYPE)
    source = reader.enum("source", "source", SOURCE)
    name_en = reader.value("goodsNameEn", "package_name/en", _text)
    name_zh = reader.value("goodsName", "package_name/zh", _text)
    unit_price = reader.value("goodsUnitPrice", "unit_price", parse_decimal)
    quantity = reader.value("quantity", "quantity", _integer)
    amount = reader.value("actualAmount", "actual_amount", parse_decimal)
    created_at = reader.timestamp("createTime", "created_at")
    order = _known(
        order_no=order_no,
        package_name=_known(en=name_en, zh=name_zh) or None,
        unit_price=unit_price,
        quantity=quantity,
        actual_amount=amount,
        status=status,
        type=type_,
        source=source,
        created_at=created_at,
    )
    return Row(
        order_no,
        to_json(order),
        tuple(reader.unparsed),
        has_amount=unit_price is not None or amount is not None,
        status=status,
        type=type_,
        source=source,
        search_names=_folded_names(name_en, name_zh),
        amount=None if amount is None else _amount(amount),
        created_ns=None if created_at is None else parse_timestamp_ns(created_at),
        raw=_object_json(wire),
        rev=fingerprint(wire),
    )


def mapping_cost(wire: object) -> int:
    """Return the work of mapping an order: the characters whose normalization may take long."""
    names = (wire.get("goodsNameEn"), wire.get("goodsName")) if isinstance(wire, dict) else ()
    lengths = [len(name) for name in names if isinstance(name, str)]
    return 1 + sum(length for length in lengths if length <= MAX_TEXT_CHARS)


def map_payment(wire: WireObject, zone: ZoneInfo) -> Row:
    """Return the row of a payment. Times that carry no zone are in `zone`."""
    reader = _WireReader(wire, zone)
    order_no = reader.order_no()
    payment = _known(
        order_no=order_no,
        channel_order_no=reader.value("channelOrderNo", "channel_order_no", _text),
        paid_amount=reader.value("paidAmount", "paid_amount", parse_decimal),
        paid_at=reader.timestamp("paidTime", "paid_at"),
        paid_account=reader.value("paidAccountNo", "paid_account", mask_account, secret=True),
        status_code=reader.value("payStatus", "status_code", _text),
        method=reader.value("payType", "method", _text),
        created_at=reader.timestamp("createTime", "created_at"),
    )
    return Row(
        order_no,
        to_json(payment),
        tuple(reader.unparsed),
        has_amount="paid_amount" in payment,
    )


def row_drift(schema: str, rows: Iterable[Row]) -> set[DriftKind]:
    """Return the kinds of unparsed fields in `rows`, which are of the upstream's `schema`."""
    return {
        DriftKind(
            "unknown value" if unparsed.field in _ENUM_FIELDS else "unparsed value",
            schema,
            unparsed.field,
        )
        for row in rows
        for unparsed in row.unparsed
    }


def mark_repeated(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows; one with the order number of an earlier one has a warning about it."""
    if len({row.order_no for row in rows}) == len(rows):
        return rows
    seen, marked = {""}, []
    for row in rows:
        repeated = UnparsedField("order_no", row.order_no[:MAX_RAW_CHARS])
        is_repeated = row.order_no and row.order_no in seen
        marked.append(replace(row, unparsed=(*row.unparsed, repeated)) if is_repeated else row)
        seen.add(row.order_no)
    return tuple(marked)


def mask_account(account: str) -> str | None:
    """Return the account with all but the last 4 characters masked; 4 or fewer are all masked.

    It is None if it is longer than `MAX_TEXT_CHARS`.
    """
    if len(account) > MAX_TEXT_CHARS:
        return None
    visible = account[-4:] if len(account) > len("****") else ""
    return "*" * (len(account) - len(visible)) + visible


def to_utc(text: str, zone: ZoneInfo) -> str | None:
    """Return a timestamp of the upstream as RFC 3339 in UTC, None if it cannot be parsed.

    One without an offset is in `zone`. The fraction stays as it is.
    """
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return None
    date, time, fraction, offset = match.groups()
    try:
        timestamp = datetime.fromisoformat(f"{date}T{time}{offset or ''}")
        if timestamp.tzinfo is None:
            timestamp = timestamp.replace(tzinfo=zone)
        seconds = timestamp.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return None
    return f"{seconds}{fraction or ''}Z"


def _folded_names(*names: str | None) -> tuple[str, ...]:
    is_short = sum(len(name or "") for name in names) <= MAX_SHARED_CHARS
    return _shared_folded(*names) if is_short else _folded(*names)


def _folded(*names: str | None) -> tuple[str, ...]:
    return tuple(normalized(name) for name in names if name)


_shared_folded = lru_cache(CACHED_VALUES)(_folded)


_amount = lru_cache(CACHED_VALUES)(Decimal)


def _object_json(wire: object) -> bytes:
    raw = compact_json(wire)
    return raw if len(raw) <= MAX_OBJECT_BYTES else b"null"


def _known(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: str) -> str | None:
    return str(value) if len(value) <= MAX_TEXT_CHARS else None


def _integer(value: str) -> int | None:
    return parse_integer(value, MAX_QUANTITY_DIGITS, signed=True)


def _word(value: str) -> str:
    """Return the value of an enum as it is listed: in lower case, a number as an integer."""
    number = parse_integer(value) if isinstance(value, JsonNumber) else None
    return value.casefold() if number is None else str(number)


class _WireReader:
    """Reads the fields of one upstream object and collects those that cannot be parsed."""

    def __init__(self, wire: object, zone: ZoneInfo) -> None:
        self._zone = zone
        self.unparsed: list[UnparsedField] = []
        self._object: WireObject = wire if isinstance(wire, dict) else {}
        self._non_object = None if isinstance(wire, dict) else _raw(wire)

    def value(
        self, key: str, field: str, parse: Callable[[str], T | None], *, secret: bool = False
    ) -> T | None:
        """Return the parsed value of `key`, which becomes our `field`, or None."""
        wire_value = self._object.get(key)
        if wire_value is None:
            return None
        # A number is a `JsonNumber`, which is a str too.
        value = parse(wire_value) if isinstance(wire_value, str) else None
        if value is None:
            self.unparsed.append(UnparsedField(field, None if secret else _raw(wire_value)))
        return value

    def order_no(self) -> str:
        """Return the order number; without a readable one, an empty text and a warning."""
        wire_value = self._object.get("orderNo")
        if isinstance(wire_value, str) and 0 < len(wire_value) <= MAX_ORDER_NO_CHARS:
            return str(wire_value)
        raw = self._non_object if wire_value is None else _raw(wire_value)
        self.unparsed.append(UnparsedField("order_no", raw))
        return ""

    def enum(self, key: str, field: str, values: dict[str, str]) -> str:
        """Return our value for the upstream's, in any case, or `unknown`."""
        return self.value(key, field, lambda value: values.get(_word(value))) or "unknown"

    def timestamp(self, key: str, field: str) -> str | None:
        """Return the time in UTC."""
        return self.value(key, field, lambda text: to_utc(text, self._zone))


def _raw(value: object) -> str:
    """Return an upstream value for a warning, cut: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:MAX_RAW_CHARS]
