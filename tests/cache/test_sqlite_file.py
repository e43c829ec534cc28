"""The file of a SQLite store: who may read it, and what happens when it is damaged or lost."""

import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.cache.sqlite_file import SqliteFile
from app.cache.store import StoreError

SCHEMA = "CREATE TABLE IF NOT EXISTS notes (text TEXT);"


def add(file: SqliteFile, text: str) -> None:
    file.run(lambda database: database.execute("INSERT INTO notes VALUES (?)", (text,)).rowcount)


def notes(file: SqliteFile) -> list[str]:
    return file.run(lambda database: [text for (text,) in database.execute("SELECT * FROM notes")])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def file(path: Path) -> Iterator[SqliteFile]:
    found = SqliteFile(path, SCHEMA)
    yield found
    found.close()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)


def test_nobody_else_may_read_the_file_nor_those_beside_it(file: SqliteFile, path: Path):
    with umask(0):
        add(file, "one")
    assert {each.name for each in path.parent.iterdir()} == {"store.sqlite", "store.sqlite-journal"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


def test_a_file_that_others_may_read_is_closed_to_them(file: SqliteFile, path: Path):
    path.touch(0o644)
    add(file, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["store.sqlite", "store.sqlite-journal", "store.sqlite-wal"])
def test_a_symbolic_link_is_not_followed(file: SqliteFile, path: Path, name: str):
    target = path.with_name("target")
    path.with_name(name).symlink_to(target)
    with pytest.raises(StoreError, match=f"{name} is not a regular file"):
        add(file, "one")
    assert not target.exists()


def test_the_file_of_another_user_is_not_used(path: Path):
    path.touch(0o600)
    with pytest.raises(StoreError, match="belongs to another user"):
        add(SqliteFile(path, SCHEMA, user=os.geteuid() + 1), "one")


def test_what_was_stored_is_there_after_a_restart(file: SqliteFile, path: Path):
    add(file, "one")
    file.close()
    assert notes(SqliteFile(path, SCHEMA)) == ["one"]


@pytest.mark.parametrize("data", [b"no database", b"SQLite format 3\x00" + bytes(8000)])
def test_a_file_that_is_no_database_is_replaced_and_that_is_logged_once(
    file: SqliteFile, path: Path, data: bytes, caplog: pytest.LogCaptureFixture
):
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        add(file, "one")
        add(file, "two")
    assert notes(file) == ["one", "two"]
    assert [record.message for record in caplog.records] == ["store_rebuilt"]
    assert path.with_name("store.sqlite.damaged").read_bytes() == data


def test_a_database_of_another_program_is_not_touched(file: SqliteFile, path: Path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (number INTEGER)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"store\.sqlite is a database of another program"):
        add(file, "one")
    assert path.read_bytes() == before


def test_a_file_that_is_damaged_while_it_is_open_is_replaced(
    file: SqliteFile, path: Path, caplog: pytest.LogCaptureFixture
):
    add(file, "one")
    for each in path.parent.iterdir():
        os.truncate(each, 0)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            add(file, "two")
    assert set(notes(file)) == {"two"}
    assert [record.message for record in caplog.records] == ["store_rebuilt"]


def test_a_file_that_is_deleted_while_it_is_open_is_created_again(file: SqliteFile, path: Path):
    add(file, "one")
    for each in list(path.parent.iterdir()):
        each.unlink()
    add(file, "two")
    assert notes(file) == notes(SqliteFile(path, SCHEMA)) == ["two"]


def test_a_process_that_finds_the_file_damaged_keeps_the_one_that_another_has_created(
    file: SqliteFile, path: Path
):
    add(file, "one")

    def replace_and_fail(database: sqlite3.Connection) -> int:
        if not notes_of_other:
            for each in list(path.parent.iterdir()):
                each.unlink()
            add(SqliteFile(path, SCHEMA), "of the other")
            notes_of_other.append("of the other")
            database.execute("SELECT * FROM lost")
        return 1

    notes_of_other: list[str] = []
    assert file.run(replace_and_fail) == 1
    assert notes(file) == notes_of_other


def test_work_that_fails_again_in_a_new_file_fails_without_a_trace_of_its_values(file: SqliteFile):
    with pytest.raises(StoreError, match="SQLITE_ERROR"):
        file.run(lambda database: database.execute("SELECT * FROM 'secret'").rowcount)
    add(file, "one")
    assert notes(file) == ["one"]


def test_a_folder_that_does_not_exist_is_an_error_of_the_store(tmp_path: Path):
    with pytest.raises(StoreError, match="No such file or directory"):
        add(SqliteFile(tmp_path / "missing" / "store.sqlite", SCHEMA), "one")


def test_a_lock_that_another_process_keeps_is_an_error_of_the_store(file: SqliteFile, path: Path):
    add(file, "one")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="SQLITE_BUSY"):
        add(file, "two")
    other.close()
    add(file, "three")
    assert notes(file) == ["one", "three"]
