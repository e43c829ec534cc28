"""Wire to contract, lenient and lossless: pure functions, and every renaming happens here.

A value that cannot be read never costs the row: it is left out (or is `unknown`) and named in a
warning. Null or absent is left out without one.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

from msgspec import Struct
from pydantic_core import to_json

from app.orders.fingerprint import compact_json, fingerprint
from app.orders.schema import Order, PackageName, Payment
from app.orders.timestamps import parse_timestamp_ns
from app.upstream.drift import DriftKind
from app.upstream.wire import WireObject

T = TypeVar("T")

RAW_LENGTH = 100

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_MOMENT = re.compile(
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
_WORDS = frozenset({"status", "type", "source"})


@dataclass(frozen=True, slots=True)
class UnparsedField:
    """A value that could not be read: the field it would stand in, and what was sent."""

    field: str
    raw: str | None


class Row(Struct, frozen=True, gc=False):
    """One order, ready to be sent, and what it is found, sorted and added up by.

    The collector of cycles does not look at it, nor at tuples of it: it can be in no cycle, and to
    walk a hundred thousand of them is a stall.

    Attributes:
        body: its JSON, as we promise it.
        unread: what could not be read of it.
        names: the package names, case-folded.
        amount: `actual_amount`, exact.
        created: `created_at`, in nanoseconds since 1970.
        raw: what the upstream sent, as compact JSON.
        rev: the fingerprint of what the upstream sent.
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
        """The bytes of its text."""
        return len(self.body) + len(self.raw)


def map_order(sent: object, zone: ZoneInfo) -> Row:
    """One row of the upstream's list, or its order detail, as we promise it."""
    reading = _Reading(sent, zone)
    order = Order(
        order_no=reading.number("orderNo", "order_no"),
        status=reading.word("status", "status", STATUS),
        type=reading.word("orderType", "type", TYPE),
        source=reading.word("source", "source", SOURCE),
    )
    name = PackageName()
    _put(name, "en", reading.value("goodsNameEn", "package_name/en", _text))
    _put(name, "zh", reading.value("goodsName", "package_name/zh", _text))
    _put(order, "package_name", name or None)
    _put(order, "unit_price", reading.value("goodsUnitPrice", "unit_price", _decimal))
    _put(order, "quantity", reading.value("quantity", "quantity", _integer))
    _put(order, "actual_amount", reading.value("actualAmount", "actual_amount", _decimal))
    _put(order, "created_at", reading.moment("createTime", "created_at"))
    read = cast("dict[str, Any]", order)
    created = order.get("created_at")
    return Row(
        order["order_no"],
        to_json({field: read[field] for field in _ORDER_FIELDS if field in read}),
        tuple(reading.unread),
        has_amount="unit_price" in order or "actual_amount" in order,
        status=order["status"],
        type=order["type"],
        source=order["source"],
        search_names=_folded_names(name.get("en"), name.get("zh")),
        amount=_amount(order.get("actual_amount")),
        created_ns=None if created is None else parse_timestamp_ns(created),
        raw=compact_json(sent),
        rev=fingerprint(sent),
    )


def map_payment(sent: WireObject, zone: ZoneInfo) -> Row:
    """The upstream's payment detail as we promise it."""
    reading = _Reading(sent, zone)
    payment = Payment(order_no=reading.number("orderNo", "order_no"))
    _put(payment, "channel_order_no", reading.value("channelOrderNo", "channel_order_no", _text))
    _put(payment, "paid_amount", reading.value("paidAmount", "paid_amount", _decimal))
    _put(payment, "paid_at", reading.moment("paidTime", "paid_at"))
    account = reading.value("paidAccountNo", "paid_account", _text, secret=True)
    _put(payment, "paid_account", account and masked(account))
    _put(payment, "status_code", reading.value("payStatus", "status_code", _text))
    _put(payment, "method", reading.value("payType", "method", _text))
    _put(payment, "created_at", reading.moment("createTime", "created_at"))
    return Row(
        payment["order_no"],
        to_json(payment),
        tuple(reading.unread),
        has_amount="paid_amount" in payment,
    )


def row_drift(where: str, rows: Iterable[Row]) -> set[DriftKind]:
    """What the upstream sent in `rows` that we cannot read: words that are new, and the rest."""
    return {
        DriftKind("new word" if unread.field in _WORDS else "unread value", where, unread.field)
        for row in rows
        for unread in row.unparsed
    }


def masked(account: str) -> str:
    """All but the last 4 characters `*`; 4 or fewer all."""
    shown = account[-4:] if len(account) > len("****") else ""
    return "*" * (len(account) - len(shown)) + shown


def utc(text: str, zone: ZoneInfo) -> str | None:
    """The moment `text` in UTC; one that names no zone is in `zone`. None if it cannot be read."""
    found = _MOMENT.fullmatch(text)
    if not found:
        return None
    date, time, fraction, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset or ''}")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        seconds = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return None
    return f"{seconds}{fraction or ''}Z"


_ORDER_FIELDS = tuple(Order.__annotations__)

SHARED = 4096
"""Package names and amounts of which each is held once, however many rows have it."""


@lru_cache(SHARED)
def _folded_names(*names: str | None) -> tuple[str, ...]:
    return tuple(name.casefold() for name in names if name)


@lru_cache(SHARED)
def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _put(into: Order | Payment | PackageName, field: str, value: object) -> None:
    if value is not None:
        cast("dict[str, Any]", into)[field] = value


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) else None


def _decimal(value: object) -> str | None:
    return str(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


class _Reading:
    """One upstream object while it is read, and what of it could not be."""

    def __init__(self, sent: object, zone: ZoneInfo) -> None:
        self._zone = zone
        self.unread: list[UnparsedField] = []
        self._object: WireObject = sent if isinstance(sent, dict) else {}
        self._stray = None if isinstance(sent, dict) else _raw(sent)

    def value(
        self, key: str, field: str, read: Callable[[object], T | None], *, secret: bool = False
    ) -> T | None:
        sent = self._object.get(key)
        if sent is None:
            return None
        value = read(sent)
        if value is None:
            self.unread.append(UnparsedField(field, None if secret else _raw(sent)))
        return value

    def number(self, key: str, field: str) -> str:
        sent = self._object.get(key)
        if isinstance(sent, str) and sent:
            return str(sent)
        raw = self._stray if sent is None else _raw(sent)
        self.unread.append(UnparsedField(field, raw))
        return ""

    def word(self, key: str, field: str, words: dict[str, str]) -> str:
        return self.value(key, field, lambda sent: words.get(_folded(sent))) or "unknown"

    def moment(self, key: str, field: str) -> str | None:
        return self.value(
            key, field, lambda sent: utc(sent, self._zone) if isinstance(sent, str) else None
        )


def _folded(sent: object) -> str:
    return sent.casefold() if isinstance(sent, str) else ""


def _raw(sent: object) -> str:
    """What was sent, cut: text as it is, anything else as JSON."""
    text = sent if isinstance(sent, str) else json.dumps(sent, ensure_ascii=False)
    return text[:RAW_LENGTH]
