"""Fetches blocks, orders and payments from the upstream and maps them at once.

What is cached is what is sent, so a response is not mapped more than once.
"""

import asyncio
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from app.clock import Clock
from app.orders.blocks import BLOCK_OVERHEAD, Block, FetchedValue
from app.orders.mapping import (
    Row,
    map_order,
    map_payment,
    mark_repeated,
    row_drift,
)
from app.upstream.client import UpstreamClient
from app.upstream.drift import DriftKind
from app.upstream.wire import ObjectResponse, OrderListResponse

CHUNK_BYTES = 8000
"""Bytes of orders that are mapped between two turns of the event loop. At worst they have 4,000
characters of names, which are normalized in 15 ms."""


@dataclass(frozen=True, slots=True)
class FetchedOrder(FetchedValue):
    """One order or payment, fetched by order number."""

    row: Row

    @property
    def size(self) -> int:
        """The memory in bytes."""
        return self.row.size + BLOCK_OVERHEAD


class OrderSource:
    """The upstream's orders and payments.

    `zone` is that of upstream times without one; a fetch may take `deadline` seconds.
    """

    def __init__(
        self, client: UpstreamClient, clock: Clock, *, zone: ZoneInfo, deadline: float
    ) -> None:
        self._client = client
        self._clock = clock
        self._zone = zone
        self._deadline = deadline
        # As long as anybody has them.
        self._blocks: WeakValueDictionary[int, Block] = WeakValueDictionary()

    async def fetch_block(self, index: int) -> Block:
        """Fetch the block `index`, counted from 0, while the upstream counts pages from 1."""
        as_of, deadline = self._start()
        former = self._blocks.get(index)
        response = await self._client.list_orders(
            index + 1, deadline=deadline, known_digest=former.digest if former else None
        )
        if former and response.is_unchanged:
            block = replace(
                former, as_of=as_of, request_id=response.request_id, sandbox=response.sandbox
            )
        else:
            block = await self._map_block(index, as_of, response)
        self._blocks[index] = block
        return block

    async def _map_block(self, index: int, as_of: str, response: OrderListResponse) -> Block:
        rows: list[Row] = []
        unyielded = 0
        for wire in response.rows:
            row = map_order(wire, self._zone)
            rows.append(row)
            unyielded += len(row.body)
            if unyielded > CHUNK_BYTES:
                await asyncio.sleep(0)
                unyielded = 0
        has_drift = self._client.report_drift(row_drift("order", rows))
        marked_rows = tuple(mark_repeated(rows))
        if marked_rows != tuple(rows):
            has_drift = self._client.report_drift([DriftKind("repeated order number", "list")])
        return Block(
            index,
            marked_rows,
            response.total,
            as_of=as_of,
            request_id=response.request_id,
            sandbox=response.sandbox,
            digest=None if has_drift else response.digest,
        )

    async def fetch_order(self, order_no: str) -> FetchedOrder:
        """Fetch one order by the upstream's order detail."""
        as_of, deadline = self._start()
        response = await self._client.get_order(order_no, deadline=deadline)
        return self._fetched("order", map_order(response.data, self._zone), as_of, response)

    async def fetch_payment(self, order_no: str) -> FetchedOrder:
        """Fetch the payment of one order."""
        as_of, deadline = self._start()
        response = await self._client.get_payment(order_no, deadline=deadline)
        return self._fetched("payment", map_payment(response.data, self._zone), as_of, response)

    def _start(self) -> tuple[str, float]:
        """Return the time as RFC 3339 text, and the deadline of a fetch that starts now."""
        as_of = self._clock.now().replace(tzinfo=None).isoformat(timespec="milliseconds")
        return f"{as_of}Z", self._clock.monotonic() + self._deadline

    def _fetched(self, schema: str, row: Row, as_of: str, response: ObjectResponse) -> FetchedOrder:
        self._client.report_drift(row_drift(schema, [row]))
        return FetchedOrder(
            row, as_of=as_of, request_id=response.request_id, sandbox=response.sandbox
        )
