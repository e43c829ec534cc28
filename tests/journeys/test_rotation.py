"""The credential of a running server is replaced: by changing its files, and by a signal."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.clock import SystemClock
from app.main import create_app
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import CredentialFiles, load
from tests.support.clock import ManualClock
from tests.support.run import run_inline
from tests.support.upstream import KEY_ID, KEY_SECRET, ScriptedUpstream

ID = "ORDERS_UPSTREAM__ACCESS_KEY_ID"
SECRET = "ORDERS_UPSTREAM__ACCESS_KEY_SECRET"
NO_DOTENV = Path("/missing/.env")
REPOSITORY = Path(__file__).parent.parent.parent


def mount(directory: Path, version: str, key_id: str, secret: str) -> None:
    """Write a version of the secrets and point the link `current` to it, as orchestrators do."""
    (directory / version).mkdir()
    (directory / version / ID).write_text(key_id, "utf-8")
    (directory / version / SECRET).write_text(f"{secret}\n", "utf-8")
    (directory / "next").symlink_to(version)
    (directory / "next").replace(directory / "current")


@asynccontextmanager
async def proxy(
    directory: Path, clock: ManualClock, upstream: ScriptedUpstream
) -> AsyncIterator[httpx.AsyncClient]:
    """A proxy whose credential is in `directory`, and a client of it."""
    environ = {
        "ORDERS_SECRETS_DIR": str(directory),
        "ORDERS_CALLERS__ANONYMOUS": "true",
        "ORDERS_UPSTREAM__BASE_URL": "http://127.0.0.1:9",
    }
    app = create_app(
        load(environ, dotenv=NO_DOTENV),
        transport=upstream.transport,
        clock=clock,
        credential_files=CredentialFiles(environ, dotenv=NO_DOTENV),
        run_in_thread=run_inline,
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.api.router.lifespan_context(app.api),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


async def test_a_replaced_secrets_directory_is_followed(tmp_path: Path):
    mount(tmp_path, "first", KEY_ID, KEY_SECRET)
    clock, upstream = ManualClock(), ScriptedUpstream()
    async with proxy(tmp_path / "current", clock, upstream) as client:
        assert (await client.get("/v1/orders")).status_code == 200
        del upstream.keys[KEY_ID]
        upstream.keys["other-id"] = "other-secret"
        mount(tmp_path, "second", "other-id", "wrong")
        await clock.advance(10)
        assert (await client.get("/v1/orders")).headers["x-freshness"] == "fresh"
        (tmp_path / "second" / SECRET).unlink()
        await clock.advance(10)
        mount(tmp_path, "third", "other-id", "other-secret")
        await clock.advance(10)
        renewed = await client.get("/v1/orders", headers={"Cache-Control": "no-cache"})
        assert renewed.headers["cache-status"] == "orders-bff; fwd=request; stored"
        assert upstream.key_of(upstream.requests[-1]) == "other-id"


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/202209250000001", "/v1/orders/summary"])
async def test_once_the_credential_is_replaced_the_failures_of_the_old_one_are_forgotten(
    tmp_path: Path, path: str
):
    mount(tmp_path, "first", KEY_ID, "wrong")
    clock, upstream = ManualClock(), ScriptedUpstream()
    async with proxy(tmp_path / "current", clock, upstream) as client:
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (
            502,
            "upstream_credential_rejected",
        )
        mount(tmp_path, "second", KEY_ID, KEY_SECRET)
        await clock.advance(3)
        assert (await client.get(path)).status_code == 200


async def test_sighup_reloads_the_credential_files(tmp_path: Path):
    options = Options()
    (tmp_path / ID).write_text(options.access_key_id, "utf-8")
    (tmp_path / SECRET).write_text("not-the-secret", "utf-8")
    async with SandboxServer(options, clock=SystemClock()) as upstream:
        clean = {name: value for name, value in os.environ.items() if name[:7] != "ORDERS_"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "serve", "--port", "0"),
            cwd=tmp_path,
            env={
                **clean,
                "PYTHONPATH": str(REPOSITORY),
                "ORDERS_SECRETS_DIR": str(tmp_path),
                "ORDERS_UPSTREAM__BASE_URL": upstream.base_url,
                "ORDERS_CALLERS__ANONYMOUS": "true",
            },
            stdout=PIPE,
            stderr=PIPE,
        )
        assert process.stdout
        assert process.stderr
        try:
            origin = (await process.stderr.readline()).decode().split()[-1]
            assert await _next_event(process.stdout) == "server_starting"
            process.send_signal(signal.SIGHUP)
            assert await _next_event(process.stdout) == "credential_unchanged"
            (tmp_path / SECRET).write_text(options.access_key_secret, "utf-8")
            process.send_signal(signal.SIGHUP)
            assert await _next_event(process.stdout) == "credential_rotated"
            async with httpx.AsyncClient(base_url=origin, trust_env=False) as client:
                assert (await client.get("/v1/orders")).status_code == 200
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _next_event(stdout: asyncio.StreamReader) -> str:
    """Return the event of the next log line."""
    line = json.loads(await asyncio.wait_for(stdout.readline(), 20))
    return str(line["event"])
