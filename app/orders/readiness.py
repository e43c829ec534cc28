"""Whether the proxy is ready: one block of the list has been cached since the start."""

from app.cache.grace_cache import WaitTimeout
from app.orders.book import OrderBook

MAX_PROBE_WAIT = 0.5
"""Seconds that a probe waits for the first block: Kubernetes' own default timeout is 1 s."""


class Starting(Exception):
    """The first fetch of a block is still running."""


class Readiness:
    """Becomes ready with the first block, and stays so: the cache outlives an outage."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book
        self._is_ready = False
        book.blocks.add_listener(self._on_block)

    async def check(self) -> None:
        """Fetch a block, unless one has been cached already.

        Concurrent checks share the fetch, and it goes on when a check does not wait any longer.

        Raises:
            Starting: the first fetch is still running.
            Exception: the last fetch failed with this error.
        """
        if not self._is_ready and not len(self._book.blocks):
            await self._fetch()
        self._is_ready = True

    def _on_block(self, *_: object) -> None:
        self._is_ready = True

    async def _fetch(self) -> None:
        try:
            await self._book.probe(timeout=MAX_PROBE_WAIT)
        except WaitTimeout:
            raise self._book.last_probe_error or Starting from None
