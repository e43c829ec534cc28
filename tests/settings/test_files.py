"""Reading files: small regular files only, and within a bounded time."""

from pathlib import Path
from threading import Event

import pytest

from app.settings.files import MAX_FILE_BYTES, ReadTimeout, read_bytes, within_timeout


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * MAX_FILE_BYTES)
    assert len(read_bytes(path)) == MAX_FILE_BYTES


def test_a_file_on_a_hung_mount_is_given_up_after_the_timeout() -> None:
    mount = Event()
    with pytest.raises(ReadTimeout, match=r"^could not be read within 0 seconds$"):
        within_timeout(mount.wait, 0)
    mount.set()


def test_an_error_of_reading_is_raised_to_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        within_timeout(lambda: 1 // 0)
