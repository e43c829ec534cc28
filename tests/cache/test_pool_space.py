"""The names that belong to a pool, before and after a token says which pool it is."""

from pathlib import Path

import pytest

from app.cache.pool_space import STORE_SECONDS, PoolSpace
from app.cache.sqlite_store import SqliteStore
from app.cache.store_access import StoreAccess, StoreUnavailable
from app.daemon_thread import run_in_thread
from tests.support.clock import ManualClock, settle
from tests.support.run import run_inline


class Process:
    """A process that uses the store, and the pool of its token."""

    def __init__(self, path: Path, *, configured: str | None = None) -> None:
        self.pool: str | None = None
        self.token_pool: str | None = "pool-1"
        self.requests = self.changes = 0
        self.clock = ManualClock()
        self.access = StoreAccess(SqliteStore(path, self.clock, run_inline), self.clock)
        self.space = PoolSpace(
            self.access,
            self.clock,
            base_url="https://api.example.com",
            access_key_id="key-1",
            pool_id=configured,
            part="UTC",
            current_pool=lambda: self.pool,
            request_pool=self._request_pool,
            on_change=self._on_change,
        )

    async def _request_pool(self) -> None:
        self.requests += 1
        self.pool = self.token_pool

    def _on_change(self) -> None:
        self.changes += 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


async def test_the_first_process_requests_a_token_and_the_next_one_finds_the_pool(path: Path):
    first = Process(path)
    with pytest.raises(StoreUnavailable):
        await first.space.find()
    space = await first.space.require()
    await settle()
    second = Process(path)
    assert second.space.known is None
    assert await second.space.find() == space
    assert (first.requests, second.requests) == (1, 0)


async def test_a_name_contains_neither_the_pool_nor_the_key(path: Path):
    process = Process(path)
    space = await process.space.require()
    assert space.startswith("orders-bff:1:")
    assert space.endswith(":UTC:")
    assert len(space.split(":")[2]) == 16
    assert "pool-1" not in space
    await settle()
    assert b"key-1" not in await run_in_thread(path.read_bytes)


async def test_a_configured_pool_needs_no_token(path: Path):
    configured = Process(path, configured="pool-1")
    process = Process(path)
    assert await configured.space.find() == await process.space.require()


async def test_a_token_for_another_pool_changes_the_names_and_what_the_store_knows(path: Path):
    first = Process(path)
    space = await first.space.require()
    await settle()
    second = Process(path)
    assert await second.space.find() == space
    second.pool = "pool-2"
    assert await second.space.find() != space
    assert (first.changes, second.changes) == (0, 1)
    await settle()
    third = Process(path)
    assert await third.space.find() == second.space.known


async def test_a_store_that_has_lost_the_pool_gets_it_again(path: Path):
    first = Process(path)
    space = await first.space.require()
    await settle()
    await run_in_thread(path.unlink)
    await first.clock.advance(STORE_SECONDS)
    assert first.space.known == space
    await settle()
    assert await Process(path).space.find() == space


async def test_a_store_that_comes_back_gets_the_pool_at_once(path: Path):
    first = Process(path)
    first.access.is_down = True
    first.pool = "pool-1"
    assert first.space.known
    first.access.is_down = False
    space = first.space.known
    await settle()
    assert await Process(path).space.find() == space


async def test_without_a_store_no_token_is_requested_for_it(path: Path):
    process = Process(path / "missing" / "store.sqlite")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await process.space.require()
    assert process.requests == 0


async def test_a_token_that_names_no_pool_leaves_the_store_unused(path: Path):
    process = Process(path)
    process.token_pool = None
    with pytest.raises(StoreUnavailable):
        await process.space.require()
