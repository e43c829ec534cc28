"""Checks what was read against the list, of which it knows every version.

The answers of the upstream that an answer is based on were given between two versions of the list:
the one when the oldest fetch started, and the one when the last fetch completed. An order that was
in all of them was there throughout.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.cache.grace_cache import Entry, NotInCache, WaitTimeout
from app.orders.blocks import Block
from app.orders.snapshot_cache import ListLoading
from app.orders.snapshot_loader import ListTooLarge
from app.upstream.errors import UpstreamError, UpstreamMalformed
from tests.simulation.history import Fetch, History
from tests.simulation.loop import START
from tests.simulation.plan import ALL_ORDERS, BLOCK_SIZE
from tests.simulation.rules import Rule
from tests.simulation.sync.figures import Figures
from tests.simulation.sync.plan import Defect, Purge, SyncPlan
from tests.simulation.sync.proxy import ChangesReading, Reading
from tests.simulation.sync.upstream import MILLION, MORE, ChangingUpstream


class _Purged(NamedTuple):
    """A purge, and how many fetches had started before it."""

    at: float
    fetches: int
    drop: bool


class SyncOracle:
    """Checks the answers of one world, and counts them."""

    def __init__(self, plan: SyncPlan, history: History, upstream: ChangingUpstream) -> None:
        self._plan = plan
        self._history = history
        self._upstream = upstream
        self._last_change = max((change.at for change in plan.changes), default=0.0)
        self._purges: list[_Purged] = []
        self.figures = Figures(changes=len(plan.changes))

    def purged(self, purge: Purge) -> None:
        """Record that the cache is purged now."""
        self._history.log("operator", "drops the cache" if purge.drop else "purges the cache")
        now, fetches = self._history.time(), len(self._history.fetches)
        self._purges.append(_Purged(now, fetches, purge.drop))

    # Answers.

    def page_read(self, name: str, started_at: float, start: int, stop: int, page: Reading) -> None:
        """Check a page, and count what it lacks: between its two blocks a change can be missed."""
        self._check(name, f"{start}..{stop}", started_at, page)
        self.figures.pages += 1
        self.figures.marked_pages += page.inconsistent
        if page.inconsistent:
            return
        first, last = self._versions(page.blocks)
        states = self._upstream.states[first : last + 1]
        in_range = [{row.order_no for row in state.orders[start:stop]} for state in states]
        lost = set.intersection(*in_range) - {row.order_no for row in page.rows}
        self.figures.incomplete_pages += bool(lost)
        self.figures.lost_from_pages += len(lost)

    def export_read(self, name: str, started_at: float, export: Reading) -> None:
        """Check an export."""
        self._check(name, "all orders", started_at, export)
        self.figures.exports += 1
        self.figures.marked_exports += export.inconsistent
        if self._plan.defect is Defect.TWICE_IN_BLOCK:
            self._check_every_row(name, export)
        if export.inconsistent:
            return
        first, last = self._versions(export.blocks)
        removed_in = self._upstream.removed_in
        lost = {
            row.order_no
            for row in self._upstream.states[first].orders
            if removed_in(row.order_no) > last
        } - {row.order_no for row in export.rows}
        self.figures.incomplete_exports += bool(lost)
        self.figures.lost_from_exports += len(lost)
        if lost and self._plan.loses_nothing:
            self._history.report(Rule.EXPORT_LACKS, f"{name} lacks {_names(lost)}")

    def changes_read(self, name: str, started_at: float, reading: ChangesReading) -> None:
        """Check the changes that a follower got."""
        removed = [change.order_no for change in reading.changes if change.row is None]
        self._history.log(name, f"gets {len(reading.changes)} changes, removed: {_names(removed)}")
        self._check_duration(name, started_at)
        false = [number for number in removed if self._upstream.removed_in(number) == math.inf]
        self.figures.removals += len(removed)
        self.figures.false_removals += len(false)
        if false and self._plan.loses_nothing:
            self._history.report(Rule.FALSE_REMOVAL, _names(false))
        for change in reading.changes:
            if change.row and change.row.body not in self._upstream.born:
                self._history.report(Rule.NO_REMOVED, f"{change.row.body!r} never existed")

    def read_failed(self, name: str, started_at: float, error: Exception) -> None:
        """Check an error."""
        report = self._history.report
        self._history.log(name, f"gets {type(error).__name__}: {error}")
        self._check_duration(name, started_at)
        if isinstance(error, UpstreamError):
            # A total that is too large to be one is no answer at all.
            is_explained = self._plan.defect is Defect.TRILLION_ONCE
            is_explained &= isinstance(error, UpstreamMalformed)
            if self._plan.errors_are_excluded and not is_explained:
                report(Rule.UNEXPLAINED_ERROR, repr(error))
        elif isinstance(error, ListTooLarge):
            report(Rule.ABSURD_TOTAL, repr(error))
        elif not isinstance(error, (ListLoading, WaitTimeout, NotInCache)):
            report(Rule.INTERNAL_ERROR, repr(error))
        elif self._plan.errors_are_excluded:
            waited = self._history.time() - started_at
            if waited < self._plan.settings.deadline:
                report(Rule.ALWAYS_ANSWERED, f"{name}: {error!r} after {waited:g} s")

    # At the end.

    def check_at_rest(self, name: str, start: int, stop: int, reading: Reading) -> None:
        """Check a page or an export of a list that has rested."""
        if self._plan.is_wrong_for_good:
            # It has been read often enough to be known as such.
            if (start, stop) == ALL_ORDERS:
                self._check_every_row(name, reading)
            return
        if reading.inconsistent:
            self._history.report(Rule.RECOVERY, f"{name} is still inconsistent")
        if reading.rows != self._upstream.orders[start:stop]:
            self._history.report(Rule.RECOVERY, f"{name} is not the current list")

    def check_follower(self, copy: dict[str, str]) -> None:
        """Check the copy of a follower of a list that has rested."""
        orders = {row.order_no: row.rev for row in self._upstream.orders}
        if self._plan.is_wrong_for_good:
            self._check_shown_orders(copy)
        elif copy != orders:
            lacks, has_more = orders.keys() - copy.keys(), copy.keys() - orders.keys()
            detail = f"lacks {_names(lacks)}, has {_names(has_more)} more"
            self._history.report(Rule.FOLLOWED, detail)

    def _check_shown_orders(self, copy: dict[str, str]) -> None:
        """Check that a follower of a list that is wrong for good has each order that it shows.

        While such a list changes, an export may lack an order that the cursor includes.
        """
        if self._plan.changes or self._plan.defect is Defect.UNSTABLE_SORT:
            return
        state = self._upstream.states[-1]
        blocks = range(-(-state.total(0) // BLOCK_SIZE))
        shown = {row.order_no for index in blocks for row in state.block(index)}
        if shown - copy.keys():
            self._history.report(Rule.FOLLOWED, f"lacks {_names(shown - copy.keys())}")

    def check_fetch_count(self) -> None:
        """Check how many fetches succeeded within a TTL."""
        plan = self._plan
        fetches = [fetch for fetch in self._history.fetches if fetch.failed_at is None]
        most = max(len(state.orders) for state in self._upstream.states)
        if plan.defect is Defect.MORE_ONCE:
            most += MORE
        bound = -(-(most + 10) // BLOCK_SIZE) + 1
        # Before it is read as a whole, nothing is known about it.
        read_at = min((follower.at for follower in plan.followers), default=0.0)
        # A fetch that is in progress when the list comes to rest may be the first to show a change.
        purged_at = max((purge.at for purge in plan.purges), default=0.0)
        rests_at = START + max(self._last_change, read_at, purged_at) + max(plan.latencies)
        rests_at += 3 * plan.settings.ttl
        self._check_bound(fetches, 2 * bound * (1 + len(plan.purges)), Rule.BOUNDED)
        at_rest = [fetch for fetch in fetches if fetch.started_at >= rests_at]
        # To an unstable sort each call is a change of the list.
        if not plan.faults and plan.defect is not Defect.UNSTABLE_SORT:
            self._check_bound(at_rest, bound, Rule.COST_AT_REST)

    # Details.

    def _check(self, name: str, what: str, started_at: float, reading: Reading) -> None:
        """Check what holds for pages and exports."""
        fetches = self._fetches(reading.blocks)
        self._history.log(
            name,
            f"gets {len(reading.rows)} of {reading.total} for {what}"
            f" from fetches {[fetch.number for fetch in fetches]}"
            + (", inconsistent" if reading.inconsistent else ""),
        )
        self._check_duration(name, started_at)
        report = self._history.report
        first, _ = self._versions(reading.blocks)
        for row in reading.rows:
            born, absent_from = self._upstream.born, self._upstream.absent_from
            if row.body not in born or absent_from.get(row.body, math.inf) <= first:
                report(Rule.NO_REMOVED, f"{name} has {row.body!r}")
        if not reading.inconsistent and _contradict(reading.blocks):
            report(Rule.CONSISTENT, f"{name}: {[fetch.number for fetch in fetches]}")
        self._check_absurd_total(name, started_at, reading.total)
        self._check_purged(name, started_at, fetches)

    def _check_purged(self, name: str, started_at: float, fetches: Sequence[Fetch]) -> None:
        """Check that what was purged before the request is not served, or only after a failure."""
        oldest = min(fetch.number for fetch in fetches)
        waited = self._history.time() - started_at
        may_fail = bool(self._plan.faults) or waited >= self._plan.settings.max_stale_wait
        for purge in self._purges:
            if started_at <= purge.at or oldest >= purge.fetches:
                continue
            if purge.drop:
                self._history.report(Rule.DROPPED, f"{name} gets fetch {oldest}")
            elif not may_fail:
                self._history.report(Rule.PURGED, f"{name} gets fetch {oldest}")

    def _check_every_row(self, name: str, export: Reading) -> None:
        served = {row.body for row in export.rows}
        missing = [
            row.body
            for entry in export.blocks
            for row in entry.value.rows
            if row.body not in served
        ]
        if missing:
            self._history.report(Rule.EVERY_ROW, f"{name} lacks {missing}")

    def _check_absurd_total(self, name: str, started_at: float, total: int) -> None:
        if total < MILLION:
            return
        wrong = next(fetch for fetch in self._history.completed() if fetch.total >= MILLION)
        confirmed = any(
            fetch.started_at > (wrong.completed_at or 0.0) and fetch.completed_before(started_at)
            for fetch in self._history.fetches
        )
        if confirmed:
            self._history.report(Rule.ABSURD_TOTAL, f"{name} gets {total}")

    def check_ttl(self, ttl: float) -> None:
        """Check the present TTL of the cache."""
        if ttl != self._plan.settings.ttl:
            self._history.report(Rule.STRETCHED, f"{ttl:g} s")

    def _check_duration(self, name: str, started_at: float) -> None:
        duration = self._history.time() - started_at
        if duration > self._plan.settings.deadline + 0.5:
            self._history.report(Rule.DEADLINE, f"{name} waited {duration:g} s")

    def _check_bound(self, fetches: Sequence[Fetch], bound: int, rule: Rule) -> None:
        for first, last in zip(fetches, fetches[bound:], strict=False):
            if last.started_at - first.started_at < self._plan.settings.ttl:
                numbers = f"fetches {first.number} to {last.number}"
                self._history.report(rule, f"more than {bound}: {numbers}")
                return

    def _fetches(self, blocks: Sequence[Entry[Block]]) -> list[Fetch]:
        return [self._history.fetches[int(entry.value.as_of)] for entry in blocks]

    def _versions(self, blocks: Sequence[Entry[Block]]) -> tuple[int, int]:
        """Return the first and the last version of the list that the blocks may be of."""
        fetches = self._fetches(blocks)
        first = min(fetch.first_version for fetch in fetches)
        return first, max(fetch.last_version for fetch in fetches)


def _contradict(blocks: Sequence[Entry[Block]]) -> bool:
    """Return whether the totals differ, or two blocks share an order number."""
    numbers = [{row.order_no for row in entry.value.rows} for entry in blocks]
    totals = {entry.value.total for entry in blocks}
    return len(totals) > 1 or len(set().union(*numbers)) < sum(map(len, numbers))


def _names(numbers: Iterable[str]) -> str:
    return " ".join(sorted(numbers)) or "none"
