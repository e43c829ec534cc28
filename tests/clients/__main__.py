"""Runs both generated clients against a running proxy. Part of `make clients`."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.running_proxy import KEY, running_proxy

FOLDER = Path(__file__).parent


def main(python: str, clients: str) -> None:
    """Run the check of each client; raise if one fails.

    Args:
        python: the interpreter in whose environment the Python client works.
        clients: the folder of the generated clients.
    """
    with running_proxy() as origin:
        environ = {
            **os.environ,
            "API_KEY": KEY,
            "ORIGIN": origin,
            "PYTHONPATH": clients,
        }
        for command in (
            [python, str(FOLDER / "python" / "live.py")],
            ["node", str(FOLDER / "node" / "build" / "live.js")],
        ):
            subprocess.run(command, env=environ, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
