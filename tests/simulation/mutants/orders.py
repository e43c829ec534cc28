"""Mutants of the order book and of the snapshot."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from app.cache.freshness import Freshness
from app.cache.grace_cache import Entry, Lookup
from app.orders.blocks import Block, blocks_for_range, slice_rows
from app.orders.book import OrderBook
from app.orders.snapshot import Snapshot
from app.orders.snapshot_cache import SnapshotCache
from app.orders.snapshot_loader import SnapshotLoader
from app.orders.totals import TotalConfirmation
from app.single_flight import SingleFlight


class NoProbe(OrderBook):
    @staticmethod
    def _needed_blocks(start: int, stop: int, total_entry: Entry[Block] | None) -> range:
        if total_entry is None:
            return blocks_for_range(start, stop, 10**6)
        return OrderBook._needed_blocks(start, stop, total_entry)


class TotalOfLastCompleted(OrderBook):
    def _on_block_stored(self, _index: int, entry: Entry[Block]) -> None:
        self._total_entry = entry


class NothingOutdated(OrderBook):
    def _outdated(self, *_: Any) -> list[int]:
        return []


class ComparesTotalsOnly(OrderBook):
    def _outdated(self, lookups: Sequence[Lookup[Block]], *window: Any) -> list[int]:
        if len({lookup.entry.value.total for lookup in lookups}) == 1:
            return []
        return super()._outdated(lookups, *window)


class AcceptsGreaterTotal(OrderBook):
    def _outdated(
        self,
        lookups: Sequence[Lookup[Block]],
        start: int,
        stop: int,
        total_entry: Entry[Block] | None,
    ) -> list[int]:
        outdated = super()._outdated(lookups, start, stop, total_entry)
        is_greater = total_entry and lookups[-1].entry.value.total > total_entry.value.total
        return [] if len(lookups) == 1 and is_greater else outdated


class NeverInconsistent(OrderBook):
    async def window(self, *args: Any) -> Any:
        return replace(await super().window(*args), inconsistent=False)


class AlwaysInconsistent(OrderBook):
    async def window(self, *args: Any) -> Any:
        return replace(await super().window(*args), inconsistent=True)


class KeepsDuplicates(OrderBook):
    def _make_window(self, start: int, stop: int, lookups: Any, **kwargs: Any) -> Any:
        window = super()._make_window(start, stop, lookups, **kwargs)
        rows = [slice_rows(start, stop, [lookup.entry.value]) for lookup in lookups]
        return replace(window, rows=tuple(row for block in rows for row in block))


class OldestTotal(OrderBook):
    def _make_window(self, start: int, stop: int, lookups: Any, **kwargs: Any) -> Any:
        window = super()._make_window(start, stop, lookups, **kwargs)
        oldest = min(lookups, key=lambda lookup: lookup.entry.sequence)
        return replace(window, total=oldest.entry.value.total)


class NoDeadline(OrderBook):
    def __init__(self, *args: Any, deadline: float) -> None:
        super().__init__(*args, deadline=deadline + 3600)


class BelievesTotals(TotalConfirmation):
    async def fetch_block(self, index: int) -> Block:
        return await self._fetch_block(index)


class LoadsOutdatedBlocks(SnapshotLoader):
    def _outdated(self, *_: Any) -> list[int]:
        return []


class LoadsInBackground(SnapshotLoader):
    async def load(self, previous: Snapshot | None) -> Snapshot:
        flights: SingleFlight[None, Snapshot] = SingleFlight(self._clock)
        flight = flights.launch(None, partial(super().load, previous))
        await asyncio.wait((flight.task,))  # not as one of its waiters
        return flight.task.result()


class SnapshotNeverExpires(SnapshotCache):
    def _freshness(self, snapshot: Snapshot) -> Freshness:
        freshness = super()._freshness(snapshot)
        return Freshness.STALE_IF_ERROR if freshness is Freshness.EXPIRED else freshness
