"""`serve --sandbox` in its own process, and clients on plain sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).parent.parent.parent
SERVE = (sys.executable, "-m", "app", "serve", "--sandbox", "--port", "0")
TIMEOUT_SECONDS = 20


def request_bytes(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()


@dataclass
class ServerProcess:
    """The proxy with its embedded upstream, in its own process.

    Attributes:
        popen: the process.
        startup_lines: the lines that it printed at startup.
        urls: the URLs among them, by name.
        errors: what it wrote to stderr after startup; set by `wait`.
        log: its log entries; set by `wait`.
    """

    popen: "subprocess.Popen[str]"
    startup_lines: list[str]
    urls: dict[str, str]
    errors: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.urls["orders"])
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def send(self, *paths: str) -> socket.socket:
        """Send pipelined requests on a new connection. The caller reads the responses."""
        connection = socket.create_connection(self.address, timeout=TIMEOUT_SECONDS)
        connection.sendall(b"".join(request_bytes(path) for path in paths))
        return connection

    def inject(self, fault: str) -> None:
        """Inject a fault into the embedded upstream."""
        parts = urlsplit(self.urls["sandbox"])
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        connection.request("PUT", parts.path, json.dumps({"faults": [fault]}))
        assert connection.getresponse().status == 200
        connection.close()

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> None:
        self.popen.send_signal(signal_number)

    def wait(self) -> int:
        """Wait until the process has ended; return its exit code and keep its output."""
        output, self.errors = self.popen.communicate(timeout=TIMEOUT_SECONDS)
        self.log = [json.loads(line) for line in output.splitlines()]
        return self.popen.returncode

    def events(self) -> list[str]:
        """Return the names of the events that are about the process itself."""
        events = [entry["event"] for entry in self.log]
        return [event for event in events if event.startswith(("server_", "shutdown_"))]


@contextmanager
def serving(command: tuple[str, ...] = SERVE, **environ: str) -> Iterator[ServerProcess]:
    """Run `command`; yield once it listens. It is killed after 30 s at the latest."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=clean | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as popen:
        watchdog = Timer(30, popen.kill)
        watchdog.start()
        try:
            assert popen.stderr is not None
            lines = [popen.stderr.readline()]
            while lines[-1] and not lines[-1].strip().startswith("sandbox"):
                lines.append(popen.stderr.readline())
            pairs = (line.split() for line in lines if line.startswith("  "))
            yield ServerProcess(popen, lines, dict(pairs))
        finally:
            watchdog.cancel()
            popen.kill()


def read_response(connection: socket.socket) -> tuple[int, str, bytes]:
    """Return status, Connection header and body of the next response."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    body = response.read()
    return response.status, response.headers.get("Connection", ""), body


def read_responses(connection: socket.socket) -> list[tuple[int, str, bytes]]:
    """Return status, Connection header and body of each response until the connection closes."""
    responses = []
    with connection, connection.makefile("rb") as stream:
        while line := stream.readline():
            headers = http.client.parse_headers(stream)
            body = stream.read(int(headers["Content-Length"]))
            responses.append((int(line.split()[1]), headers.get("Connection", ""), body))
    return responses


def read_statuses(connection: socket.socket) -> list[tuple[int, str]]:
    """Return status and Connection header of each response until the connection closes."""
    return [
        (status, connection_header) for status, connection_header, _ in read_responses(connection)
    ]
