"""The proxy in a process of its own, and callers who speak to it over plain sockets."""

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


def question(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()


@dataclass
class Process:
    """The proxy with its embedded upstream, in a process of its own."""

    running: "subprocess.Popen[str]"
    told: list[str]
    urls: dict[str, str]
    rest: str = ""
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.urls["orders"])
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def ask(self, *paths: str) -> socket.socket:
        """Pipeline questions on a new connection; its answers are read later."""
        connection = socket.create_connection(self.address, timeout=20)
        connection.sendall(b"".join(question(path) for path in paths))
        return connection

    def fault(self, told: str) -> None:
        parts = urlsplit(self.urls["sandbox"])
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        connection.request("PUT", parts.path, json.dumps({"faults": [told]}))
        assert connection.getresponse().status == 200
        connection.close()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.running.send_signal(how)

    def end(self) -> int:
        """Its exit code, once it has ended by itself; what it wrote is kept."""
        out, self.rest = self.running.communicate(timeout=20)
        self.lines = [json.loads(line) for line in out.splitlines()]
        return self.running.returncode

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines if line["event"] != "request"]


@contextmanager
def serving(command: tuple[str, ...] = SERVE, **environ: str) -> Iterator[Process]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=clean | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        watchdog = Timer(30, running.kill)
        watchdog.start()
        try:
            assert running.stderr is not None
            told = [running.stderr.readline()]
            while told[-1] and not told[-1].strip().startswith("sandbox"):
                told.append(running.stderr.readline())
            pairs = (line.split() for line in told if line.startswith("  "))
            yield Process(running, told, dict(pairs))
        finally:
            watchdog.cancel()
            running.kill()


def answer(connection: socket.socket) -> tuple[int, str, bytes]:
    """Status, Connection header and body of the next answer."""
    heard = http.client.HTTPResponse(connection)
    heard.begin()
    body = heard.read()
    return heard.status, heard.headers.get("Connection", ""), body


def answers(connection: socket.socket) -> list[tuple[int, str, bytes]]:
    """Status, Connection header and body of every answer until the connection is closed."""
    heard = []
    with connection, connection.makefile("rb") as stream:
        while line := stream.readline():
            headers = http.client.parse_headers(stream)
            body = stream.read(int(headers["Content-Length"]))
            heard.append((int(line.split()[1]), headers.get("Connection", ""), body))
    return heard


def statuses(connection: socket.socket) -> list[tuple[int, str]]:
    """Status and Connection header of every answer until the connection is closed."""
    return [(status, ends) for status, ends, _ in answers(connection)]
