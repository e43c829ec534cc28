"""Exact totals of orders by status, type, source and month."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from app.orders.compute import cooperative_chunks
from app.orders.filters import Filter
from app.orders.mapping import Row
from app.orders.timestamps import month_of

UNKNOWN = "unknown"

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class _GroupKey(NamedTuple):
    month: str
    status: str
    type: str
    source: str


@dataclass(slots=True)
class _Accumulator:
    count: int = 0
    amount: Decimal = Decimal(0)
    unknown: int = 0

    def add(self, count: int, amount: Decimal | None, unknown: int) -> None:
        self.count += count
        self.unknown += unknown
        if amount is not None:
            self.amount = _EXACT.add(self.amount, amount)

    def totals(self) -> dict[str, object]:
        return {"count": self.count, "actual_amount": format(self.amount, "f")}


_Groups = dict[_GroupKey, _Accumulator]


@dataclass(frozen=True, slots=True)
class SummaryResult:
    """The JSON of a summary's `Totals`, and whether any amount is known."""

    totals: bytes
    has_amount: bool


async def summarize(rows: Sequence[Row], row_filter: Filter, zone: ZoneInfo) -> SummaryResult:
    """Return the totals of the rows that match the filter, with months in `zone`."""
    groups: _Groups = {}
    async for chunk in cooperative_chunks(rows):
        for row in chunk:
            if row_filter.matches(row):
                key = _GroupKey(_month(row, zone), row.status, row.type, row.source)
                groups.setdefault(key, _Accumulator()).add(1, row.amount, row.amount is None)
    overall = _Accumulator()
    for group in groups.values():
        overall.add(group.count, group.amount, group.unknown)
    totals = {
        **overall.totals(),
        "amounts_unknown": overall.unknown,
        "by_status": _group_by(groups, "status"),
        "by_type": _group_by(groups, "type"),
        "by_source": _group_by(groups, "source"),
        "by_month": _group_by(groups, "month", "status"),
    }
    return SummaryResult(to_json(totals), has_amount=overall.count > overall.unknown)


def _month(row: Row, zone: ZoneInfo) -> str:
    return (None if row.created_ns is None else month_of(row.created_ns, zone)) or UNKNOWN


def _group_by(groups: _Groups, *parts: str) -> list[dict[str, object]]:
    """Return the totals by these parts of the key, sorted by name with `unknown` last."""
    totals: dict[tuple[str, ...], _Accumulator] = {}
    for key, group in groups.items():
        names = tuple(getattr(key, part) for part in parts)
        totals.setdefault(names, _Accumulator()).add(group.count, group.amount, group.unknown)
    in_order = sorted(totals, key=lambda names: [(name == UNKNOWN, name) for name in names])
    return [dict(zip(parts, names, strict=True)) | totals[names].totals() for names in in_order]
