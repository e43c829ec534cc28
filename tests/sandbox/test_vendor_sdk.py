"""The vendor's own SDKs find in the sandbox what they expect of the vendor."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.clock import SystemClock
from app.sandbox import Options, SandboxServer
from app.sandbox.faults import GRANT

NODE_FOLDER = Path(__file__).parent / "node"
MENDED_BY = "npm ci --prefix tests/sandbox/node"

ASK = """
import json, sys
from genauth import ManagementClient
from genauth.GenAuthException import GenAuthException

host, key_id, secret = sys.argv[1:]
client = ManagementClient(key_id, secret, host=host)
orders = client.get_orders(page=1, limit=50)
chosen = [o for o in orders["data"]["list"] if (o["source"], o["status"]) == ("SelfHelp", "3")]
order_no = chosen[0]["orderNo"]
try:
    wrong = ManagementClient(key_id, "wrong", host=host).get_orders()
except GenAuthException as refused:
    wrong = vars(refused)
print(json.dumps({
    "orders": orders,
    "detail": client.get_order_detail(order_no),
    "payment": client.get_order_pay_detail(order_no),
    "wrong": wrong,
}))
"""


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Options(), clock=SystemClock()) as started:
        yield started


async def told_by(server: SandboxServer, *command: str | Path) -> dict[str, Any]:
    """What a program prints that is given the sandbox's address and credential."""
    options = server.options
    program = await asyncio.create_subprocess_exec(
        *command,
        *(server.base_url, options.access_key_id, options.access_key_secret),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Loopback is asked directly, whatever proxy the machine is set up with.
        env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
    )
    out, err = await program.communicate()
    assert program.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told


def assert_at_home(told: dict[str, Any]) -> None:
    """The SDK read a page, one of its orders, and that order's payment."""
    assert [told[name]["statusCode"] for name in ("orders", "detail", "payment")] == [200] * 3
    assert told["orders"]["data"]["totalCount"] == "137"
    assert len(told["orders"]["data"]["list"]) == 50
    assert told["detail"]["data"] in told["orders"]["data"]["list"]
    assert told["payment"]["data"]["orderNo"] == told["detail"]["data"]["orderNo"]


async def test_the_vendors_python_sdk_is_at_home_with_a_token(server: SandboxServer) -> None:
    told = await told_by(server, sys.executable, "-c", ASK)
    assert_at_home(told)
    assert told["wrong"]["apiCode"] == 2333
    assert server.sandbox.calls[GRANT] == 2


async def test_the_vendors_node_sdk_is_at_home_with_a_signature(server: SandboxServer) -> None:
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules" / "authing-node-sdk").is_dir():
        reason = f"the vendor's Node SDK is not here; with Node installed: {MENDED_BY}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    told = await told_by(server, node, NODE_FOLDER / "ask.mjs")
    assert_at_home(told)
    assert told["wrong"]["apiCode"] == 1300
    assert server.sandbox.calls[GRANT] == 0
