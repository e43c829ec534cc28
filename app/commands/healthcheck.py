"""The health check of the container image: `python -m app.commands.healthcheck`, exit code 0 or 1.

It requests `/livez` at the address in ORDERS_SERVER__HOST and ORDERS_SERVER__PORT, as the server
listens there, and never through a proxy: engines pass HTTP_PROXY and the like to containers. It
imports nothing but the standard library, since it runs every few seconds.
"""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 2.0

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  not bound to


def address_of(environ: Mapping[str, str]) -> tuple[str, int]:
    """Return host and port of the server, with loopback in place of every address."""
    host = environ.get("ORDERS_SERVER__HOST", "").strip().strip("[]")
    port = environ.get("ORDERS_SERVER__PORT", "").strip() or "8000"
    return _ANY_ADDRESS.get(host, host), int(port)


def is_alive(host: str, port: int) -> bool:
    """Return whether the server answers `/livez` with 200."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_alive(*address_of(os.environ)) else 1)
