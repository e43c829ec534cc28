"""Starts the measured servers, each in its own process, and reads their access logs."""

import hashlib
import json
import os
import shutil
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

from app.edge.api_keys import generate_key
from app.sandbox.options import Options
from bench.load import NO_LIMITS

PAGE = "/v1/orders?page=1&limit=50"
KEY = generate_key()
HEADERS = f"X-API-Key: {KEY}\r\n"
ORIGIN = "https://dashboard.example"
"""The origin of the pages that may read responses."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server and the file that its output is written to."""

    pid: int
    log: IO[bytes]


def pinned(command: list[str], core: int = 0) -> list[str]:
    """Return `command` bound to one core: servers to the first, load generators to the second."""
    can_pin = shutil.which("taskset") and (os.cpu_count() or 1) > 1
    return ["taskset", "--cpu-list", str(core), *command] if can_pin else command


@contextmanager
def start_server(
    arguments: list[str], port: int, environ: dict[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Run `python -m` with `arguments`; yield once the server responds on `port`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)  # a server that is installed is compiled
    log = tempfile.TemporaryFile()  # noqa: SIM115  it is read after the process has ended
    with subprocess.Popen(
        pinned([sys.executable, "-m", *arguments]),
        env=clean | (environ or {}),
        stdout=log,
        stderr=log,
    ) as process:
        try:
            wait_for(port, process)
            yield ServerProcess(process.pid, log)
        finally:
            process.terminate()
            process.wait(20)


def access_log(server: ServerProcess) -> list[dict[str, Any]]:
    """Return the access log entries for `/v1` of a server that has ended."""
    server.log.seek(0)
    entries = [json.loads(line) for line in server.log if line.startswith(b'{"')]
    return [entry for entry in entries if str(entry.get("route")).startswith("/v1/")]


def key_entry(name: str, key: str, **more: str) -> dict[str, Any]:
    """Return the configuration of an API key."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"name": name, "sha256": digest, "scopes": ["orders:read"], **more}


def proxy_command(
    upstream: str, options: Options, port: int, **settings: str
) -> tuple[list[str], int, dict[str, str]]:
    """Return the arguments of `start_server` for the proxy in front of `upstream`.

    The proxy has no limits per caller, unless `settings` say so: variables without the prefix.
    """
    environ = {
        "ORDERS_UPSTREAM__BASE_URL": upstream,
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": options.access_key_id,
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": options.access_key_secret,
        "ORDERS_UPSTREAM__MAX_RATE": "100000",
        "ORDERS_CALLERS__API_KEYS": json.dumps([key_entry("bench", KEY)]),
        **NO_LIMITS,
        "ORDERS_CACHE__TTL": "3600",
        "ORDERS_CORS__ORIGINS": json.dumps([ORIGIN]),
        "ORDERS_LOG__FORMAT": "json",
        **{f"ORDERS_{name}": value for name, value in settings.items()},
    }
    return ["app", "serve", "--port", str(port)], port, environ


def baseline_command(
    name: str, upstream: str, options: Options, port: int
) -> tuple[list[str], int, dict[str, str]]:
    """Return the arguments of `start_server` for a baseline in front of `upstream`."""
    credential = [options.access_key_id, options.access_key_secret, options.pool_id]
    return ["bench.baselines", name, upstream, *credential, KEY, str(port)], port, {}


def fetch_page(port: int) -> tuple[bytes, list[tuple[str, str]]]:
    """Return the body and the headers of `PAGE`."""
    request = Request(f"http://127.0.0.1:{port}{PAGE}", headers={"X-API-Key": KEY})
    with urlopen(request, timeout=10) as response:  # noqa: S310  http to loopback
        return bytes(response.read()), list(response.headers.items())


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once a server responds on `port`, with any status.

    Raises:
        SystemExit: it has not within 20 seconds.
    """
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urlopen(Request(f"http://127.0.0.1:{port}/livez"), timeout=5).close()
        except URLError as error:
            if getattr(error, "code", None):
                return
        else:
            return
    raise SystemExit(f"no server on port {port}")
