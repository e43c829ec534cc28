"""Orders added up, exactly, by status, type, source and month. Reads rows alone, in slices."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from app.orders.mapping import Row
from app.orders.queries import Filter
from app.orders.schema import MonthTotal, SourceTotal, StatusTotal, Totals, TypeTotal
from app.orders.slices import cooperative_chunks
from app.orders.timestamps import month

UNKNOWN = "unknown"

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)

_Kind = tuple[str, str, str, str]
"""Month, status, type, source."""


@dataclass(slots=True)
class _Sum:
    count: int = 0
    amount: Decimal = Decimal(0)
    unknown: int = 0

    def add(self, count: int, amount: Decimal | None, unknown: int) -> None:
        self.count += count
        self.unknown += unknown
        if amount is not None:
            self.amount = _EXACT.add(self.amount, amount)

    @property
    def text(self) -> str:
        return format(self.amount, "f")


@dataclass(frozen=True, slots=True)
class SummaryResult:
    """What orders come to: the `data` of a summary, and whether it tells of any amount."""

    body: bytes
    has_amount: bool


async def summarize(rows: Sequence[Row], asked: Filter, zone: ZoneInfo) -> SummaryResult:
    """The totals of the rows that `asked` lets through, with months in `zone`."""
    sums: dict[_Kind, _Sum] = {}
    async for some in cooperative_chunks(rows):
        for row in some:
            if asked.matches(row):
                kind = (_month(row, zone), row.status, row.type, row.source)
                sums.setdefault(kind, _Sum()).add(1, row.amount, row.amount is None)
    whole = _together(sums, lambda _: "").get("", _Sum())
    by_month = _in_order(_together(sums, lambda kind: kind[:2]))
    totals = Totals(
        count=whole.count,
        actual_amount=whole.text,
        amounts_unknown=whole.unknown,
        by_status=[
            StatusTotal(status=word, count=one.count, actual_amount=one.text)
            for word, one in _by(sums, 1)
        ],
        by_type=[
            TypeTotal(type=word, count=one.count, actual_amount=one.text)
            for word, one in _by(sums, 2)
        ],
        by_source=[
            SourceTotal(source=word, count=one.count, actual_amount=one.text)
            for word, one in _by(sums, 3)
        ],
        by_month=[
            MonthTotal(month=when, status=status, count=one.count, actual_amount=one.text)
            for (when, status), one in by_month
        ],
    )
    return SummaryResult(to_json(totals), has_amount=whole.count > whole.unknown)


def _month(row: Row, zone: ZoneInfo) -> str:
    return (None if row.created_ns is None else month(row.created_ns, zone)) or UNKNOWN


def _together(sums: dict[_Kind, _Sum], name: Callable[[_Kind], Any]) -> dict[Any, _Sum]:
    together: dict[Any, _Sum] = {}
    for kind, one in sums.items():
        together.setdefault(name(kind), _Sum()).add(one.count, one.amount, one.unknown)
    return together


def _by(sums: dict[_Kind, _Sum], part: int) -> Iterable[tuple[Any, _Sum]]:
    return _in_order(_together(sums, lambda kind: kind[part]))


def _in_order(sums: dict[Any, _Sum]) -> Iterable[tuple[Any, _Sum]]:
    """By name, the unknown last."""

    def place(named: tuple[Any, _Sum]) -> list[tuple[bool, str]]:
        words = (named[0],) if isinstance(named[0], str) else named[0]
        return [(word == UNKNOWN, word) for word in words]

    return sorted(sums.items(), key=place)
