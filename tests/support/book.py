"""An order book over a list that a test may change between two fetches."""

import asyncio
from collections.abc import Callable, Coroutine
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


def row(number: str, **values: Any) -> Row:
    """Return a row with that order number and the given values."""
    return Row(number, b'{"order_no":"%s"}' % number.encode(), (), has_amount=False, **values)


class UpstreamList:
    """The upstream's list as it is now, and the blocks that have been fetched from it.

    Attributes:
        numbers: the order numbers.
        calls: the indexes of the fetched blocks.
        down: whether every fetch fails.
        before_response: called in each fetch before the list is read.
        stated_total: the total that each block states, if it is not the number of orders.
    """

    def __init__(self, size: int) -> None:
        self.numbers = [f"n{at}" for at in range(size)]
        self.calls: list[int] = []
        self.down = False
        self.before_response: Callable[[], None] = lambda: None
        self.stated_total: int | None = None

    async def fetch(self, index: int) -> Block:
        """Return a block, as a list call would."""
        self.calls.append(index)
        self.before_response()
        if self.down:
            raise UpstreamFailed("down")
        start = index * BLOCK_SIZE
        rows = tuple(row(number) for number in self.numbers[start : start + BLOCK_SIZE])
        request_id = f"call-{len(self.calls)}"
        total = len(self.numbers) if self.stated_total is None else self.stated_total
        return Block(index, rows, total, as_of="", request_id=request_id, sandbox=False)


class BookHarness:
    """A book, its clock and its list.

    Attributes:
        fetch: fetches a block; a test may replace it.
    """

    def __init__(
        self,
        size: int,
        lifetime: Lifetime = LIFETIME,
        *,
        refresh_rate: float = 1000,
        max_orders: int = 100_000,
        max_blocks: int = 2000,
    ) -> None:
        self.clock = ManualClock()
        self.list = UpstreamList(size)
        self.fetch: Callable[[int], Coroutine[Any, Any, Block]] = self.list.fetch
        block_cache: GraceCache[int, Block] = GraceCache(
            lifetime,
            self.clock,
            min_age=5,
            max_stale_wait=2,
            max_entries=max_blocks,
            max_bytes=10**9,
            size_of=lambda block: block.size,
        )
        self.book = OrderBook(
            block_cache,
            self._fetch,
            self.clock,
            deadline=8,
            refresh_rate=refresh_rate,
            max_orders=max_orders,
        )

    async def _fetch(self, index: int) -> Block:
        return await self.fetch(index)

    def hold_back(self, index: int) -> asyncio.Event:
        """From now on fetch block `index` only once the returned event is set."""
        gate = asyncio.Event()
        fetch = self.fetch

        async def gated(fetched: int) -> Block:
            if fetched == index:
                await gate.wait()
            return await fetch(fetched)

        self.fetch = gated
        return gate
