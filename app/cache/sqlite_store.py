"""A store in a SQLite file, for the processes of one machine and for restarts.

Its clock is the wall clock of the machine. All work is done in another thread, one operation at a
time; the thread cannot keep the process from exiting.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from threading import Lock
from typing import TypeVar

from app.cache.sqlite_file import SqliteFile
from app.cache.store import (
    COUNTER_SECONDS,
    LEASE_SECONDS,
    MAX_CLOCK_STEP,
    MAX_SEQUENCE,
    MAX_STEPS,
    MAX_STEPS_BYTES,
    MAX_VALUE_BYTES,
    MEMBER_SECONDS,
    Exchange,
    Lease,
    Purge,
    Step,
    StoredValue,
    Wanted,
)
from app.clock import Clock
from app.daemon_thread import RunInThread

T = TypeVar("T")


def _column(name: str, form: str, most: int | None = None) -> str:
    """Return the definition of a column with values of one type only, which SQLite lacks."""
    bound = "" if most is None else f" AND {name} BETWEEN 0 AND {most}"
    return f"{name} {form} NOT NULL CHECK (typeof({name}) = '{form.lower()}'{bound})"


def _number(name: str) -> str:
    return _column(name, "INTEGER", MAX_SEQUENCE)


# What another program stores in place of a value is refused then, or can be read. A table whose
# columns change needs another name: processes of two versions may share a file.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS stored (
    space TEXT, key TEXT, {_number("sequence")}, {_number("completed")},
    {_column("started", "REAL")}, {_number("early")}, {_column("expires", "REAL")},
    {_column("data", "BLOB")}, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    space TEXT, key TEXT, {_number("sequence")}, {_column("expires", "REAL")},
    PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    space TEXT PRIMARY KEY, {_number("latest")}, {_number("purged")}, {_number("dropped")},
    {_column("expires", "REAL")});
CREATE TABLE IF NOT EXISTS steps (
    id INTEGER PRIMARY KEY, space TEXT, before TEXT, after TEXT, {_column("data", "BLOB")},
    {_column("expires", "REAL")}, UNIQUE (space, before, after));
CREATE TABLE IF NOT EXISTS members (
    space TEXT, member TEXT, {_column("seen", "REAL")}, {_column("report", "BLOB")},
    PRIMARY KEY (space, member)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (
    name TEXT PRIMARY KEY, {_column("text", "TEXT")}, {_column("expires", "REAL")});
"""
_EXPIRING = ("stored", "leases", "counters", "steps", "texts")

CLEAN_UP_SECONDS = 60.0
"""Seconds between two deletions of what has expired."""


