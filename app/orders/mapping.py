"""Maps the upstream's orders and payments to ours, in one file: every renaming happens here.

The mapping is lenient: a value that cannot be parsed is omitted, or `unknown`, and listed in a
warning. It never costs the row. A value that is null or absent is omitted without a warning.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace
from pydantic_core import to_json

from app.orders.fingerprint import compact_json, fingerprint
from app.orders.search_text import normalized
from app.orders.upstream_time import parse_time
from app.upstream.drift import DriftKind
from app.upstream.numbers import parse_decimal, parse_integer
from app.upstream.wire import JsonNumber, WireObject, WireOrder, order_fields

T = TypeVar("T")

MAX_RAW_CHARS = 100
"""Characters of an unparsed value that its warning shows."""

MAX_TEXT_CHARS = 1000
"""Characters of a package name and of the texts of a payment; longer ones cannot be parsed."""

MAX_OBJECT_BYTES = 64 * 1024
"""Bytes of the upstream's object; a larger one is null."""

MAX_ORDER_NO_CHARS = 64
"""Characters of an order number; a longer one cannot be requested, so it counts as unreadable."""

CACHED_VALUES = 2048
"""Distinct packages, states and amounts that are shared between the rows that have them."""

MAX_SHARED_BYTES = 600
"""Bytes of an order's JSON; the parts of a larger one are not shared."""

ROW_OVERHEAD = 470
"""Memory in bytes of a row besides what its values contain: the objects, and references to them."""

UNPARSED_OVERHEAD = 100
"""Memory in bytes of an `UnparsedField` besides its text."""

MAX_QUANTITY_DIGITS = 18

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
_size_of_text = str.__sizeof__  # a tenth of the time of `getsizeof`
_HASHABLE = frozenset({str, JsonNumber, bool, type(None)})
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
        return size_of_rows((self,))


def size_of_rows(rows: Sequence[Row]) -> int:
    """Return the memory of the rows in bytes, shared values included."""
    unparsed = chain.from_iterable(map(attrgetter("unparsed"), rows))
    return (
        ROW_OVERHEAD * len(rows)
        + sum(map(len, map(attrgetter("body"), rows)))
        + sum(map(len, map(attrgetter("raw"), rows)))
        + sum(map(_size_of_text, map(attrgetter("order_no"), rows)))
        + sum(map(_size_of_text, chain.from_iterable(map(attrgetter("search_names"), rows))))
        + sum(UNPARSED_OVERHEAD + _size_of_text(one.raw or "") for one in unparsed)
    )


_Part = tuple[bytes, tuple[UnparsedField, ...], tuple[Any, ...]]
"""What some fields of an order are mapped to: JSON members, each after a comma; the fields that
could not be parsed; and what a `Row` has of them besides."""


def map_order(wire: object, zone: ZoneInfo) -> Row:
    """Return the row of an order from the upstream's list or order detail.

    Times that carry no zone are in `zone`.
    """
    fields = order_fields(wire)
    no, name, name_en, price, quantity, actual_amount, status, type_, created_at, source = fields
    raw = _object_json(wire)
    is_shared = len(raw) <= MAX_SHARED_BYTES and (
        isinstance(wire, WireOrder) or _HASHABLE.issuperset(map(type, fields))
    )
    map_state, map_package, map_amount = _shared_parts if is_shared else _parts
    state, state_unparsed, (status, type_, source) = map_state(status, type_, source)
    package, package_unparsed, (has_price, search_names) = map_package(
        name_en, name, price, quantity
    )
    amount, amount_unparsed, (amount_value,) = map_amount(actual_amount)
    created, created_unparsed, (created_ns,) = _map_created(created_at, zone)
    order_no, unreadable = _order_no(no, wire)
    return Row(
        order_no,
        b'{"order_no":%b%b%b%b%b}' % (to_json(order_no), package, amount, state, created),
        unreadable + state_unparsed + package_unparsed + amount_unparsed + created_unparsed,
        has_price or bool(amount),
        status,
        type_,
        source,
        search_names,
        amount_value,
        created_ns,
        raw,
        fingerprint(fields),
    )


def _map_state(status: object, type_: object, source: object) -> _Part:
    reader = _WireReader({"status": status, "orderType": type_, "source": source})
    members = {
        "status": reader.enum("status", "status", STATUS),
        "type": reader.enum("orderType", "type", TYPE),
        "source": reader.enum("source", "source", SOURCE),
    }
    return _part(reader, members, *members.values())


