"""The URL of the store decides where it is."""

from pathlib import Path

import pytest

from app.cache.redis_store import RedisStore
from app.cache.sqlite_store import SqliteStore
from app.cache.store import StoreError
from app.composition.sharing import open_store
from tests.support.clock import ManualClock
from tests.support.run import run_inline


async def test_a_store_connects_when_it_is_first_used() -> None:
    store = open_store("redis://127.0.0.1:1/0", ManualClock(), run_inline)
    assert isinstance(store, RedisStore)
    with pytest.raises(StoreError):
        await store.get_text("pool")
    await store.close()


def test_a_sqlite_url_has_the_path_of_the_file(tmp_path: Path) -> None:
    store = open_store(f"sqlite://{tmp_path}/a%20b.sqlite", ManualClock(), run_inline)
    assert isinstance(store, SqliteStore)
    assert list(tmp_path.iterdir()) == []
