"""A real Redis server on loopback, without persistence."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def require_redis() -> str:
    """Return the path of redis-server; without one skip the test or, in CI, fail."""
    found = shutil.which("redis-server")
    if found is None:
        message = "there is no redis-server: apt-get install redis-server"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


class RedisServer:
    """A server that tests stop, kill and start again on the same port."""

    def __init__(self, folder: Path) -> None:
        self._program = require_redis()
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, empty, and wait until it accepts connections."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self._process = subprocess.Popen(
            [self._program, *options, str(self._folder)], stdout=subprocess.DEVNULL
        )
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)  # until the event that the loop waits for
            else:
                return
        raise RuntimeError("redis-server does not listen")

    def freeze(self) -> None:
        """Stop the process; it accepts connections but answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once; its data is lost."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Run a server; it is killed at the end."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
