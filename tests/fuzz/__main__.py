"""`make fuzz`: thousands of requests generated from the OpenAPI document, and all checks.

Schemathesis reads openapi/openapi.json and calls a proxy in front of a sandbox, all on loopback.
"""

import os
import subprocess
import sys
from pathlib import Path

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.order_store import OrderStore
from app.time_zones import time_zone_names
from tests.support.running_proxy import KEY, REPOSITORY, running_proxy

FOLDER = Path(__file__).parent


def main(schemathesis: str) -> int:
    """Run Schemathesis and return its exit code, 0 if all checks passed.

    The environment variables CASES (per operation) and SEED are optional.
    """
    cases = os.environ.get("CASES", "1000")
    seed = os.environ.get("SEED", "")
    with running_proxy() as origin:
        command = [
            *(schemathesis, "--config-file", str(FOLDER / "schemathesis.toml"), "run"),
            *(str(REPOSITORY / "openapi" / "openapi.json"), "--url", origin),
            # ignored_auth soon gets 429: failed authentications of one address are limited.
            *("--checks", "all", "--exclude-checks", "ignored_auth", "--max-examples", cases),
            *(("--seed", seed) if seed else ()),
        ]
        environ = {
            **os.environ,
            "API_KEY": KEY,
            "HOOKS": str(FOLDER / "hooks.py"),
            "ORDER_NUMBERS": ",".join(_order_numbers()),
            "TIME_ZONES": ",".join(sorted(time_zone_names())),
        }
        return subprocess.run(command, env=environ, check=False).returncode


def _order_numbers() -> list[str]:
    options = Options()
    store = OrderStore(orders=options.orders, seed=options.seed, clock=SystemClock())
    return [row["orderNo"] for row in store.rows(0, 50)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
