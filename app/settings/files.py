"""Reads the files of settings: small regular files of UTF-8 text.

An error message says what is wrong with a file, and repeats nothing of its content.
"""

import os
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from app.daemon_thread import start_daemon_thread

T = TypeVar("T")

MAX_FILE_BYTES = 1024 * 1024

READ_TIMEOUT = 5.0
"""Seconds that a start waits for one file; a hung mount never returns."""


class UnreadableFile(ValueError):
    """A file cannot be read; the text says why."""


class MissingFile(UnreadableFile):
    """There is no such file."""


class ReadTimeout(UnreadableFile):
    """Reading takes too long."""


def read_text(path: Path) -> str:
    """Return the text of a file without its byte order mark.

    Only a hung mount can block it: a FIFO or a device is not read.

    Raises:
        UnreadableFile: it is no regular file, larger than 1 MiB or not UTF-8 text.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16 without a byte order mark
        raise UnreadableFile("must be UTF-8 text")
    return text


def read_bytes(path: Path) -> bytes:
    """Return the content of a file; errors as those of `read_text`, except for the encoding."""
    try:
        return _read(path)
    except FileNotFoundError:
        raise MissingFile("does not exist") from None
    except OSError as error:
        raise UnreadableFile(f"cannot be read ({error.strerror})") from None
    except ValueError as error:
        reason = str(error) if isinstance(error, UnreadableFile) else "must be a path"
        raise UnreadableFile(reason) from None


def _read(path: Path) -> bytes:
    # Without O_NONBLOCK, opening a FIFO waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableFile("must be a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableFile("must not be larger than 1 MiB")
    return content


def within_timeout(read: Callable[[], T], timeout: float | None = READ_TIMEOUT) -> T:
    """Return what `read` returns; it is called in another thread.

    Raises:
        ReadTimeout: it took longer than `timeout` seconds.
    """
    try:
        return start_daemon_thread(read).result(timeout)
    except TimeoutError:
        raise ReadTimeout(f"could not be read within {timeout:g} seconds") from None
