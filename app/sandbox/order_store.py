"""The orders of a sandbox: generated from a seed on demand, newest first; and malformed rows."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from hashlib import blake2b
from itertools import cycle
from typing import Final, TypeVar

from app.clock import Clock

Row = dict[str, str]

SHANGHAI: Final = timezone(timedelta(hours=8))
NEWEST: Final = datetime(2026, 11, 20, 18, 0, tzinfo=SHANGHAI)
"""Upper bound of the seeded creation times: fixed, so that a seed always gives the same bytes."""

DOCUMENTED_ORDER: Final[Row] = {
    "orderNo": "202209251234224",
    "goodsName": "企业版",
    "goodsNameEn": "Enterprise",
    "goodsUnitPrice": "199.00",
    "quantity": "2",
    "actualAmount": "398.00",
    "status": "2",
    "orderType": "New",
    "createTime": "2022-09-25 12:34:22",
    "source": "SelfHelp",
}

_DATETIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
_ORDER_NO_TIME_FORMAT: Final = "%Y%m%d%H%M%S"
_ORDER_NO: Final = re.compile(r"([0-9]{14})(?:[0-9a-f]{12}|[0-9])")
_THREE_YEARS_SECONDS: Final = 94_608_000
_MAX_INTERVAL_SECONDS: Final = 25_200

_PLAN_QUANTITIES: Final = (1, 1, 1, 1, 2, 3)
_PACK_QUANTITIES: Final = (1, 2, 5, 10, 50)
_PACKAGES: Final = (
    ("企业版", "Enterprise", "199.00", _PLAN_QUANTITIES),
    ("专业版", "Professional", "79.9", _PLAN_QUANTITIES),
    ("开发者版", "Developer", "9.9", _PLAN_QUANTITIES),
    ("集团版", "Group Edition", "1299.00", _PLAN_QUANTITIES),
    ("私有化部署", "Private Deployment", "128000.00", (1,)),
    ("月活用户扩容包", "MAU add-on", "120.5", _PACK_QUANTITIES),
    ("短信包", "SMS pack", "45", _PACK_QUANTITIES),
    ("多因素认证", "Multi-factor authentication", "0.125", (100, 500, 1000)),
)
# The repetitions are weights.
_DISCOUNTS: Final = ("1", "1", "1", "0.9", "0.85")
_TYPES: Final = (
    *("New", "New", "New", "New", "Renew", "Renew", "Upgrade", "Upgrade"),
    *("Overdue_Correct", "Overflowed_Correct"),
)
_SOURCES: Final = (
    *("SelfHelp", "SelfHelp", "SelfHelp", "SelfHelp", "SelfHelp", "SelfHelp"),
    *("Offline", "Eadmin", "Licence", "Cdkey"),
)
_SELF_HELP_STATUSES: Final = "33333333222445551"
_OTHER_STATUSES: Final = "33333332"

MISSING: Final = object()

MALFORMATIONS: Final[Sequence[tuple[str, object]]] = (
    ("quantity", "two"),
    ("status", "9"),
    ("orderType", "Gift"),
    ("source", "Partner"),
    ("orderNo", MISSING),
    ("goodsName", None),
    ("quantity", 3),
    ("actualAmount", 12.5),
    ("status", 2),
    ("createTime", "yesterday"),
    ("goodsUnitPrice", "1,299"),
    ("createTime", None),
)
"""The field of row `n` to replace, and its value; repeated for the rows after the last."""

_T = TypeVar("_T")


class _SeededRandom:
    """Random numbers that depend only on the key, not on the machine or the Python version."""

    def __init__(self, key: str) -> None:
        self._state = int.from_bytes(blake2b(key.encode()).digest(), "big")

    def randbelow(self, bound: int) -> int:
        self._state, number = divmod(self._state, bound)
        return number

    def choice(self, items: Sequence[_T]) -> _T:
        return items[self.randbelow(len(items))]


class OrderStore:
    """`orders` seeded orders, preceded by those added since.

    Seeded order `i` depends only on the seed, `i` and the number of seeded orders. It was created
    in the `i`-th interval before `NEWEST`, and its number starts with a time of that interval, so
    that `find` can compute `i`. `seeded` is their number.
    """

    def __init__(self, *, orders: int, seed: int, clock: Clock) -> None:
        self.seeded = orders
        self._seed = seed
        self._clock = clock
        self._interval = min(_MAX_INTERVAL_SECONDS, _THREE_YEARS_SECONDS // max(orders, 1))
        self._added: list[Row] = []

    @property
    def total(self) -> int:
        return len(self._added) + self.seeded

    def rows(self, first: int, count: int) -> list[Row]:
        """Return at most `count` orders from index `first`, newest first."""
        added = len(self._added)
        return [
            dict(self._added[-1 - index]) if index < added else self._seeded_order(index - added)
            for index in range(first, min(first + count, self.total))
        ]

    def find(self, order_no: str) -> Row | None:
        """Return an order, None if it does not exist.

        The order of the API's documentation exists as well, though it is not in the list.
        """
        if order_no == DOCUMENTED_ORDER["orderNo"]:
            return dict(DOCUMENTED_ORDER)
        for row in self._added:
            if row["orderNo"] == order_no:
                return dict(row)
        index = self._seeded_index(order_no)
        if index is None:
            return None
        row = self._seeded_order(index)
        return row if row["orderNo"] == order_no else None

    def find_payment(self, order_no: str) -> Row | None:
        """Return the payment of an order; None unless a customer has paid it online."""
        row = self.find(order_no)
        if row is None or row["source"] != "SelfHelp" or row["status"] not in {"2", "3"}:
            return None
        random = _SeededRandom(f"payment/{order_no}")
        created = datetime.strptime(row["createTime"], _DATETIME_FORMAT).replace(tzinfo=SHANGHAI)
        paid = created + timedelta(seconds=20 + random.randbelow(600))
        return {
            "orderNo": order_no,
            "channelOrderNo": f"{paid:%Y%m%d}22001{random.randbelow(10**15):015d}",
            "paidAmount": row["actualAmount"],
            "paidTime": f"{paid:{_DATETIME_FORMAT}}",
            "paidAccountNo": f"{random.randbelow(16**24):024x}",
            "payStatus": "3",
            "createTime": row["createTime"],
            "payType": "Alipay",
        }

    def add_order(self) -> None:
        """Add a new order at the start of the list, created now."""
        now = self._clock.now().astimezone(SHANGHAI)
        random = _SeededRandom(f"{self._seed}/arrived/{len(self._added)}")
        self._added.append(_order(random, max(now, NEWEST)))

    def _seeded_index(self, order_no: str) -> int | None:
        match = _ORDER_NO.fullmatch(order_no)
        if match is None:
            return None
        try:
            time = datetime.strptime(match[1], _ORDER_NO_TIME_FORMAT).replace(tzinfo=SHANGHAI)
        except ValueError:
            return None
        index = int((NEWEST - time).total_seconds() // self._interval)
        return index if 0 <= index < self.seeded else None

    def _seeded_order(self, index: int) -> Row:
        random = _SeededRandom(f"{self._seed}/{index}")
        # The earliest minute of each interval stays free: the time in an order number is up to 9
        # seconds before the creation time, and has to be in the same interval.
        seconds = index * self._interval + random.randbelow(self._interval - 60)
        return _order(random, NEWEST - timedelta(seconds=seconds))


def _order(random: _SeededRandom, created: datetime) -> Row:
    # The order of the calls to `random` decides what a seed generates.
    zh, en, price, quantities = random.choice(_PACKAGES)
    quantity = random.choice(quantities)
    source = random.choice(_SOURCES)
    amount = Decimal(price) * quantity * Decimal(random.choice(_DISCOUNTS))
    if source == "Cdkey":
        amount = Decimal(0)
    time = created - timedelta(seconds=random.randbelow(10))
    suffix = (
        str(random.randbelow(10))
        if random.randbelow(8) == 0
        else f"{random.randbelow(16**12):012x}"
    )
    return {
        "orderNo": f"{time:{_ORDER_NO_TIME_FORMAT}}{suffix}",
        "goodsName": zh,
        "goodsNameEn": en,
        "goodsUnitPrice": price,
        "quantity": str(quantity),
        "actualAmount": _format_amount(amount, padded=random.randbelow(3) > 0),
        "status": random.choice(_SELF_HELP_STATUSES if source == "SelfHelp" else _OTHER_STATUSES),
        "orderType": random.choice(_TYPES),
        "createTime": f"{created:{_DATETIME_FORMAT}}",
        "source": source,
    }


def _format_amount(amount: Decimal, *, padded: bool) -> str:
    """Return the amount with a varying number of decimals, as the vendor does (`7.9`, `99.00`)."""
    exact = f"{amount + Decimal('0.0'):f}".rstrip("0").rstrip(".")
    return max(exact, f"{amount:.2f}", key=len) if padded else exact


def malformed(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return copies of the rows, each with one malformed or missing field."""
    copies: list[dict[str, object]] = []
    for row, (name, value) in zip(rows, cycle(MALFORMATIONS), strict=False):
        changed = {**row, name: value}
        copies.append({key: changed[key] for key in changed if changed[key] is not MISSING})
    return copies
