"""Exact totals of orders by status, type, source, month and period."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from app.orders.compute import cooperative_chunks
from app.orders.filters import Filter
from app.orders.mapping import Row
from app.orders.timestamps import date_of

UNKNOWN = "unknown"
EARLIER = "earlier"
OTHER = "other"
MAX_PERIODS = 400
"""Periods of a summary; those before the newest ones are added up."""

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

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class _Kind(NamedTuple):
    status: str
    type: str
    source: str


class _Period(NamedTuple):
    month: str
    period: str
    status: str


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


_Totals = dict[tuple[str, ...], _Accumulator]


@dataclass(frozen=True, slots=True)
class SummaryResult:
    """The JSON of a summary's `Totals`, and whether any amount is known."""

    totals: bytes
    has_amount: bool


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
    period_start = _PERIOD_START["month" if interval is None else interval]
    kinds: _Totals = {}
    periods: _Totals = {}
    async for chunk in cooperative_chunks(rows):
        for row in chunk:
            if not row_filter.matches(row):
                continue
            day = None if row.created_ns is None else date_of(row.created_ns, zone)
            month = UNKNOWN if day is None else day.isoformat()[:7]
            period = UNKNOWN if day is None else period_start(day).isoformat()
            is_unknown = row.amount is None
            for totals, key in (
                (kinds, _Kind(row.status, row.type, row.source)),
                (periods, _Period(month, period, row.status)),
            ):
                totals.setdefault(key, _Accumulator()).add(1, row.amount, is_unknown)
    overall = _Accumulator()
    for part in kinds.values():
        overall.add(part.count, part.amount, part.unknown)
    summary = {
        **overall.totals(),
        "amounts_unknown": overall.unknown,
        "groups": _status_groups(kinds),
        "by_status": _group_by(kinds, "status"),
        "by_type": _group_by(kinds, "type"),
        "by_source": _group_by(kinds, "source"),
        "by_month": _group_by(periods, "month", "status"),
    }
    if interval is not None:
        summary["by_period"] = _group_by(_limit_periods(periods), "period", "status")
    return SummaryResult(to_json(summary), has_amount=overall.count > overall.unknown)


def _status_groups(kinds: _Totals) -> dict[str, dict[str, object]]:
    groups = {name: _Accumulator() for name in STATUS_GROUPS}
    for key, part in kinds.items():
        group = _GROUP_OF_STATUS.get(key[0], OTHER)
        groups[group].add(part.count, part.amount, part.unknown)
    return {name: group.totals() for name, group in groups.items()}


def _limit_periods(periods: _Totals) -> _Totals:
    """Return `periods` with all but the newest MAX_PERIODS merged into one."""
    starts = sorted({key[1] for key in periods} - {UNKNOWN})
    first = starts[-MAX_PERIODS:][0] if starts else UNKNOWN
    limited: _Totals = {}
    for (_, period, status), part in periods.items():
        key = _Period("", EARLIER if period < first else period, status)
        limited.setdefault(key, _Accumulator()).add(part.count, part.amount, part.unknown)
    return limited


def _group_by(parts: _Totals, *names: str) -> list[dict[str, object]]:
    """Return the totals by these parts of the key, sorted, `earlier` first and `unknown` last."""
    totals: _Totals = {}
    for key, part in parts.items():
        values = tuple(getattr(key, name) for name in names)
        totals.setdefault(values, _Accumulator()).add(part.count, part.amount, part.unknown)
    in_order = sorted(
        totals, key=lambda values: [(one == UNKNOWN, one != EARLIER, one) for one in values]
    )
    return [dict(zip(names, values, strict=True)) | totals[values].totals() for values in in_order]
