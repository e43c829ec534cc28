"""What became of one order between two states of the list. A value."""

from dataclasses import dataclass

from app.orders.mapping import Row


@dataclass(frozen=True, slots=True)
class Change:
    """`created`, `updated` or `removed`; and the row as it is now, where there is one."""

    change: str
    order_no: str
    row: Row | None