def _map_package(name_en: object, name_zh: object, unit_price: object, quantity: object) -> _Part:
    wire = {"goodsNameEn": name_en, "goodsName": name_zh, "goodsUnitPrice": unit_price}
    reader = _WireReader(wire | {"quantity": quantity})
    en = reader.value("goodsNameEn", "package_name/en", _text)
    zh = reader.value("goodsName", "package_name/zh", _text)
    price = reader.value("goodsUnitPrice", "unit_price", parse_decimal)
    members = _known(
        package_name=_known(en=en, zh=zh) or None,
        unit_price=price,
        quantity=reader.value("quantity", "quantity", _integer),
    )
    search_names = tuple(normalized(name) for name in (en, zh) if name)
    return _part(reader, members, price is not None, search_names)


def _map_amount(amount: object) -> _Part:
    reader = _WireReader({"actualAmount": amount})
    text = reader.value("actualAmount", "actual_amount", parse_decimal)
    return _part(reader, _known(actual_amount=text), None if text is None else Decimal(text))


def _map_created(time: object, zone: ZoneInfo) -> _Part:
    created = parse_time(time, zone) if isinstance(time, str) else None
    if created is None:
        unparsed = () if time is None else (UnparsedField("created_at", _raw(time)),)
        return b"", unparsed, (None,)
    created_at, created_ns = created
    return b',"created_at":"%b"' % created_at.encode(), (), (created_ns,)


def _part(reader: "_WireReader", members: Mapping[str, object], *values: object) -> _Part:
    json_members = b"," + to_json(members)[1:-1] if members else b""
    return json_members, tuple(reader.unparsed), values


_parts = (_map_state, _map_package, _map_amount)
# Most orders have a state, a package and an amount that others have, too. A number and a text can
# be equal and yet be parsed differently, so their types count.
_shared_parts = tuple(lru_cache(CACHED_VALUES, typed=True)(map_part) for map_part in _parts)


def map_payment(wire: WireObject, zone: ZoneInfo) -> Row:
    """Return the row of a payment. Times that carry no zone are in `zone`."""

    def to_utc(text: str) -> str | None:
        time = parse_time(text, zone)
        return time[0] if time else None

    order_no, unreadable = _order_no(wire.get("orderNo"), wire)
    reader = _WireReader(wire)
    payment = _known(
        order_no=order_no,
        channel_order_no=reader.value("channelOrderNo", "channel_order_no", _text),
        paid_amount=reader.value("paidAmount", "paid_amount", parse_decimal),
        paid_at=reader.value("paidTime", "paid_at", to_utc),
        paid_account=reader.value("paidAccountNo", "paid_account", mask_account, secret=True),
        status_code=reader.value("payStatus", "status_code", _text),
        method=reader.value("payType", "method", _text),
        created_at=reader.value("createTime", "created_at", to_utc),
    )
    return Row(
        order_no,
        to_json(payment),
        (*unreadable, *reader.unparsed),
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


def mark_repeated(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows; one with the order number of an earlier one has a warning about it.

    Without such rows it is the same sequence.
    """
    if len({row.order_no for row in rows}) == len(rows):
        return rows
    seen, marked = {""}, []
    for row in rows:
        repeated = UnparsedField("order_no", row.order_no[:MAX_RAW_CHARS])
        is_repeated = row.order_no and row.order_no in seen
        marked.append(replace(row, unparsed=(*row.unparsed, repeated)) if is_repeated else row)
        seen.add(row.order_no)
    return marked


def mask_account(account: str) -> str | None:
    """Return the account with all but the last 4 characters masked; 4 or fewer are all masked.

    It is None if it is longer than `MAX_TEXT_CHARS`.
    """
    if len(account) > MAX_TEXT_CHARS:
        return None
    visible = account[-4:] if len(account) > len("****") else ""
    return "*" * (len(account) - len(visible)) + visible


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

    def __init__(self, wire: WireObject) -> None:
        self.unparsed: list[UnparsedField] = []
        self._object = wire

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

    def enum(self, key: str, field: str, values: dict[str, str]) -> str:
        """Return our value for the upstream's, in any case, or `unknown`."""
        return self.value(key, field, lambda value: values.get(_word(value))) or "unknown"


def _order_no(value: object, wire: object) -> tuple[str, tuple[UnparsedField, ...]]:
    """Return the order number of an upstream row; without a readable one, `""` and a warning."""
    if isinstance(value, str) and 0 < len(value) <= MAX_ORDER_NO_CHARS:
        return str(value), ()
    is_absent = value is None and isinstance(wire, dict | WireOrder)
    raw = None if is_absent else _raw(wire if value is None else value)
    return "", (UnparsedField("order_no", raw),)


def _raw(value: object) -> str:
    """Return an upstream value for a warning, cut: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:MAX_RAW_CHARS]
