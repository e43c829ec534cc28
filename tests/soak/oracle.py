"""What is right: the sandbox's own orders, in our contract's words, written a second time. Pure.

Orders only arrive, and only in front: the list that had `total` orders is the last `total` of all.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.sandbox.order_store import SHANGHAI, OrderStore

Order = dict[str, Any]

_STATUS = {"1": "unpaid", "2": "paid", "3": "completed", "4": "cancelled", "5": "expired"}
_TYPE = {
    "New": "new",
    "Upgrade": "upgrade",
    "Renew": "renewal",
    "Overdue_Correct": "overdue_correction",
    "Overflowed_Correct": "overflow_correction",
}
_SOURCE = {
    "Licence": "license",
    "Offline": "offline",
    "Eadmin": "admin",
    "SelfHelp": "self_service",
    "Cdkey": "redemption_code",
}


class Oracle:
    """All orders that there ever were, newest first."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store
        self._orders = [_order(row) for row in store.rows(0, store.total)]
        self._by_number = {order["order_no"]: order for order in self._orders}

    def numbers(self) -> Sequence[str]:
        """The order numbers, newest first."""
        return [order["order_no"] for order in self._all()]

    def wrong_page(self, answer: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
        """What is wrong with a page; empty if nothing is.

        Args:
            answer: its body.
            wanted: the parameters that hold for every order in it, as `status`.
        """
        data, meta = answer["data"], answer["meta"]
        orders = self._all()
        numbers = [order["order_no"] for order in data]
        if len(set(numbers)) < len(numbers):
            return "an order stands twice"
        if any(self._by_number.get(order["order_no"]) != order for order in data):
            return "an order is not as it is"
        if meta.get("inconsistent"):
            return ""
        start = (meta["page"] - 1) * meta["limit"]
        states = [orders[-meta["total"] :]] if not wanted else self._states(orders, wanted)
        if any(
            len(state) == meta["total"] and state[start : start + meta["limit"]] == data
            for state in states
        ):
            return ""
        return f"these are not the orders {start} to {start + meta['limit']} of {meta['total']}"

    def wrong_order(self, answer: Mapping[str, Any], number: str) -> str:
        """What is wrong with one order; empty if nothing is."""
        self._all()
        return "" if answer["data"] == self._by_number.get(number) else "this is not that order"

    def _all(self) -> list[Order]:
        arrived = self._store.total - len(self._orders)
        if arrived:
            new = [_order(row) for row in self._store.rows(0, arrived)]
            self._orders = new + self._orders
            self._by_number.update((order["order_no"], order) for order in new)
        return self._orders

    def _states(self, orders: list[Order], wanted: Mapping[str, str]) -> list[list[Order]]:
        """Every list that there was, of those orders alone that are wanted."""
        seeded = self._store.seeded
        return [
            [order for order in orders[past:] if wanted.items() <= order.items()]
            for past in range(len(orders) - seeded + 1)
        ]


def _order(row: Mapping[str, str]) -> Order:
    made = datetime.strptime(row["createTime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    return {
        "order_no": row["orderNo"],
        "package_name": {"en": row["goodsNameEn"], "zh": row["goodsName"]},
        "unit_price": row["goodsUnitPrice"],
        "quantity": int(row["quantity"]),
        "actual_amount": row["actualAmount"],
        "status": _STATUS[row["status"]],
        "type": _TYPE[row["orderType"]],
        "source": _SOURCE[row["source"]],
        "created_at": f"{made.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
