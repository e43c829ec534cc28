"""The proxy and its sandbox, each in its own process, for external client programs."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.sandbox.options import Options

REPOSITORY = Path(__file__).parent.parent.parent
KEY = "obff_a-key-for-programs-0123456789"
ENTRY = {
    "name": "program",
    "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
    "scopes": ["orders:read", "payments:read", "orders:raw"],
}


@contextmanager
def running_proxy(**environ: str) -> Iterator[str]:
    """Run the proxy in front of a sandbox; yield its origin. It accepts `KEY` only."""
    options = Options()
    with (
        _running("sandbox", "The sandbox is running at ", {}) as upstream,
        serving_proxy(
            upstream,
            ORDERS_UPSTREAM__ACCESS_KEY_ID=options.access_key_id,
            ORDERS_UPSTREAM__ACCESS_KEY_SECRET=options.access_key_secret,
            **environ,
        ) as origin,
    ):
        yield origin


@contextmanager
def serving_proxy(upstream: str, **environ: str) -> Iterator[str]:
    """Run the proxy in front of `upstream`; yield its origin. It accepts `KEY` only, any rate."""
    defaults = {
        "ORDERS_UPSTREAM__BASE_URL": upstream,
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": "key-id",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "key-secret",
        "ORDERS_CALLERS__API_KEYS": json.dumps([ENTRY]),
        "ORDERS_CALLERS__RATE": "0",
        "ORDERS_CALLERS__SCAN_RATE": "0",
        "ORDERS_CALLERS__DETAIL_RATE": "0",
    }
    with _running("serve", "orders-bff is running at ", defaults | environ) as origin:
        yield origin.rstrip("/")


@contextmanager
def _running(command: str, prefix: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Run `command` on a free port; yield what its first line of output says after `prefix`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    with subprocess.Popen(
        [sys.executable, "-m", "app", command, "--port", "0"],
        cwd=REPOSITORY,
        env={**clean, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            if not first.startswith(prefix):
                raise RuntimeError(first + process.stderr.read())
            yield first.removeprefix(prefix).rstrip("\n")
        finally:
            process.terminate()
            process.communicate(timeout=20)
