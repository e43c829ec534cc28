"""Exact totals of orders by status, type, source, month and period."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from sys import getsizeof
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct
from pydantic_core import to_json

from app.orders.compute import cooperative_chunks
from app.orders.filters import Filter
from app.orders.mapping import Row
from app.orders.timestamps import date_of

K = TypeVar("K")

ROW_COST = 3
"""The work of adding up a row, compared with matching it."""

UNKNOWN = "unknown"
EARLIER = "earlier"
OTHER = "other"
MAX_PERIODS = 400
"""Months, or periods, of a summary; those before the newest ones are added up."""

STATUS_GROUPS = {
    "revenue": ("paid", "completed"),
    "outstanding": ("unpaid",),
    "lost": ("cancelled", "expired"),
    OTHER: (),
}
_GROUP_OF_STATUS = {status: group for group, names in STATUS_GROUPS.items() for status in names}

_PERIOD_START: dict[str, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
    "quarter": lambda day: day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
}

EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class _Kind(NamedTuple):
    status: str
    type: str
    source: str


class _Accumulator(Struct, gc=False):
    """A count and a sum. The garbage collector, which would walk one for each day, skips it."""

    count: int = 0
    amount: Decimal = Decimal(0)
    unknown: int = 0

    def add(self, count: int, amount: Decimal | None, unknown: int) -> None:
        self.count += count
        self.unknown += unknown
        if amount is not None:
            self.amount = EXACT.add(self.amount, amount)

    def totals(self) -> dict[str, object]:
        return {"count": self.count, "actual_amount": format(self.amount, "f")}


_Totals = dict[K, _Accumulator]
_Day = tuple[date | None, str]
"""A day, None if it is not known, and a status."""


@dataclass(frozen=True, slots=True)
class SummaryResult:
    """The JSON of a summary's `Totals`, and whether any amount is known."""

    totals: bytes
    has_amount: bool

    @property
    def size(self) -> int:
        """The memory of the JSON in bytes."""
        return getsizeof(self.totals)


async def summarize(
    rows: Sequence[Row], row_filter: Filter, zone: ZoneInfo, interval: str | None = None
) -> SummaryResult:
    """Return the totals of the rows that match the filter.

    Args:
        rows: the whole list.
        row_filter: which rows.
        zone: the time zone of months and of the periods of `interval`.
        interval: a key of `_PERIOD_START`; None leaves out the totals by period.
    """
    kinds: _Totals[_Kind] = {}
    days: _Totals[_Day] = {}
    async for chunk in cooperative_chunks(rows, cost=lambda row: ROW_COST + row_filter.cost(row)):
        for row in chunk:
            if not row_filter.matches(row):
                continue
            day = None if row.created_ns is None else date_of(row.created_ns, zone)
            is_unknown = row.amount is None
            _add(kinds, _Kind(row.status, row.type, row.source), 1, row.amount, is_unknown)
            _add(days, (day, row.status), 1, row.amount, is_unknown)
    overall = _Accumulator()
    for part in kinds.values():
        overall.add(part.count, part.amount, part.unknown)
    summary = {
        **overall.totals(),
        "amounts_unknown": overall.unknown,
        "groups": _status_groups(kinds),
        "by_status": _group_by_kind(kinds, "status"),
        "by_type": _group_by_kind(kinds, "type"),
        "by_source": _group_by_kind(kinds, "source"),
        "by_month": _listed(await _by_period(days, _month), "month"),
    }
    if interval is not None:
        start = _PERIOD_START[interval]
        periods = await _by_period(days, lambda day: start(day).isoformat())
        summary["by_period"] = _listed(periods, "period")
    return SummaryResult(to_json(summary), has_amount=overall.count > overall.unknown)


def group_of_status(status: str) -> str:
    """Return the key of `STATUS_GROUPS` that a status belongs to."""
    return _GROUP_OF_STATUS.get(status, OTHER)


def _month(day: date) -> str:
    return day.isoformat()[:7]


def _add(totals: _Totals[K], key: K, count: int, amount: Decimal | None, unknown: int) -> None:
    totals.setdefault(key, _Accumulator()).add(count, amount, unknown)


def _status_groups(kinds: _Totals[_Kind]) -> dict[str, dict[str, object]]:
    groups = {name: _Accumulator() for name in STATUS_GROUPS}
    for kind, part in kinds.items():
        groups[group_of_status(kind.status)].add(part.count, part.amount, part.unknown)
    return {name: group.totals() for name, group in groups.items()}


def _group_by_kind(kinds: _Totals[_Kind], name: str) -> list[dict[str, object]]:
    """Return the totals by one part of the kind, sorted, `unknown` last."""
    totals: _Totals[str] = {}
    for kind, part in kinds.items():
        _add(totals, getattr(kind, name), part.count, part.amount, part.unknown)
    return [{name: value} | totals[value].totals() for value in sorted(totals, key=_order)]


async def _by_period(
    days: _Totals[_Day], period_of: Callable[[date], str]
) -> _Totals[tuple[str, str]]:
    """Return the totals by period and status, those before the newest periods merged."""
    totals: _Totals[tuple[str, str]] = {}
    newest: list[str] = []
    async for chunk in cooperative_chunks(days.items()):
        periods = set(newest)
        for (day, status), part in chunk:
            period = UNKNOWN if day is None else period_of(day)
            _add(totals, (period, status), part.count, part.amount, part.unknown)
            periods.add(period)
        newest = sorted(periods - {UNKNOWN})[-MAX_PERIODS:]
    limited: _Totals[tuple[str, str]] = {}
    async for keys in cooperative_chunks(totals):
        for period, status in keys:
            part = totals[period, status]
            is_listed = period == UNKNOWN or period >= newest[0]
            key = period if is_listed else EARLIER, status
            _add(limited, key, part.count, part.amount, part.unknown)
    return limited


def _listed(totals: _Totals[tuple[str, str]], name: str) -> list[dict[str, object]]:
    """Return the totals by period and status, sorted, `earlier` first and `unknown` last."""
    keys = sorted(totals, key=lambda key: (_order(key[0]), _order(key[1])))
    return [
        {name: period, "status": status} | totals[period, status].totals()
        for period, status in keys
    ]


def _order(name: str) -> tuple[bool, bool, str]:
    return name == UNKNOWN, name != EARLIER, name
