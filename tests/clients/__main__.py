"""Use both generated clients against a running proxy. Run by `make clients`, which made them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.running_proxy import KEY, running_proxy

FOLDER = Path(__file__).parent


def main(python: str, made: str) -> None:
    """Each client asks for itself; one that finds what it did not expect fails."""
    with running_proxy() as origin:
        environ = {
            **os.environ,
            "API_KEY": KEY,
            "ORIGIN": origin,
            "PYTHONPATH": made,
        }
        for command in (
            [python, str(FOLDER / "python" / "live.py")],
            ["node", str(FOLDER / "node" / "build" / "live.js")],
        ):
            subprocess.run(command, env=environ, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
