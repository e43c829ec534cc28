"""The orders of a sandbox: seeded, newest first, made when asked for. Knows no HTTP, no fault."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from hashlib import blake2b
from typing import Final, TypeVar

from app.clock import Clock

Row = dict[str, str]

SHANGHAI: Final = timezone(timedelta(hours=8))
NEWEST: Final = datetime(2026, 11, 20, 18, 0, tzinfo=SHANGHAI)
"""When the newest seeded order was made: fixed, so that a seed gives the same bytes every day."""

_PLANS: Final = (1, 1, 1, 1, 2, 3)
_PACKS: Final = (1, 2, 5, 10, 50)
_PACKAGES: Final = (
    ("企业版", "Enterprise", "199.00", _PLANS),
    ("专业版", "Professional", "79.9", _PLANS),
    ("开发者版", "Developer", "9.9", _PLANS),
    ("集团版", "Group Edition", "1299.00", _PLANS),
    ("私有化部署", "Private Deployment", "128000.00", (1,)),
    ("月活用户扩容包", "MAU add-on", "120.5", _PACKS),
    ("短信包", "SMS pack", "45", _PACKS),
    ("多因素认证", "Multi-factor authentication", "0.125", (100, 500, 1000)),
)
_DISCOUNTS: Final = ("1", "1", "1", "0.9", "0.85")
_TYPES: Final = (
    *("New", "New", "New", "New", "Renew", "Renew", "Upgrade", "Upgrade"),
    *("Overdue_Correct", "Overflowed_Correct"),
)
_SOURCES: Final = (
    *("SelfHelp", "SelfHelp", "SelfHelp", "SelfHelp", "SelfHelp", "SelfHelp"),
    *("Offline", "Eadmin", "Licence", "Cdkey"),
)
_STATUSES: Final = "33333333222445551"
_BOUGHT: Final = "33333332"
_STAMP: Final = "%Y%m%d%H%M%S"
_ORDER_NO: Final = re.compile(r"([0-9]{14})(?:[0-9a-f]{12}|[0-9])")

_Item = TypeVar("_Item")


class _Dice:
    """Rolls that depend on the key alone, on every machine and every Python."""

    def __init__(self, key: str) -> None:
        self._left = int.from_bytes(blake2b(key.encode()).digest(), "big")

    def below(self, bound: int) -> int:
        self._left, rolled = divmod(self._left, bound)
        return rolled

    def one_of(self, items: Sequence[_Item]) -> _Item:
        return items[self.below(len(items))]


class Ledger:
    """`orders` seeded ones, and in front of them those that arrived since.

    Order `i` is made from the seed and `i` alone. It was created in the `i`-th step before
    `NEWEST`, and its number begins with that time: so its place can be read from its number.
    """

    def __init__(self, *, orders: int, seed: int, clock: Clock) -> None:
        self._orders = orders
        self._seed = seed
        self._clock = clock
        three_years = 94_608_000
        self._step = min(25_200, three_years // max(orders, 1))
        self._arrived: list[Row] = []

    @property
    def total(self) -> int:
        return len(self._arrived) + self._orders

    def rows(self, first: int, count: int) -> list[Row]:
        """At most `count` orders from place `first`, newest first."""
        arrived = len(self._arrived)
        return [
            dict(self._arrived[-1 - place]) if place < arrived else self._seeded(place - arrived)
            for place in range(first, min(first + count, self.total))
        ]

    def find(self, order_no: str) -> Row | None:
        for row in self._arrived:
            if row["orderNo"] == order_no:
                return dict(row)
        place = self._place(order_no)
        if place is None:
            return None
        row = self._seeded(place)
        return row if row["orderNo"] == order_no else None

    def payment(self, order_no: str) -> Row | None:
        """The payment of an order; only what a customer bought and paid online has one."""
        row = self.find(order_no)
        if row is None or row["source"] != "SelfHelp" or row["status"] not in {"2", "3"}:
            return None
        dice = _Dice(f"payment/{order_no}")
        created = datetime.strptime(row["createTime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
        paid = created + timedelta(seconds=20 + dice.below(600))
        return {
            "orderNo": order_no,
            "channelOrderNo": f"{paid:%Y%m%d}22001{dice.below(10**15):015d}",
            "paidAmount": row["actualAmount"],
            "paidTime": f"{paid:%Y-%m-%d %H:%M:%S}",
            "paidAccountNo": f"{dice.below(16**24):024x}",
            "payStatus": "3",
            "createTime": row["createTime"],
            "payType": "Alipay",
        }

    def arrive(self) -> None:
        """Put a new order in front, made now."""
        ordinal = len(self._arrived)
        now = self._clock.now().astimezone(SHANGHAI)
        self._arrived.append(_order(_Dice(f"{self._seed}/arrived/{ordinal}"), max(now, NEWEST)))

    def _place(self, order_no: str) -> int | None:
        matched = _ORDER_NO.fullmatch(order_no)
        if matched is None:
            return None
        try:
            made = datetime.strptime(matched[1], _STAMP).replace(tzinfo=SHANGHAI)
        except ValueError:
            return None
        place = int((NEWEST - made).total_seconds() // self._step)
        return place if 0 <= place < self._orders else None

    def _seeded(self, place: int) -> Row:
        dice = _Dice(f"{self._seed}/{place}")
        # A minute of each step stays empty: no two orders share a time, nor a step its neighbour's.
        back = place * self._step + dice.below(self._step - 60)
        return _order(dice, NEWEST - timedelta(seconds=back))


def _order(dice: _Dice, created: datetime) -> Row:
    zh, en, price, quantities = dice.one_of(_PACKAGES)
    quantity = dice.one_of(quantities)
    source = dice.one_of(_SOURCES)
    amount = Decimal(price) * quantity * Decimal(dice.one_of(_DISCOUNTS))
    if source == "Cdkey":
        amount = Decimal(0)
    made = created - timedelta(seconds=dice.below(10))
    tail = str(dice.below(10)) if dice.below(8) == 0 else f"{dice.below(16**12):012x}"
    return {
        "orderNo": f"{made:{_STAMP}}{tail}",
        "goodsName": zh,
        "goodsNameEn": en,
        "goodsUnitPrice": price,
        "quantity": str(quantity),
        "actualAmount": _amount(amount, padded=dice.below(3) > 0),
        "status": dice.one_of(_STATUSES if source == "SelfHelp" else _BOUGHT),
        "orderType": dice.one_of(_TYPES),
        "createTime": f"{created:%Y-%m-%d %H:%M:%S}",
        "source": source,
    }


def _amount(amount: Decimal, *, padded: bool) -> str:
    """The vendor's scale varies (`7.9`, `99.00`): so does this."""
    exact = f"{amount + Decimal('0.0'):f}".rstrip("0").rstrip(".")
    return max(exact, f"{amount:.2f}", key=len) if padded else exact
