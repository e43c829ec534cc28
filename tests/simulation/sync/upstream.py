"""An upstream whose list changes anywhere, or contradicts itself, and which remembers all of it."""

import math
from dataclasses import dataclass
from itertools import count
from typing import Any

from app.orders.mapping import Row
from tests.simulation.history import ListState
from tests.simulation.plan import BLOCK_SIZE, ChangeKind, ListChange
from tests.simulation.sync.plan import NEWEST, Defect, Inserts, SyncPlan
from tests.simulation.upstream import SimulatedUpstream, make_row

TIED_ORDERS = 7
MORE, MILLION, TRILLION = 400, 10**6, 10**12 - 1


@dataclass(frozen=True, slots=True, eq=False)
class WrongState(ListState):
    """A list whose pages contradict each other.

    Attributes:
        stated_total: what each page states as the total, if not None.
    """

    defect: Defect
    stated_total: int | None = None

    def block(self, index: int) -> tuple[Row, ...]:
        shift = index > 0 and self.defect is Defect.OVERLAP
        first = index * BLOCK_SIZE - shift
        return self.orders[first : first + BLOCK_SIZE]

    def total(self, index: int) -> int:
        if self.stated_total is not None:
            return self.stated_total
        total = len(self.orders)
        match self.defect:
            case Defect.TOTAL_BY_PAGE:
                return total + (index > 0)
            case Defect.TOTAL_TOO_SMALL:
                return max(total - 10, 0)
            case Defect.TOTAL_TOO_LARGE:
                return total + 3
            case _:
                return total


class ChangingUpstream(SimulatedUpstream):
    """The upstream of one world; the simulation's own, with other changes of the list.

    Attributes:
        born: for each row, as its order number and content, the version that it appeared in.
        absent_from: for each row that was replaced or removed, the first version without it.
        added: for each order number, the version that it appeared in.
        removed: for each removed order number, the first version without it.
        wrong_total_sent: whether an absurd total was stated.
    """

    def __init__(self, plan: SyncPlan, *args: Any) -> None:
        super().__init__(plan, *args)
        self._sync_plan = plan
        self._calls = count()
        self.born: dict[bytes, int] = {}
        self.absent_from: dict[bytes, int] = {}
        self.added: dict[str, int] = {}
        self.removed: dict[str, int] = {}
        orders = list(self.orders)
        if plan.defect is Defect.TWICE_IN_BLOCK:
            orders.insert(min(2, len(orders)), make_row(orders[0].order_no, 1000))
        if plan.defect is Defect.TWICE_IN_LIST:
            orders.append(make_row(orders[0].order_no, 1000))
        self.states.clear()
        self._add_state(orders)

    @property
    def version(self) -> int:
        """The number of the current state of the list."""
        return self.states[-1].version

    def removed_in(self, order_no: str) -> float:
        """Return the first version without that order; infinite if it exists."""
        return self.removed.get(order_no, math.inf)

    def change_list(self, change: ListChange) -> None:
        """Change the list at a position: `change.position` modulo its length."""
        orders = list(self.orders)
        position = self._position(change, orders)
        if change.kind is ChangeKind.ADDED:
            self._insert(orders, make_row(f"n{self._order_count}"), change.position)
            self._order_count += 1
        elif orders:
            row = orders.pop(position)
            if change.kind is ChangeKind.EDITED:
                orders.insert(position, make_row(row.order_no, self._next_edit()))
            if change.kind is ChangeKind.MOVED:
                self._insert(orders, row, change.position // 7)
        self._add_state(orders)
        self._log("list", f"{change.kind.value} at {position}: {len(orders)} orders")

    def state_for_call(self) -> ListState:
        """Return the state that answers the next call for a page."""
        plan, state = self._sync_plan, self.states[-1]
        if plan.defect is Defect.UNSTABLE_SORT:
            return self._add_state(self._sort_ties(state.orders))
        number = next(self._calls)
        if number == plan.wrong_call and plan.defect and plan.defect.is_transient:
            totals = {Defect.MILLION_ONCE: MILLION, Defect.TRILLION_ONCE: TRILLION}
            total = totals.get(plan.defect, len(state.orders) + MORE)
            wrong = WrongState(state.version + 1, state.orders, plan.defect, total)
            self.states.append(wrong)
            self._add_state(state.orders)
            return wrong
        return state

    def _position(self, change: ListChange, orders: list[Row]) -> int:
        if change.position == NEWEST:
            newest = f"n{self._order_count - 1}"
            numbers = [row.order_no for row in orders]
            return numbers.index(newest) if newest in numbers else 0
        return change.position % len(orders) if orders else 0

    def _next_edit(self) -> int:
        return len(self.states)

    def _insert(self, orders: list[Row], row: Row, position: int) -> None:
        match self._sync_plan.inserts:
            case Inserts.FRONT:
                orders.insert(0, row)
            case Inserts.BACK:
                orders.append(row)
            case Inserts.ANYWHERE:
                orders.insert(position % (len(orders) + 1), row)

    def _add_state(self, orders: Any) -> ListState:
        version, defect = len(self.states), self._sync_plan.defect
        before = self.states[-1].orders if self.states else ()
        state = (
            WrongState(version, tuple(orders), defect)
            if defect
            else ListState(version, tuple(orders))
        )
        self.states.append(state)
        previous = {row.body: row for row in before}
        present = {row.body: row for row in state.orders}
        self.born |= dict.fromkeys(present.keys() - previous.keys(), version)
        self.absent_from |= dict.fromkeys(previous.keys() - present.keys(), version)
        numbers = {row.order_no for row in state.orders}
        for number in numbers:
            self.added.setdefault(number, version)
        for row in before:
            if row.order_no not in numbers:
                self.removed[row.order_no] = version
        return state

    def _sort_ties(self, orders: tuple[Row, ...]) -> list[Row]:
        """Return the orders, those of each group of tied ones in another order."""
        rows: list[Row] = []
        for first in range(0, len(orders), TIED_ORDERS):
            tied = sorted(orders[first : first + TIED_ORDERS], key=lambda row: row.order_no)
            self._rng.shuffle(tied)
            rows += tied
        return rows
