"""Mutants of what reads the list as a whole, and of the history of changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import structs

from app.cache.grace_cache import Entry, GraceCache
from app.orders.blocks import Block, Window
from app.orders.book import OrderBook
from app.orders.changes import Change, History
from app.orders.mapping import Row
from app.orders.snapshot import Snapshot
from app.orders.snapshot_cache import ListLoading, SnapshotCache, SnapshotLookup
from app.orders.snapshot_loader import Progress


class ServesFormerRows(OrderBook):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._former: dict[Any, tuple[Row, ...]] = {}

    async def window(self, *args: Any) -> Window:
        window = await super().window(*args)
        rows = self._former.get(args, window.rows)
        self._former[args] = window.rows
        return replace(window, rows=rows)


class RefusesInconsistent(SnapshotCache):
    async def get(self, *args: Any) -> SnapshotLookup:
        found = await super().get(*args)
        if found.snapshot.inconsistent:
            raise ListLoading(Progress(0, 0), 1.0)
        return found


class ComparesNothing(OrderBook):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epochs._is_evidence = _never  # type: ignore[method-assign]


class ComparesNoEnds(OrderBook):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epochs._is_explained = _always  # type: ignore[method-assign]


class ComparesNoNeighbours(OrderBook):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epochs._shares_an_order = _never  # type: ignore[method-assign]


class TrustsTheFirstBlock(OrderBook):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epochs.is_unverified = _never  # type: ignore[method-assign]


class RemovesAtOnce(History):
    async def record(self, snapshot: Snapshot) -> bool:
        entries = [
            structs.replace(entry, sequence=entry.sequence + 10**6) for entry in snapshot.blocks
        ]
        snapshot = replace(snapshot, contradictory=False)
        await super().record(snapshot)
        return await super().record(replace(snapshot, blocks=tuple(entries)))


class ReportsNoRemoval(History):
    def since(self, cursor: str) -> Sequence[Change]:
        return [change for change in super().since(cursor) if change.row]


class PurgesNothing(GraceCache[int, Block]):
    def purge(self, *, drop: bool = False) -> int:
        del drop
        return len(self)


class KeepsWhatIsDropped(GraceCache[int, Block]):
    def purge(self, *, drop: bool = False) -> int:
        del drop
        return super().purge(drop=False)


class ForgetsOvertakenFetches(GraceCache[int, Block]):
    def _notify(self, key: int, entry: Entry[Block]) -> Entry[Block]:
        return entry if entry.fetched_at <= self._purged_at else super()._notify(key, entry)


def _never(*_: Any, **__: Any) -> bool:
    return False


def _always(*_: Any, **__: Any) -> bool:
    return True
