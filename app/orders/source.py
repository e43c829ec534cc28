"""Fetches blocks, orders and payments from the upstream and maps them at once.

What is cached is what is sent, so a response is not mapped more than once.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from app.clock import Clock
from app.orders.blocks import BLOCK_OVERHEAD, Block, FetchedValue
from app.orders.compute import cooperative_chunks
from app.orders.mapping import (
    Row,
    map_order,
    map_payment,
    mapping_cost,
    mark_repeated,
    row_drift,
)
from app.upstream.client import UpstreamClient
from app.upstream.drift import DriftKind
from app.upstream.wire import ObjectResponse

CHUNK_CHARS = 4000
"""Characters of names that are normalized between two turns of the event loop, at worst 15 ms."""


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

    async def fetch_block(self, index: int) -> Block:
        """Fetch the block `index`, counted from 0, while the upstream counts pages from 1."""
        as_of, deadline = self._start()
        response = await self._client.list_orders(index + 1, deadline=deadline)
        rows: tuple[Row, ...] = ()
        async for wires in cooperative_chunks(response.rows, CHUNK_CHARS, mapping_cost):
            rows += tuple(map_order(wire, self._zone) for wire in wires)
        self._client.report_drift(row_drift("order", rows))
        marked_rows = mark_repeated(rows)
        if marked_rows != rows:
            self._client.report_drift([DriftKind("repeated order number", "list")])
        return Block(
            index,
            marked_rows,
            response.total,
            as_of=as_of,
            request_id=response.request_id,
            sandbox=response.sandbox,
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
