"""Steps of other processes: which ones lead from one state of the list to another."""

from pathlib import Path

import pytest

from app.cache.pool_space import PoolSpace
from app.cache.sqlite_store import SqliteStore
from app.cache.store import Step
from app.cache.store_access import StoreAccess
from app.orders.changes import MAX_CHANGES, CursorExpired
from app.orders.shared_history import SharedHistory, _path
from tests.support.clock import ManualClock, settle
from tests.support.run import run_inline

STEPS = [Step("a", "b", b""), Step("b", "a", b""), Step("b", "c", b""), Step("a", "c", b"")]


@pytest.mark.parametrize(
    ("start", "end", "path"),
    [("a", "c", ["c"]), ("b", "c", ["c"]), ("b", "a", ["a"]), ("c", "a", []), ("x", "a", [])],
)
def test_the_fewest_steps_are_taken(start: str, end: str, path: list[str]):
    assert [step.after for step in _path(STEPS, start, lambda state: state == end)] == path


def history_of(path: Path, pool: str | None) -> tuple[SharedHistory, StoreAccess]:
    clock = ManualClock()
    access = StoreAccess(SqliteStore(path, clock, run_inline), clock)

    async def request_pool() -> None:
        raise AssertionError("a history never requests a token")

    space = PoolSpace(
        access,
        clock,
        base_url="https://api.example.com",
        access_key_id="key",
        pool_id=pool,
        part="UTC",
        current_pool=lambda: None,
        request_pool=request_pool,
        on_change=lambda: None,
    )
    return SharedHistory(access, space, clock, lifetime=60), access


async def test_a_step_with_more_changes_than_an_answer_may_have_is_not_stored(tmp_path: Path):
    history, access = history_of(tmp_path / "store.sqlite", "pool")
    history._add_step("one", dict.fromkeys("ab"))
    history._add_step("two", dict.fromkeys(map(str, range(MAX_CHANGES + 1))))
    await settle()
    space = history._space.known
    assert space
    assert [step.after for step in await access.store.steps(space)] == ["one"]


async def test_without_a_known_pool_steps_are_kept_by_this_process(tmp_path: Path):
    history, access = history_of(tmp_path / "store.sqlite", None)
    history._add_step("one", {"a": None})
    await history.learn("0" * 32)
    assert not access.is_down
    with pytest.raises(CursorExpired):
        history.since("0" * 32)


async def test_a_state_with_too_many_changes_since_is_forgotten(tmp_path: Path):
    history, _ = history_of(tmp_path / "store.sqlite", "pool")
    history._learned.put("learned", ("", {}))
    history._steps.append(("own", {}))
    for cursor in ("learned", "own"):
        assert history._knows(cursor)
        history._forget(cursor)
        assert not history._knows(cursor)


async def test_a_step_that_cannot_be_read_is_missing(tmp_path: Path):
    history, access = history_of(tmp_path / "store.sqlite", "pool")
    unreadable: list[str] = []
    access.store.on_unreadable = unreadable.append
    space = history._space.known
    assert space
    await access.store.add_step(space, Step("s1", "", b'{"x":'), lifetime=60)
    await history.learn("s1")
    with pytest.raises(CursorExpired):
        history.since("s1")
    assert (unreadable, access.is_down) == (["history"], False)


async def test_of_several_steps_the_oldest_says_what_an_order_was(tmp_path: Path):
    history, access = history_of(tmp_path / "store.sqlite", "pool")
    space = history._space.known
    assert space
    for step in (Step("s1", "s2", b'{"x":null,"y":"1"}'), Step("s2", "", b'{"x":"1","z":"2"}')):
        await access.store.add_step(space, step, lifetime=60)
    await history.learn("s1")
    assert history._replaced_since("s1") == {"x": None, "y": "1", "z": "2"}
