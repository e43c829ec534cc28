"""Ask the upstream one question and reshape its answer at once: what is held is what is sent."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app.clock import Clock
from app.orders.blocks import ROW_OVERHEAD, Block
from app.orders.mapping import Row, map_order, map_payment, row_drift
from app.upstream.client import UpstreamClient


@dataclass(frozen=True, slots=True)
class FetchedOrder:
    """One order or payment, asked for by its number."""

    row: Row
    as_of: str
    request_id: str | None
    sandbox: bool

    @property
    def size(self) -> int:
        """Roughly its bytes in memory."""
        return self.row.size + 2 * ROW_OVERHEAD


class OrderSource:
    """The three questions. What nobody waits for is asked after what somebody does.

    Args:
        client: the upstream.
        clock: the only source of time.
        zone: the zone of upstream times that name none.
        deadline: seconds that one flight may take.
    """

    def __init__(
        self, client: UpstreamClient, clock: Clock, *, zone: ZoneInfo, deadline: float
    ) -> None:
        self._client = client
        self._clock = clock
        self._zone = zone
        self._deadline = deadline

    async def block(self, index: int) -> Block:
        """The block at `index`, from 0."""
        as_of = _text(self._clock.now())
        answer = await self._client.list_orders(index + 1, deadline=self._until())
        rows = tuple(map_order(sent, self._zone) for sent in answer.rows)
        self._client.drift.report(row_drift("order", rows))
        return Block(index, rows, answer.total, as_of, answer.request_id, answer.sandbox)

    async def order(self, order_no: str) -> FetchedOrder:
        """One order, by the upstream's order detail."""
        as_of = _text(self._clock.now())
        answer = await self._client.get_order(order_no, deadline=self._until())
        row = map_order(answer.data, self._zone)
        self._client.drift.report(row_drift("order", [row]))
        return FetchedOrder(row, as_of, answer.request_id, answer.sandbox)

    async def payment(self, order_no: str) -> FetchedOrder:
        """The payment of one order."""
        as_of = _text(self._clock.now())
        answer = await self._client.get_payment(order_no, deadline=self._until())
        row = map_payment(answer.data, self._zone)
        self._client.drift.report(row_drift("payment", [row]))
        return FetchedOrder(row, as_of, answer.request_id, answer.sandbox)

    def _until(self) -> float:
        return self._clock.monotonic() + self._deadline


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
