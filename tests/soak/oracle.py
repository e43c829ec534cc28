"""Decides whether responses are correct, from the sandbox's own orders.

The mapping to our schema is written a second time, independently of app/orders. Orders only
arrive, and only at the front: a list of `total` orders is the last `total` of all.
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
    """All orders of the sandbox so far, newest first."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store
        self._orders = [_order(row) for row in store.rows(0, store.total)]
        self._by_number = {order["order_no"]: order for order in self._orders}

    def numbers(self) -> Sequence[str]:
        """Return the order numbers, newest first."""
        return [order["order_no"] for order in self._update()]

    def page_error(self, body: Mapping[str, Any], filters: Mapping[str, str]) -> str:
        """Return what is wrong with a page; empty if nothing is.

        Args:
            body: the response body.
            filters: the fields, as `status`, that every order in it must have.
        """
        data, meta = body["data"], body["meta"]
        orders = self._update()
        numbers = [order["order_no"] for order in data]
        if len(set(numbers)) < len(numbers):
            return "an order occurs twice"
        if any(self._by_number.get(order["order_no"]) != order for order in data):
            return "an order differs from the upstream's"
        if meta.get("inconsistent"):
            return ""
        start = (meta["page"] - 1) * meta["limit"]
        states = [orders[-meta["total"] :]] if not filters else self._states(orders, filters)
        if any(
            len(state) == meta["total"] and state[start : start + meta["limit"]] == data
            for state in states
        ):
            return ""
        return f"these are not the orders {start} to {start + meta['limit']} of {meta['total']}"

    def order_error(self, body: Mapping[str, Any], number: str) -> str:
        """Return what is wrong with the response for one order; empty if nothing is."""
        self._update()
        return "" if body["data"] == self._by_number.get(number) else "this is not that order"

    def _update(self) -> list[Order]:
        """Add the orders that have arrived; return all."""
        arrived = self._store.total - len(self._orders)
        if arrived:
            new = [_order(row) for row in self._store.rows(0, arrived)]
            self._orders = new + self._orders
            self._by_number.update((order["order_no"], order) for order in new)
        return self._orders

    def _states(self, orders: list[Order], filters: Mapping[str, str]) -> list[list[Order]]:
        """Return every state that the filtered list has had."""
        seeded = self._store.seeded
        return [
            [order for order in orders[skipped:] if filters.items() <= order.items()]
            for skipped in range(len(orders) - seeded + 1)
        ]


def _order(row: Mapping[str, str]) -> Order:
    created = datetime.strptime(row["createTime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    return {
        "order_no": row["orderNo"],
        "package_name": {"en": row["goodsNameEn"], "zh": row["goodsName"]},
        "unit_price": row["goodsUnitPrice"],
        "quantity": int(row["quantity"]),
        "actual_amount": row["actualAmount"],
        "status": _STATUS[row["status"]],
        "type": _TYPE[row["orderType"]],
        "source": _SOURCE[row["source"]],
        "created_at": f"{created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
