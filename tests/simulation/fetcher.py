"""Fetches blocks for the order book of a world, and has each fetch checked."""

import asyncio
from contextvars import ContextVar
from typing import Any

from app.clock import Clock
from app.orders.blocks import Block
from app.orders.mapping import Row
from app.single_flight import current_flight
from app.upstream.client import UpstreamClient
from app.upstream.wire import OrderListResponse
from tests.simulation.fetch_oracle import FetchOracle
from tests.simulation.history import CallerRequest, Fetch, History
from tests.simulation.upstream import SimulatedUpstream, current_fetch, make_row

current_request: ContextVar[CallerRequest | None] = ContextVar("current_request", default=None)
"""The request that caused something: a fetch runs in the context of the caller that started it."""


class BlockFetcher:
    """Fetches blocks from the simulated upstream, through `client` if there is one."""

    def __init__(
        self,
        history: History,
        clock: Clock,
        oracle: FetchOracle,
        upstream: SimulatedUpstream,
        client: UpstreamClient | None,
    ) -> None:
        self._history = history
        self._clock = clock
        self._oracle = oracle
        self._upstream = upstream
        self._client = client

    async def fetch_block(self, index: int) -> Block:
        """Fetch a block. Its `as_of` is the number of the fetch."""
        number, request = len(self._history.fetches), current_request.get()
        fetch = Fetch(number, index, self._clock.monotonic(), request)
        fetch.first_version = self._upstream.states[-1].version
        flight = current_flight()
        if flight:
            fetch.has_waiters = flight.has_waiters
        self._oracle.fetch_started(fetch)
        current_fetch.set(fetch)
        try:
            if self._client is None:
                state = await self._upstream.fetch_block()
                rows, total = state.block(index), state.total(index)
            else:
                deadline = self._clock.monotonic() + self._history.plan.settings.deadline
                response = await self._client.list_orders(index + 1, deadline=deadline)
                state = self._upstream.states[int((response.request_id or "").removeprefix("s"))]
                rows, total = _rows(response), response.total
        except asyncio.CancelledError:
            self._oracle.fetch_cancelled(fetch)
            raise
        except Exception as error:
            self._oracle.fetch_failed(fetch, error)
            raise
        self._oracle.fetch_completed(fetch, state)
        fetch.last_version = self._upstream.states[-1].version
        return Block(index, rows, total, as_of=str(number), request_id=None, sandbox=False)


def _rows(response: OrderListResponse) -> tuple[Row, ...]:
    """Return the rows of a response that the client has parsed."""
    wire_rows: list[Any] = list(response.rows)
    return tuple(make_row(str(row["orderNo"]), int(row["quantity"])) for row in wire_rows)
