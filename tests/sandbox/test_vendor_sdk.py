"""The vendor's own SDKs work with the sandbox."""

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
from app.sandbox.faults import TOKEN
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer

NODE_DIR = Path(__file__).parent / "node"
INSTALL_COMMAND = "npm ci --prefix tests/sandbox/node"

PYTHON_PROGRAM = """
import json, sys
from genauth import ManagementClient
from genauth.GenAuthException import GenAuthException

host, key_id, secret = sys.argv[1:]
client = ManagementClient(key_id, secret, host=host)
orders = client.get_orders(page=1, limit=50)
paid = [o for o in orders["data"]["list"] if (o["source"], o["status"]) == ("SelfHelp", "3")]
order_no = paid[0]["orderNo"]
try:
    rejected = ManagementClient(key_id, "wrong", host=host).get_orders()
except GenAuthException as error:
    rejected = vars(error)
print(json.dumps({
    "orders": orders,
    "detail": client.get_order_detail(order_no),
    "payment": client.get_order_pay_detail(order_no),
    "rejected": rejected,
}))
"""


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer(Options(), clock=SystemClock()) as started:
        yield started


async def run_program(server: SandboxServer, *command: str | Path) -> dict[str, Any]:
    """Run a program with the sandbox's address and credential, and return the JSON it prints."""
    options = server.options
    process = await asyncio.create_subprocess_exec(
        *command,
        *(server.base_url, options.access_key_id, options.access_key_secret),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Loopback is called directly, even if the environment configures a proxy.
        env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    output: dict[str, Any] = json.loads(out)
    return output


def assert_all_calls_succeeded(output: dict[str, Any]) -> None:
    """Assert that the SDK read a page, one of its orders, and the payment of that order."""
    assert [output[name]["statusCode"] for name in ("orders", "detail", "payment")] == [200] * 3
    assert output["orders"]["data"]["totalCount"] == "137"
    assert len(output["orders"]["data"]["list"]) == 50
    assert output["detail"]["data"] in output["orders"]["data"]["list"]
    assert output["payment"]["data"]["orderNo"] == output["detail"]["data"]["orderNo"]


async def test_the_vendors_python_sdk_works_with_a_token(server: SandboxServer) -> None:
    output = await run_program(server, sys.executable, "-c", PYTHON_PROGRAM)
    assert_all_calls_succeeded(output)
    assert output["rejected"]["apiCode"] == 2333
    assert server.sandbox.calls[TOKEN] == 2


async def test_the_vendors_node_sdk_works_with_a_signature(server: SandboxServer) -> None:
    node = shutil.which("node")
    if node is None or not (NODE_DIR / "node_modules" / "authing-node-sdk").is_dir():
        reason = f"the vendor's Node SDK is not installed; run {INSTALL_COMMAND}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    output = await run_program(server, node, NODE_DIR / "call_api.mjs")
    assert_all_calls_succeeded(output)
    assert output["rejected"]["apiCode"] == 1300
    assert server.sandbox.calls[TOKEN] == 0
