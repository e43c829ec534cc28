"""Confirms a stated total that jumps by a second answer, before anything is based on it.

The total decides how many orders the list is said to have, and whether it is too large to be
loaded. One wrong answer must not decide that for a whole TTL.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from app.orders.blocks import Block
from app.upstream.drift import DriftKind
from app.upstream.wire import BLOCK_SIZE

MAX_ACCEPTED = 8
"""Accepted totals that are remembered, for an upstream whose pages state different ones."""

MIN_JUMP = 500
"""Orders that may be added between two answers, however short the list is."""

UNCONFIRMED = DriftKind("unconfirmed total", "list")


class TotalConfirmation:
    """Fetches blocks; one whose total jumps is fetched a second time, and that answer counts.

    A total jumps if it is less than half or more than twice as large as each of those accepted
    before. Further answers that state it meanwhile confirm it, so a list that has really grown
    costs one more call.

    Args:
        fetch_block: fetches a block.
        report_drift: is called if the second answer contradicts the first.
        max_orders: the greatest total that is accepted as the first one without confirmation.
    """

    def __init__(
        self,
        fetch_block: Callable[[int], Coroutine[Any, Any, Block]],
        report_drift: Callable[[Iterable[DriftKind]], object],
        *,
        max_orders: int,
    ) -> None:
        self._fetch_block = fetch_block
        self._report_drift = report_drift
        self._max_orders = max_orders
        self._accepted: list[int] = []
        self._unconfirmed: list[int] = []

    async def fetch_block(self, index: int) -> Block:
        """Return a block with a plausible or confirmed total.

        Raises:
            UpstreamError: the fetch, or the one that was to confirm its total, failed.
        """
        block = await self._fetch_block(index)
        if not self._is_plausible(block.total) and not self._is_confirmed(block.total):
            block = await self._fetch_again(index, block.total)
        self.accept(block.total)
        return block

    def accept(self, total: int) -> None:
        """Remember a total that has been confirmed, if need be by another process."""
        others = [accepted for accepted in self._accepted if not _is_near(total, accepted)]
        self._accepted = [*others, total][-MAX_ACCEPTED:]

    async def _fetch_again(self, index: int, total: int) -> Block:
        self._unconfirmed.append(total)
        try:
            block = await self._fetch_block(index)
        finally:
            self._unconfirmed.remove(total)
        if not _confirms(block.total, total):
            self._report_drift([UNCONFIRMED])
        return block

    def _is_plausible(self, total: int) -> bool:
        if not self._accepted:
            return total <= self._max_orders
        return any(_is_near(total, accepted) for accepted in self._accepted)

    def _is_confirmed(self, total: int) -> bool:
        """Return whether another answer, which is being confirmed itself, states this total."""
        return any(_confirms(total, stated) for stated in self._unconfirmed)


def _is_near(total: int, accepted: int) -> bool:
    return accepted // 2 <= total <= 2 * accepted + MIN_JUMP


def _confirms(total: int, stated: int) -> bool:
    return abs(total - stated) <= BLOCK_SIZE + stated // 10