class SqliteStore:
    """The store in the file at `path`, which is created when it is first used."""

    def __init__(self, path: Path, clock: Clock, run_in_thread: RunInThread) -> None:
        self._file = SqliteFile(path, SCHEMA)
        self._clock = clock
        self._run_in_thread = run_in_thread
        self._lock = Lock()
        self._cleaned_up_at = 0.0
        self.on_unreadable: Callable[[str], object] = lambda _: None

    async def read(self, space: str, keys: Sequence[str]) -> list[StoredValue | None]:
        def read(database: Connection) -> list[StoredValue | None]:
            now, purged = self._clock.timestamp(), _counters(database, space)[1]
            return [_load(database, space, key, now, purged) for key in keys]

        return await self._run(read, reads=True)

    async def acquire(self, space: str, key: str, wanted: Wanted) -> StoredValue | Lease | None:
        def acquire(database: Connection) -> StoredValue | Lease | None:
            now = self._clock.timestamp()
            latest, purged, _ = _counters(database, space)
            value = _load(database, space, key, now, purged)
            if value and not value.purged and value.age < wanted.max_age:
                after = wanted.after_early if value.refetched_early else wanted.after
                if value.sequence > after:
                    return value
            query = "SELECT expires FROM leases WHERE space = ? AND key = ?"
            (expires,) = database.execute(query, (space, key)).fetchone() or (0.0,)
            # One that lasts longer was taken before the clock was set back.
            if now < expires <= now + LEASE_SECONDS:
                return None
            replaced = value.sequence if value else 0
            sequence = max(latest, wanted.latest_sequence, purged, replaced) + 1
            _set_counter(database, space, "latest", sequence, now)
            database.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)",
                (space, key, sequence, now + LEASE_SECONDS),
            )
            if value is None:
                return Lease(sequence, now)
            return Lease(sequence, now, value.sequence, value.age)

        return await self._run(acquire)

    async def renew(self, space: str, key: str, lease: Lease) -> None:
        def renew(database: Connection) -> None:
            now = self._clock.timestamp()
            database.execute(
                "UPDATE leases SET expires = ?"
                " WHERE space = ? AND key = ? AND sequence = ? AND expires > ?",
                (now + LEASE_SECONDS, space, key, lease.sequence, now),
            )

        await self._run(renew)

    async def publish(
        self, space: str, key: str, lease: Lease, data: bytes, *, early: bool, lifetime: float
    ) -> int:
        def publish(database: Connection) -> int:
            now = self._clock.timestamp()
            _release(space, key, lease, database)
            counter, purged, _ = _counters(database, space)
            latest = max(counter, lease.sequence)
            query = "SELECT sequence FROM stored WHERE space = ? AND key = ?"
            (stored,) = database.execute(query, (space, key)).fetchone() or (0,)
            if lease.sequence > max(stored, purged) and len(data) <= MAX_VALUE_BYTES:
                database.execute(
                    "INSERT OR REPLACE INTO stored VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        space,
                        key,
                        lease.sequence,
                        latest,
                        lease.started_at,
                        early,
                        now + lifetime,
                        data,
                    ),
                )
            return latest

        return await self._run(publish)

    async def release(self, space: str, key: str, lease: Lease) -> None:
        await self._run(partial(_release, space, key, lease))

    async def purge(self, space: str, *, drop: bool, latest_sequence: int = 0) -> int:
        def purge(database: Connection) -> int:
            now = self._clock.timestamp()
            number = max(_counters(database, space)[0], latest_sequence) + 1
            for name, value in (("latest", number), ("purged", number), ("dropped", int(drop))):
                _set_counter(database, space, name, value, now)
            if drop:
                database.execute("DELETE FROM stored WHERE space = ?", (space,))
            return number

        return await self._run(purge)

    async def add_step(self, space: str, step: Step, *, lifetime: float) -> None:
        def add_step(database: Connection) -> None:
            database.execute(
                "INSERT OR IGNORE INTO steps (space, before, after, data, expires)"
                " VALUES (?, ?, ?, ?, ?)",
                (space, step.before, step.after, step.data, self._clock.timestamp() + lifetime),
            )
            query = "SELECT COUNT(*), SUM(LENGTH(data)) FROM steps WHERE space = ?"
            count, size = database.execute(query, (space,)).fetchone()
            if count <= MAX_STEPS and size <= MAX_STEPS_BYTES:
                return
            # The newest ones that fit remain.
            database.execute(
                "DELETE FROM steps WHERE space = ?1 AND id NOT IN (SELECT id FROM ("
                " SELECT id, ROW_NUMBER() OVER newest AS number,"
                " SUM(LENGTH(data)) OVER newest AS bytes FROM steps WHERE space = ?1"
                " WINDOW newest AS (ORDER BY id DESC)) WHERE number <= ?2 AND bytes <= ?3)",
                (space, MAX_STEPS, MAX_STEPS_BYTES),
            )

        await self._run(add_step)

    async def steps(self, space: str) -> list[Step]:
        def steps(database: Connection) -> list[Step]:
            query = "SELECT before, after, data FROM steps WHERE space = ? ORDER BY id"
            return [Step(*row) for row in database.execute(query, (space,))]

        return await self._run(steps, reads=True)

    async def exchange(self, space: str, member: str, report: bytes) -> Exchange:
        def exchange(database: Connection) -> Exchange:
            now = self._clock.timestamp()
            database.execute(
                "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?)", (space, member, now, report)
            )
            database.execute(
                "DELETE FROM members WHERE seen <= ? OR seen > ?",
                (now - MEMBER_SECONDS, now + MAX_CLOCK_STEP),
            )
            query = "SELECT member, report FROM members WHERE space = ?"
            reports = dict(database.execute(query, (space,)).fetchall())
            members = len(reports)
            del reports[member]
            _, purged, dropped = _counters(database, space)
            self._clean_up(database, now)
            return Exchange(members, Purge(purged, bool(dropped)) if purged else None, reports)

        return await self._run(exchange)

    async def get_text(self, name: str) -> str | None:
        def get_text(database: Connection) -> str | None:
            query = "SELECT text FROM texts WHERE name = ? AND expires > ?"
            row = database.execute(query, (name, self._clock.timestamp())).fetchone()
            return row[0] if row else None

        return await self._run(get_text, reads=True)

    async def put_text(self, name: str, text: str, *, lifetime: float) -> None:
        def put_text(database: Connection) -> None:
            expires = self._clock.timestamp() + lifetime
            database.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", (name, text, expires))

        await self._run(put_text)

    async def close(self) -> None:
        def close() -> None:
            with self._lock:
                self._file.close()

        await self._run_in_thread(close)

    async def _run(self, work: Callable[[Connection], T], *, reads: bool = False) -> T:
        def run() -> T:
            with self._lock:
                return self._file.run(work, reads=reads)

        return await self._run_in_thread(run)

    def _clean_up(self, database: Connection, now: float) -> None:
        if now < self._cleaned_up_at + CLEAN_UP_SECONDS:
            return
        self._cleaned_up_at = now
        for table in _EXPIRING:
            database.execute(f"DELETE FROM {table} WHERE expires <= ?", (now,))  # noqa: S608


def _load(
    database: Connection, space: str, key: str, now: float, purged: int
) -> StoredValue | None:
    row = database.execute(
        "SELECT data, sequence, completed, started, early FROM stored"
        " WHERE space = ? AND key = ? AND expires > ?",
        (space, key, now),
    ).fetchone()
    if row is None or row[3] > now + MAX_CLOCK_STEP:
        return None
    data, sequence, completed, started, early = row
    age = max(now - started, 0.0)
    return StoredValue(data, sequence, completed, age, bool(early), sequence <= purged)


def _counters(database: Connection, space: str) -> tuple[int, int, int]:
    """Return the number of the latest fetch, that of the last purge, and whether it deleted."""
    query = "SELECT latest, purged, dropped FROM counters WHERE space = ?"
    row: tuple[int, int, int] | None = database.execute(query, (space,)).fetchone()
    return row or (0, 0, 0)


def _set_counter(database: Connection, space: str, name: str, value: int, now: float) -> None:
    expires = now + COUNTER_SECONDS
    database.execute("INSERT OR IGNORE INTO counters VALUES (?, 0, 0, 0, ?)", (space, expires))
    database.execute(
        f"UPDATE counters SET {name} = ?, expires = ? WHERE space = ?",  # noqa: S608
        (value, expires, space),
    )


def _release(space: str, key: str, lease: Lease, database: Connection) -> None:
    database.execute(
        "DELETE FROM leases WHERE space = ? AND key = ? AND sequence = ?",
        (space, key, lease.sequence),
    )
