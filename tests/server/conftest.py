"""Fixtures of the tests of the server."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder whose path is short enough for Unix sockets."""
    with TemporaryDirectory(prefix="proxies-") as path:
        yield Path(path)
