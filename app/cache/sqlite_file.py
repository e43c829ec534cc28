"""The SQLite file of a store: created for this user only, and replaced when it is damaged or gone.

It has a rollback journal, to which SQLite gives the mode of the file itself. In WAL mode the
processes would map a file beside it (`-shm`) into memory, and truncating that kills them (SIGBUS).
"""

import logging
import os
import sqlite3
import stat
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from app.cache.store import StoreError

T = TypeVar("T")

BUSY_MILLISECONDS: Final = 250
"""Time to wait for the lock of another process."""

APPLICATION_ID: Final = 0x6F626666
"""Marks the files of this program, as other programs mark theirs (`PRAGMA application_id`)."""

MAX_PAGES: Final = 512 * 1024 * 1024 // 4096
"""Bounds the file to 512 MiB."""

_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB}
)
"""Primary result codes that a file has which is not, or no longer, the one that was created."""

_logger = logging.getLogger("orders_bff.store")


class SqliteFile:
    """A database file that is opened when first used.

    Its methods block, and must not be called by two threads at once.

    Args:
        path: absolute.
        schema: creates the tables that do not exist.
        user: who must own the file; by default the user of this process.
    """

    def __init__(self, path: Path, schema: str, user: int | None = None) -> None:
        self._path = path
        self._schema = schema
        self._user = getattr(os, "geteuid", int)() if user is None else user
        self._connection: sqlite3.Connection | None = None
        self._close_connection: Callable[[], object] = lambda: None
        self._identity: tuple[int, int] | None = None

    def run(self, work: Callable[[sqlite3.Connection], T], *, reads: bool = False) -> T:
        """Return the result of `work` in a transaction; repeat it once in a new file if need be.

        If it only `reads`, several processes can do so at once.

        Raises:
            StoreError: it failed, for another reason than a damaged file.
        """
        try:
            return self._run(work, reads=reads)
        except sqlite3.Error as error:
            if not _is_damaged(error):
                raise StoreError(_reason(error)) from None
        except OSError as error:
            raise StoreError(str(error.strerror)) from None
        try:
            self._rebuild()
            return self._run(work, reads=reads)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(_reason(error)) from None

    def close(self) -> None:
        """Close the file."""
        if self._connection:
            self._close_connection()
        self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], T], *, reads: bool) -> T:
        if self._connection and _identity(self._path) != self._identity:
            self.close()  # it was deleted, or replaced by another process
        connection = self._connection or self._open()
        connection.execute("BEGIN" if reads else "BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        _create(self._path)
        for path in _files(self._path):
            _check(path, self._user)
        self._identity = _identity(self._path)
        # Each call may come from another thread.
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=0
        )
        # SQLite does not check that a text of another program is UTF-8.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            self._create_tables(connection)
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            # What a power failure loses is fetched again.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA max_page_count = {MAX_PAGES}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        # Also if nobody calls `close`.
        self._close_connection = weakref.finalize(self, _close, connection)
        return connection

    def _create_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise StoreError(f"{self._path.name} is a database of another program")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in self._schema.split(";"):
            connection.execute(statement)
        connection.execute("COMMIT")

    def _rebuild(self) -> None:
        """Put the file aside, unless another process has replaced it already.

        It may be a file that has nothing to do with this program, if the path is wrong.
        """
        self.close()
        if _identity(self._path) != self._identity:
            return
        *beside, file = _files(self._path)
        for path in beside:
            path.unlink(missing_ok=True)
        file.replace(file.with_name(f"{file.name}.damaged"))
        _logger.warning("store_rebuilt", extra={"fields": {"file": self._path.name}})


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm", "")]


def _create(path: Path) -> None:
    """Create an empty file that only its owner may read, unless there is one."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileExistsError):
        os.close(os.open(path, flags, 0o600))


def _check(path: Path, user: int) -> None:
    """Raise `StoreError` unless the file, if it exists, is a regular one of this user alone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path.name} is not a regular file")
    if found.st_uid != user:
        raise StoreError(f"{path.name} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o600)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_damaged(error: sqlite3.Error) -> bool:
    # Only SQLite's own errors have a code; 255 is the mask of the primary ones.
    return getattr(error, "sqlite_errorcode", 0) & 255 in _DAMAGED


def _reason(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)


def _close(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.close()
