"""An order book over a plain list that a test may change between two fetches."""

from collections.abc import Callable
from typing import Any

from app.cache.freshness import Lifetime
from app.cache.grace_cache import GraceCache
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.mapping import Row
from app.upstream.errors import UpstreamFailed
from app.upstream.wire import BLOCK_SIZE
from tests.support.clock import ManualClock

TTL = 60.0
LIFETIME = Lifetime(TTL, 300, 1300)


def row(number: str, **known: Any) -> Row:
    """A row that is told by its number, and by what else is known of it."""
    return Row(number, b'{"order_no":"%s"}' % number.encode(), (), has_amount=False, **known)


class PlainList:
    """The upstream's list as it is now, and the calls that it cost."""

    def __init__(self, size: int) -> None:
        self.numbers = [f"n{at}" for at in range(size)]
        self.calls: list[int] = []
        self.down = False
        self.before_answer: Callable[[], None] = lambda: None

    async def fetch(self, index: int) -> Block:
        """What a list call brings."""
        self.calls.append(index)
        self.before_answer()
        if self.down:
            raise UpstreamFailed("down")
        start = index * BLOCK_SIZE
        rows = tuple(row(number) for number in self.numbers[start : start + BLOCK_SIZE])
        return Block(index, rows, len(self.numbers), "", f"call-{len(self.calls)}", sandbox=False)


class BookHarness:
    """A book, its clock and its list."""

    def __init__(
        self,
        size: int,
        lifetime: Lifetime = LIFETIME,
        *,
        refresh_rate: float = 1000,
        max_orders: int = 100_000,
    ) -> None:
        self.clock = ManualClock()
        self.list = PlainList(size)
        blocks: GraceCache[int, Block] = GraceCache(
            lifetime,
            self.clock,
            min_age=5,
            max_stale_wait=2,
            max_entries=2000,
            max_bytes=10**9,
            size_of=lambda block: block.size,
        )
        self.book = OrderBook(
            blocks,
            self.list.fetch,
            self.clock,
            deadline=8,
            refresh_rate=refresh_rate,
            max_orders=max_orders,
        )
