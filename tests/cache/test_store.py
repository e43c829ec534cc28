"""What every shared store does: a SQLite file, and a real Redis server."""

import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from app.cache.redis_store import RedisStore
from app.cache.sqlite_store import SqliteStore
from app.cache.store import (
    LEASE_SECONDS,
    MAX_STEPS,
    MAX_STEPS_BYTES,
    MAX_VALUE_BYTES,
    MEMBER_SECONDS,
    Lease,
    Purge,
    Step,
    Store,
    StoredValue,
    StoreError,
    Wanted,
)
from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer, running_redis
from tests.support.run import run_inline

SPACE = "orders-bff:1:0123456789abcdef:UTC:"
OTHER = "orders-bff:1:fedcba9876543210:UTC:"
ANY = Wanted(max_age=60)
NONE = Wanted(max_age=0)
KEY = "block:7"


class Harness:
    """A store, and other connections to it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def lease(self, key: str = KEY, wanted: Wanted = ANY, space: str = SPACE) -> Lease:
        found = await self.store.acquire(space, key, wanted)
        assert isinstance(found, Lease)
        return found

    async def publish(
        self, lease: Lease, data: bytes = b"data", *, early: bool = False, space: str = SPACE
    ) -> int:
        return await self.store.publish(space, KEY, lease, data, early=early, lifetime=600)

    async def read(self, key: str = KEY, space: str = SPACE) -> StoredValue | None:
        (value,) = await self.store.read(space, [key])
        return value

    def another(self) -> Store:
        raise NotImplementedError

    async def fill_history(self, count: int) -> None:
        """Add steps from state to state."""
        for number in range(count):
            step = Step(f"{number}", f"{number + 1}", b"")
            await self.store.add_step(SPACE, step, lifetime=60)

    def expire(self, name: str, seconds: float) -> None:
        """Let `seconds` pass for what is stored under this name."""
        raise NotImplementedError

    def lose_counter(self) -> None:
        """Delete the counter of fetches."""
        raise NotImplementedError


class SqliteHarness(Harness):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        super().__init__(self.another())

    def another(self) -> Store:
        return SqliteStore(self.path, self.clock, run_inline)

    async def fill_history(self, count: int) -> None:
        rows = [(SPACE, f"{number}", f"{number + 1}", b"", 1e12) for number in range(count)]
        await self.store.steps(SPACE)
        with sqlite3.connect(self.path) as database:
            database.executemany(
                "INSERT INTO steps (space, before, after, data, expires) VALUES (?, ?, ?, ?, ?)",
                rows,
            )
        database.close()

    def expire(self, name: str, seconds: float) -> None:
        del name
        self.clock._elapsed += seconds

    def lose_counter(self) -> None:
        with sqlite3.connect(self.path) as database:
            database.execute("DELETE FROM counters")
        database.close()


class RedisHarness(Harness):
    def __init__(self, server: RedisServer) -> None:
        self.server = server
        super().__init__(self.another())

    def another(self) -> Store:
        return RedisStore(self.server.url, timeout=20)

    def expire(self, name: str, seconds: float) -> None:
        """Redis has no other clock than that of the machine, so the times are changed."""
        client: Any = redis.Redis(port=self.server.port)
        if name == "members":
            for member, score in client.zrange(SPACE + name, 0, -1, withscores=True):
                client.zadd(SPACE + name, {member: score - seconds * 1e6})
        elif client.type(SPACE + name) == b"hash":
            started = int(client.hget(SPACE + name, "started") or 0)
            client.hset(SPACE + name, "started", started - round(seconds * 1e6))
        else:
            left = client.pttl(SPACE + name) - round(seconds * 1000)
            client.pexpire(SPACE + name, left)
        client.close()

    def lose_counter(self) -> None:
        client: Any = redis.Redis(port=self.server.port)
        assert client.delete(SPACE + "counter")
        client.close()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    if request.param == "sqlite":
        found: Harness = SqliteHarness(tmp_path / "store.sqlite")
    else:
        found = RedisHarness(request.getfixturevalue("redis_server"))
        client = redis.Redis(port=found.server.port)
        client.flushall()
        client.close()
    yield found
    await found.store.close()


async def test_a_published_value_is_read_with_the_number_and_age_of_its_fetch(harness: Harness):
    assert await harness.read() is None
    lease = await harness.lease()
    assert (lease.sequence, lease.replaced_sequence) == (1, 0)
    assert await harness.publish(lease, b"\x00data", early=True) == 1
    value = await harness.read()
    assert value
    assert (value.data, value.sequence, value.completed_at) == (b"\x00data", 1, 1)
    assert value.refetched_early
    assert not value.purged
    assert 0 <= value.age < 60
    harness.expire(f"value:{KEY}", 30)
    value = await harness.read()
    assert value
    assert 30 <= value.age < 90


async def test_only_one_process_gets_the_lease_until_the_value_is_published(harness: Harness):
    lease = await harness.lease()
    other = harness.another()
    assert await other.acquire(SPACE, KEY, ANY) is None
    await harness.publish(lease)
    value = await other.acquire(SPACE, KEY, ANY)
    assert isinstance(value, StoredValue)
    assert value.data == b"data"
    await other.close()


async def test_leases_of_other_keys_and_spaces_are_independent(harness: Harness):
    await harness.lease()
    assert (await harness.lease("block:8")).sequence == 2
    assert (await harness.lease(space=OTHER)).sequence == 1


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (Wanted(max_age=60, after=1), True),
        (Wanted(max_age=60, after=2), False),
        (Wanted(max_age=0), False),
        (Wanted(max_age=60, after=2, after_early=1), False),
    ],
    ids=str,
)
async def test_a_value_is_wanted_if_it_is_young_enough_and_its_fetch_started_after_another(
    harness: Harness, wanted: Wanted, is_wanted: bool
):
    await harness.publish(await harness.lease(wanted=Wanted(max_age=60, latest_sequence=1)))
    found = await harness.store.acquire(SPACE, KEY, wanted)
    assert isinstance(found, StoredValue if is_wanted else Lease)
    if isinstance(found, Lease):
        assert (found.sequence, found.replaced_sequence) == (3, 2)
        assert 0 <= found.replaced_age < 60


async def test_a_value_fetched_ahead_of_time_is_compared_with_a_number_of_its_own(harness: Harness):
    await harness.publish(await harness.lease(), early=True)
    found = await harness.store.acquire(SPACE, KEY, Wanted(max_age=60, after=5, after_early=0))
    assert isinstance(found, StoredValue)
    found = await harness.store.acquire(SPACE, KEY, Wanted(max_age=60, after=0, after_early=1))
    assert isinstance(found, Lease)


async def test_numbers_grow_beyond_those_that_a_process_knows_even_if_the_store_has_lost_its_own(
    harness: Harness,
):
    assert (await harness.lease(wanted=Wanted(max_age=60, latest_sequence=41))).sequence == 42
    assert (await harness.lease("block:8")).sequence == 43


async def test_a_lease_expires_unless_it_is_renewed(harness: Harness):
    lease = await harness.lease()
    harness.expire(f"lease:{KEY}", LEASE_SECONDS * 0.6)
    await harness.store.renew(SPACE, KEY, lease)
    harness.expire(f"lease:{KEY}", LEASE_SECONDS * 0.6)
    assert await harness.store.acquire(SPACE, KEY, ANY) is None
    harness.expire(f"lease:{KEY}", LEASE_SECONDS)
    later = await harness.lease()
    assert later.sequence > lease.sequence
    await harness.store.renew(SPACE, KEY, lease)  # which has no effect any more
    await harness.store.release(SPACE, KEY, lease)
    assert await harness.store.acquire(SPACE, KEY, ANY) is None


async def test_a_released_lease_is_free_at_once(harness: Harness):
    lease = await harness.lease()
    await harness.store.release(SPACE, KEY, lease)
    assert (await harness.lease()).sequence == 2


async def test_a_process_that_lost_its_lease_cannot_replace_the_value_of_a_later_fetch(
    harness: Harness,
):
    lost = await harness.lease()
    harness.expire(f"lease:{KEY}", LEASE_SECONDS)
    later = await harness.lease()
    await harness.publish(later, b"later")
    assert await harness.publish(lost, b"lost") == 2
    value = await harness.read()
    assert value
    assert value.data == b"later"


async def test_a_completed_fetch_knows_how_many_have_started_since(harness: Harness):
    lease = await harness.lease()
    await harness.lease("block:8")
    assert await harness.publish(lease) == 2
    value = await harness.read()
    assert value
    assert (value.sequence, value.completed_at) == (1, 2)


async def test_a_value_is_removed_after_its_lifetime(harness: Harness):
    lease = await harness.lease()
    await harness.store.publish(SPACE, KEY, lease, b"data", early=False, lifetime=0.001)
    harness.expire(f"value:{KEY}", 1)
    while await harness.read():
        pass  # Redis' own clock; a millisecond


async def test_a_value_that_is_too_large_is_not_stored(harness: Harness):
    lease = await harness.lease()
    assert await harness.publish(lease, bytes(MAX_VALUE_BYTES + 1)) == 1
    assert await harness.read() is None
    assert (await harness.lease()).sequence == 2


async def test_a_value_from_the_future_has_no_age_and_is_ignored(harness: Harness):
    await harness.publish(await harness.lease())
    harness.expire(f"value:{KEY}", -30)
    assert await harness.read() is None
    assert (await harness.lease()).replaced_sequence == 0


async def test_a_purge_makes_values_unwanted_and_fetches_in_flight_are_not_stored(harness: Harness):
    await harness.publish(await harness.lease(), b"old")
    in_flight = await harness.lease(wanted=NONE)
    assert await harness.store.purge(SPACE, drop=False) == in_flight.sequence + 1
    await harness.publish(in_flight, b"in flight")
    value = await harness.read()
    assert value
    assert (value.data, value.purged) == (b"old", True)
    later = await harness.lease()
    await harness.publish(later, b"new")
    value = await harness.read()
    assert value
    assert (value.data, value.purged) == (b"new", False)


async def test_a_purge_can_delete_all_values_of_one_space(harness: Harness):
    await harness.publish(await harness.lease())
    await harness.publish(await harness.lease(space=OTHER), space=OTHER)
    await harness.store.purge(SPACE, drop=True)
    assert await harness.read() is None
    assert await harness.read(space=OTHER)


async def test_processes_know_how_many_are_running_and_what_they_report(harness: Harness):
    alone = await harness.store.exchange(SPACE, "a", b"1")
    assert (alone.members, alone.purge, dict(alone.reports)) == (1, None, {})
    both = await harness.store.exchange(SPACE, "b", b"2")
    assert (both.members, dict(both.reports)) == (2, {"a": b"1"})
    harness.expire("members", MEMBER_SECONDS)
    last = await harness.store.exchange(SPACE, "a", b"3")
    assert (last.members, dict(last.reports)) == (1, {})


async def test_processes_learn_of_a_purge(harness: Harness):
    await harness.store.purge(SPACE, drop=False)
    first = (await harness.store.exchange(SPACE, "a", b"")).purge
    await harness.store.purge(SPACE, drop=True)
    second = (await harness.store.exchange(SPACE, "a", b"")).purge
    assert first == Purge(1, drop=False)
    assert second == Purge(2, drop=True)


async def test_a_history_has_each_step_once_the_oldest_first(harness: Harness):
    first, second = Step("s1", "s2", b"one"), Step("s2", "s3", b"two")
    for step in (first, second, Step("s1", "s2", b"again")):
        await harness.store.add_step(SPACE, step, lifetime=60)
    assert await harness.store.steps(SPACE) == [first, second]
    assert await harness.store.steps(OTHER) == []


async def test_a_history_is_bounded_in_bytes(harness: Harness):
    half = bytes(MAX_STEPS_BYTES // 2)
    for number in range(3):
        await harness.store.add_step(SPACE, Step(f"{number}", f"{number + 1}", half), lifetime=60)
    assert [step.before for step in await harness.store.steps(SPACE)] == ["1", "2"]


async def test_a_history_is_bounded_in_steps(harness: Harness):
    await harness.fill_history(MAX_STEPS)
    for number in (MAX_STEPS, MAX_STEPS + 1):
        await harness.store.add_step(SPACE, Step(f"{number}", f"{number + 1}", b""), lifetime=60)
    steps = await harness.store.steps(SPACE)
    assert (len(steps), steps[0].before) == (MAX_STEPS, "2")


async def test_every_operation_of_a_server_that_is_not_there_fails_and_names_no_value():
    store = RedisStore("redis://:secret@127.0.0.1:1/0")
    lease = Lease(1, 0.0)
    operations: list[Coroutine[Any, Any, object]] = [
        store.read(SPACE, [KEY]),
        store.acquire(SPACE, KEY, ANY),
        store.publish(SPACE, KEY, lease, b"", early=False, lifetime=1),
        store.purge(SPACE, drop=True),
        store.exchange(SPACE, "a", b""),
        store.get_text("name"),
        store.put_text("name", "text", lifetime=1),
    ]
    for operation in operations:
        with pytest.raises(StoreError, match=r"^ConnectionError$"):
            await operation
    await store.close()


async def test_the_code_of_an_error_for_which_the_client_has_no_class_is_reported(
    redis_server: RedisServer,
):
    client: Any = redis.Redis(port=redis_server.port)
    client.config_set("min-replicas-to-write", 1)
    store = RedisStore(redis_server.url)
    with pytest.raises(StoreError, match=r"^ResponseError NOREPLICAS$"):
        await store.put_text("name", "secret", lifetime=1)
    client.config_set("min-replicas-to-write", 0)
    client.close()
    await store.close()


async def test_a_server_that_fails_while_values_are_deleted_is_an_error_of_the_store(
    redis_server: RedisServer,
):
    client: Any = redis.Redis(port=redis_server.port)
    client.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", "+@all", "-scan")
    client.close()
    store = RedisStore(redis_server.url.replace("//", "//limited:x@"))
    with pytest.raises(StoreError, match="NoPermissionError"):
        await store.purge(SPACE, drop=True)
    await store.close()


async def test_values_are_replaced_although_the_counter_was_lost(harness: Harness):
    await harness.publish(await harness.lease(wanted=Wanted(max_age=60, latest_sequence=41)))
    harness.lose_counter()
    await harness.publish(await harness.lease(wanted=NONE), b"new")
    value = await harness.read()
    assert value
    assert value.data == b"new"


async def test_a_purge_makes_values_unwanted_although_the_counter_was_lost(harness: Harness):
    lease = await harness.lease(wanted=Wanted(max_age=60, latest_sequence=41))
    await harness.publish(lease)
    harness.lose_counter()
    number = await harness.store.purge(SPACE, drop=False, latest_sequence=lease.sequence)
    assert number == lease.sequence + 1
    value = await harness.read()
    assert value
    assert value.purged


async def test_a_purge_does_not_undo_an_earlier_one(redis_server: RedisServer):
    """A SQLite file loses both of its numbers, or none."""
    client: Any = redis.Redis(port=redis_server.port)
    client.flushall()
    harness = RedisHarness(redis_server)
    await harness.lease("another block")
    await harness.publish(await harness.lease())
    await harness.store.purge(SPACE, drop=False)
    client.set(SPACE + "counter", "overwritten")
    await harness.store.purge(SPACE, drop=False)
    value = await harness.read()
    assert value
    assert value.purged
    client.close()
    await harness.store.close()


async def test_leases_and_processes_from_before_the_clock_was_set_back_are_forgotten(
    harness: Harness,
):
    await harness.lease()
    await harness.store.exchange(SPACE, "a", b"")
    harness.expire(f"lease:{KEY}", -3600)
    assert (await harness.lease()).sequence == 2
    harness.expire("members", -3600)
    assert (await harness.store.exchange(SPACE, "b", b"")).members == 1


WRONG = [
    *(
        ["DEL {key}", *command]
        for command in (["SET {key} x"], ["RPUSH {key} x"], ["HSET {key} x y"])
    ),
    ["SET {key} " + "9" * 20],
    *([f"HSET {{key}} {field} x"] for field in ("sequence", "completed", "started")),
    *([f"HDEL {{key}} {field}"] for field in ("early", "data")),
]


@pytest.mark.parametrize("commands", WRONG, ids=" ".join)
async def test_what_another_program_has_overwritten_in_redis_is_missing(
    redis_server: RedisServer, commands: list[str]
):
    client: Any = redis.Redis(port=redis_server.port)
    client.flushall()
    harness = RedisHarness(redis_server)
    store, unreadable = harness.store, set[str]()
    store.on_unreadable = unreadable.add
    await harness.publish(await harness.lease())
    await store.add_step(SPACE, Step("s1", "s2", b"one"), lifetime=60)
    await store.put_text("orders-bff:1:pool:x", "pool", lifetime=60)
    await store.purge(SPACE, drop=False)
    await store.exchange(SPACE, "a", b"1")
    lease = await harness.lease()
    names = client.keys()
    assert len(names) == 11
    for name in names:
        for command in commands:
            with suppress(redis.ResponseError):  # of another type than the command is for
                client.execute_command(*command.format(key=name.decode()).split())
    await store.renew(SPACE, KEY, lease)
    await harness.publish(lease)
    await store.add_step(SPACE, Step("s2", "s3", b"two"), lifetime=60)
    await store.steps(SPACE)
    await store.get_text("orders-bff:1:pool:x")
    await store.exchange(SPACE, "a", b"1")
    await store.purge(SPACE, drop=False)
    for name in names:
        for command in commands:
            with suppress(redis.ResponseError):
                client.execute_command(*command.format(key=name.decode()).split())
    await harness.read()
    await harness.publish(await harness.lease(), b"new")
    value = await harness.read()
    assert value
    assert (value.data, value.purged) == (b"new", False)
    assert unreadable
    client.close()
    await store.close()


async def test_a_lease_that_does_not_expire_is_not_of_this_program(redis_server: RedisServer):
    client: Any = redis.Redis(port=redis_server.port)
    client.flushall()
    harness = RedisHarness(redis_server)
    await harness.lease()
    client.persist(f"{SPACE}lease:{KEY}")
    assert (await harness.lease()).sequence == 2
    client.close()
    await harness.store.close()


async def test_another_program_cannot_store_in_the_file_what_has_another_type(tmp_path: Path):
    harness = SqliteHarness(tmp_path / "store.sqlite")
    await harness.publish(await harness.lease())
    database = sqlite3.connect(harness.path)
    for column, value in (
        ("data", "'x'"),
        ("sequence", "'x'"),
        ("sequence", 2**62),
        ("started", "NULL"),
    ):
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(f"UPDATE stored SET {column} = {value}")  # noqa: S608
    database.close()
    assert await harness.read()
    await harness.store.close()


async def test_a_text_of_another_program_need_not_be_utf_8(tmp_path: Path):
    harness = SqliteHarness(tmp_path / "store.sqlite")
    await harness.store.put_text("name", "text", lifetime=60)
    await harness.store.add_step(SPACE, Step("1", "2", b"data"), lifetime=60)
    await harness.store.exchange(SPACE, "a", b"report")
    for column in ("texts SET text", "steps SET before", "members SET member"):
        with sqlite3.connect(harness.path) as database:
            database.execute(f"UPDATE {column} = CAST(x'ff' AS TEXT)")
        database.close()
    assert await harness.store.get_text("name") == "\ufffd"
    assert await harness.store.steps(SPACE) == [Step("\ufffd", "2", b"data")]
    assert (await harness.store.exchange(SPACE, "a", b"report")).members == 2
    await harness.store.close()


async def test_a_text_is_kept_for_its_lifetime(harness: Harness):
    assert await harness.store.get_text("orders-bff:1:pool:x") is None
    await harness.store.put_text("orders-bff:1:pool:x", "pool", lifetime=60)
    assert await harness.store.get_text("orders-bff:1:pool:x") == "pool"
