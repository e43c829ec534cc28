"""The processes that share a store, and what each of them learns of the others."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from app.cache.fleet import DOWN_EXCHANGE_SECONDS, EXCHANGE_SECONDS, Fleet
from app.cache.pool_space import PoolSpace
from app.cache.sqlite_store import SqliteStore
from app.cache.store import MEMBER_SECONDS, Exchange, Purge, StoreError
from app.cache.store_access import StoreAccess, StoreUnavailable
from tests.support.clock import ManualClock
from tests.support.run import run_inline


class UnreliableStore(SqliteStore):
    """A store that fails while a test wants it to."""

    fails = False
    exchanges = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.purge_gate = asyncio.Event()
        self.purge_gate.set()

    async def purge(self, space: str, *, drop: bool, latest_sequence: int = 0) -> int:
        number = await super().purge(space, drop=drop, latest_sequence=latest_sequence)
        await self.purge_gate.wait()
        return number

    async def get_text(self, name: str) -> str | None:
        if self.fails:
            raise StoreError("lost")
        return await super().get_text(name)

    async def exchange(self, space: str, member: str, report: bytes) -> Exchange:
        self.exchanges += 1
        if self.fails:
            raise StoreError("lost")
        return await super().exchange(space, member, report)


class Member:
    """A process, whose exchanges run while the test advances the clock."""

    def __init__(self, path: Path, clock: ManualClock, *, pool: str | None = "pool") -> None:
        self.pool = pool
        self.members: list[int] = []
        self.purges: list[Purge] = []
        self.store = UnreliableStore(path, clock, run_inline)
        self.access = StoreAccess(self.store, clock)
        self.space = PoolSpace(
            self.access,
            clock,
            base_url="https://api.example.com",
            access_key_id="key-1",
            pool_id=None,
            part="UTC",
            current_pool=lambda: self.pool,
            request_pool=self._request_pool,
            on_change=lambda: None,
        )
        self.fleet = Fleet(
            self.access,
            self.space,
            clock,
            on_members=self.members.append,
            on_purge=self.purges.append,
        )
        self.task = asyncio.ensure_future(self.fleet.run())

    async def _request_pool(self) -> None:
        raise AssertionError("an exchange never requests a token")

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


async def test_each_process_knows_how_many_are_running(path: Path, clock: ManualClock):
    first = Member(path, clock)
    await clock.advance(EXCHANGE_SECONDS)
    second = Member(path, clock)
    await clock.advance(2 * EXCHANGE_SECONDS)
    assert (first.members, second.members) == ([2], [2])
    await second.stop()
    await clock.advance(MEMBER_SECONDS + 2 * EXCHANGE_SECONDS)
    assert first.members == [2, 1]
    assert first.fleet.members == 1
    await first.stop()


async def test_a_process_that_starts_without_store_and_upstream_finds_the_store_when_it_works(
    path: Path, clock: ManualClock
):
    first = Member(path, clock)
    await clock.advance(EXCHANGE_SECONDS)
    assert first.fleet.members == 1
    started = Member(path, clock, pool=None)
    started.store.fails = True
    with pytest.raises(StoreUnavailable):
        await started.space.require()
    assert started.access.is_down
    started.store.fails = False
    await clock.advance(DOWN_EXCHANGE_SECONDS + EXCHANGE_SECONDS)
    assert not started.access.is_down
    assert started.space.known == first.space.known
    await first.stop()
    await started.stop()


async def test_a_process_exchanges_nothing_before_it_knows_its_pool(path: Path, clock: ManualClock):
    member = Member(path, clock, pool=None)
    await clock.advance(1)
    assert member.store.exchanges == 0
    member.pool = "pool"
    await clock.advance(EXCHANGE_SECONDS)
    assert member.store.exchanges == 1
    await member.stop()


async def test_a_purge_reaches_every_other_process_within_a_second(
    path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    first, second = Member(path, clock), Member(path, clock)
    await clock.advance(1)
    first.fleet.purge(drop=True)
    await clock.advance(0.9)
    assert second.purges == [Purge(1, drop=True)]
    assert first.purges == []
    late = Member(path, clock)
    await clock.advance(1)
    assert late.purges == []  # it has cached nothing from before
    assert [record.message for record in caplog.records] == ["cache_purged"]
    for member in (first, second, late):
        await member.stop()


async def test_a_purge_while_the_store_is_down_is_made_when_it_works_again(
    path: Path, clock: ManualClock
):
    first, second = Member(path, clock), Member(path, clock)
    await clock.advance(1)
    first.store.fails = True
    await clock.advance(1)
    first.fleet.purge(drop=False)
    first.fleet.purge(drop=True)
    first.fleet.purge(drop=False)
    await clock.advance(5)
    assert second.purges == []
    first.store.fails = False
    await clock.advance(2)
    assert second.purges == [Purge(1, drop=True)]
    assert first.purges == []
    for member in (first, second):
        await member.stop()


async def test_a_process_does_not_take_its_own_purge_for_that_of_another(
    path: Path, clock: ManualClock
):
    member = Member(path, clock)
    await clock.advance(1)
    member.store.purge_gate.clear()
    member.fleet.purge(drop=False)
    await clock.advance(0.6)
    member.store.purge_gate.set()
    await clock.advance(1)
    assert member.purges == []
    await member.stop()


async def test_a_purge_is_later_than_the_fetches_that_the_process_knows(
    path: Path, clock: ManualClock
):
    first, second = Member(path, clock), Member(path, clock)
    first.fleet.latest_sequence = lambda: 41
    await clock.advance(1)
    first.fleet.purge(drop=False)
    await clock.advance(1)
    assert second.purges == [Purge(42, drop=False)]
    for member in (first, second):
        await member.stop()


async def test_reports_are_passed_on(path: Path, clock: ManualClock):
    first, second = Member(path, clock), Member(path, clock)
    received: list[list[bytes]] = []
    first.fleet.report = lambda: b"from the first"
    second.fleet.on_reports = lambda reports: received.append(list(reports.values()))
    await clock.advance(3 * EXCHANGE_SECONDS)
    assert received[-1] == [b"from the first"]
    for member in (first, second):
        await member.stop()


async def test_while_the_store_is_down_the_last_known_number_counts_and_it_is_tried_again(
    path: Path, clock: ManualClock
):
    first, second = Member(path, clock), Member(path, clock)
    await clock.advance(2 * EXCHANGE_SECONDS)
    assert first.fleet.members == 2
    await second.stop()

    first.store.fails = True
    await clock.advance(10)
    assert first.access.is_down
    assert first.fleet.members == 2
    first.store.fails = False
    await clock.advance(DOWN_EXCHANGE_SECONDS)
    assert not first.access.is_down
    assert first.fleet.members == 1
    await first.stop()
