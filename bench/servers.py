"""The servers that are measured, each in a process of its own, and what they wrote."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from app.edge.auth import generate_key
from app.sandbox.options import Options

PAGE = "/v1/orders?page=1&limit=50"
KEY = generate_key()
HEADERS = f"X-API-Key: {KEY}\r\n"


@dataclass(frozen=True, slots=True)
class Running:
    """A server's process, and where its lines go."""

    pid: int
    lines: IO[bytes]


@contextmanager
def server(
    arguments: list[str], port: int, environ: dict[str, str] | None = None
) -> Iterator[Running]:
    """A server in a process of its own; given once it answers."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    log = tempfile.TemporaryFile()  # noqa: SIM115  it outlives the process: it is read afterwards
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], env=clean | (environ or {}), stdout=log, stderr=log
    ) as process:
        try:
            _wait_for(port, process)
            yield Running(process.pid, log)
        finally:
            process.terminate()
            process.wait(20)


def access_lines(server: Running) -> list[dict[str, Any]]:
    """The lines that a server which has ended wrote for requests to the API."""
    server.lines.seek(0)
    told = [json.loads(line) for line in server.lines if line.startswith(b'{"')]
    return [line for line in told if str(line.get("route")).startswith("/v1/")]


def proxy(upstream: str, options: Options, port: int) -> tuple[list[str], int, dict[str, str]]:
    """How to start the proxy towards `upstream`."""
    entry = {
        "name": "bench",
        "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
        "scopes": ["orders:read"],
    }
    environ = {
        "ORDERS_UPSTREAM__BASE_URL": upstream,
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": options.access_key_id,
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": options.access_key_secret,
        "ORDERS_UPSTREAM__MAX_RATE": "100000",
        "ORDERS_CALLERS__API_KEYS": json.dumps([entry]),
        "ORDERS_CACHE__TTL": "3600",
        "ORDERS_LOG__FORMAT": "json",
    }
    return ["app", "serve", "--port", str(port)], port, environ


def page_of(port: int) -> tuple[bytes, list[tuple[str, str]]]:
    """A page of 50, and its headers."""
    request = Request(f"http://127.0.0.1:{port}{PAGE}", headers={"X-API-Key": KEY})
    with urlopen(request, timeout=10) as answer:  # noqa: S310  http to loopback
        return bytes(answer.read()), list(answer.headers.items())


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        try:
            urlopen(Request(f"http://127.0.0.1:{port}/livez"), timeout=5).close()
        except URLError as error:
            if getattr(error, "code", None):
                return
        else:
            return
    raise SystemExit(f"no server on port {port}")
