"""The commands, as an operator meets them: what they print, how they end, and no traceback."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import pytest
from typer.testing import CliRunner, Result

from app.cli import _origin, program
from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import ApiKeyConfig

REPOSITORY = Path(__file__).parent.parent
CANARY = "canary-7f3a"
CREDENTIAL = {
    "ORDERS_UPSTREAM__ACCESS_KEY_ID": Options().access_key_id,
    "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": Options().access_key_secret,
    "ORDERS_CALLERS__ANONYMOUS": "true",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path) -> Iterator[None]:
    """No developer's `.env` takes part."""
    with chdir(tmp_path):
        yield


def run(*command: str, **environ: str) -> Result:
    absent = dict.fromkeys(name for name in os.environ if name.startswith("ORDERS_"))
    return CliRunner().invoke(program(), command, env=absent | environ)


@contextmanager
def running(*command: str, until: str, **environ: str) -> Iterator[list[str]]:
    """The program as a process of its own, and what it tells up to `until`; then Ctrl-C."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    with subprocess.Popen(
        [sys.executable, "-m", "app", *command],
        env=clean | {"PYTHONPATH": str(REPOSITORY)} | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        watchdog = Timer(30, process.kill)
        watchdog.start()
        try:
            told = []
            for line in process.stderr:
                told.append(line.rstrip("\n"))
                if line.strip().startswith(until):
                    break
            yield told
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        finally:
            watchdog.cancel()
            process.kill()
        assert rest == ""
    assert process.returncode == 0


def fetch(url: str) -> tuple[int, Any]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body) if "json" in answer.headers["Content-Type"] else body


# serve


def test_faults_in_the_settings_end_it_with_2_a_line_each_and_no_traceback() -> None:
    result = run("serve", ORDERS_CACHE__TTL=CANARY)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "The settings cannot be used:"
    assert len(result.stderr.splitlines()) == 5
    assert "ORDERS_CACHE__TTL: must be a number" in result.stderr
    assert CANARY not in result.output


def test_a_port_that_is_taken_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", "--port", port, **CREDENTIAL)
        assert result.exit_code == 1
        assert result.stderr.startswith("Cannot listen: Address already in use")
        assert run("sandbox", "--port", port).exit_code == 1


def test_what_does_nothing_yet_is_told_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", ORDERS_SERVER__PORT=port, ORDERS_CALLERS__RATE="0", **CREDENTIAL)
    assert "warning: ORDERS_CALLERS__RATE is set but not implemented yet" in result.stderr


def test_a_sandbox_needs_no_configuration_and_no_key() -> None:
    with running("serve", "--sandbox", "--port", "0", until="sandbox") as told:
        origin = told[0].removeprefix("orders-bff is at ").removesuffix("/")
        urls = dict(line.split() for line in told[1:])
        assert urls == {
            "dashboard": f"{origin}/dashboard",
            "docs": f"{origin}/docs",
            "orders": f"{origin}/v1/orders",
            "ready": f"{origin}/readyz",
            "sandbox": urls["sandbox"],
        }
        status, body = fetch(urls["orders"])
        assert (status, body["meta"]["total"]) == (200, 137)
        assert len(fetch(f"{origin}/v1/me")[1]["data"]["scopes"]) == 5
        assert fetch(urls["docs"])[0] == 200
        assert fetch(urls["dashboard"])[0] == 200
        assert fetch(urls["sandbox"]) == (200, {"faults": []})


def test_a_configured_upstream_is_ignored_by_the_sandbox_and_it_says_so() -> None:
    with running(
        "serve",
        "--sandbox",
        "--port",
        "0",
        until="sandbox",
        ORDERS_DOCS__ENABLED="no",
        **CREDENTIAL,
    ) as told:
        assert told[:2] == [
            f"warning: {name} is set, and ignored: --sandbox brings its own upstream"
            for name in ("ORDERS_UPSTREAM__ACCESS_KEY_ID", "ORDERS_UPSTREAM__ACCESS_KEY_SECRET")
        ]
        assert not any("/docs" in line for line in told)


def test_a_sandbox_that_others_could_reach_is_refused_without_a_way_in() -> None:
    result = run("serve", "--sandbox", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it is refused
    assert result.exit_code == 2
    assert "no caller could authenticate" in result.stderr


@pytest.mark.parametrize("expired", [True, False])
def test_a_start_that_would_let_nobody_in_is_refused(tmp_path: Path, *, expired: bool) -> None:
    entry = {
        "name": "dashboard",
        "sha256": "a" * 64,
        "scopes": ["orders:read"],
        "expires_at": "2020-01-01T00:00:00Z",
    }
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([entry] if expired else []), "utf-8")
    upstream = {name: value for name, value in CREDENTIAL.items() if "UPSTREAM" in name}
    result = run("serve", "--port", "0", ORDERS_CALLERS__API_KEYS_FILE=str(file), **upstream)
    assert result.exit_code == 2
    told = result.stderr.splitlines()
    assert told[0] == "The settings cannot be used:"
    assert told[1].startswith("  ORDERS_CALLERS__API_KEYS: no caller could authenticate")
    assert len(told) == 2
    result = run("doctor", ORDERS_CALLERS__API_KEYS_FILE=str(file), **upstream)
    assert result.exit_code == 1
    assert "ORDERS_CALLERS__API_KEYS: no caller could authenticate" in result.stdout


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - nothing listens here
        ("::", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_the_url_that_is_told_can_be_opened_on_this_machine(host: str, origin: str) -> None:
    assert _origin(host, 80) == origin


# sandbox


def test_a_sandbox_alone_tells_how_to_use_it() -> None:
    options = ("--port", "0", "--orders", "3", "--fault", "latency=0")
    with running("sandbox", *options, until="ORDERS_UPSTREAM__ACCESS_KEY_SECRET") as told:
        base_url = told[1].strip().removeprefix("ORDERS_UPSTREAM__BASE_URL=")
        status, faults = fetch(f"{base_url}/sandbox/faults")
    assert status == 200
    assert faults["faults"][0]["kind"] == "latency"
    assert told[2].strip().startswith("ORDERS_UPSTREAM__ACCESS_KEY_ID=")
    assert told[3].strip().startswith("ORDERS_UPSTREAM__ACCESS_KEY_SECRET=")


def test_an_option_of_the_sandbox_that_makes_no_sense_is_told() -> None:
    result = run("sandbox", "--fault", "no_such_fault")
    assert result.exit_code == 2
    assert "no_such_fault" in result.stderr


# doctor


async def examine(*options: str, **environ: str) -> Result:
    """The doctor runs a loop of its own, so it is given a thread."""
    return await anyio.to_thread.run_sync(lambda: run("doctor", *options, **environ))


async def test_a_healthy_proxy_is_0() -> None:
    async with SandboxServer(Options(), clock=SystemClock()) as upstream:
        given = CREDENTIAL | {"ORDERS_UPSTREAM__BASE_URL": upstream.base_url}
        result = await examine(**given, ORDERS_CALLERS__RATE="0")
    assert result.exit_code == 0
    steps = [line.split()[:2] for line in result.stdout.splitlines() if line[0] != " "]
    assert steps == [
        ["warning", "settings"],
        ["ok", "settings"],
        ["ok", "dns"],
        ["ok", "connection"],
        ["ok", "clock"],
        ["ok", "credential"],
        ["ok", "list"],
    ]


async def test_what_is_wrong_is_1_and_can_be_read_by_machines() -> None:
    faults = ("status=500,path=get-orders",)
    async with SandboxServer(Options(faults=faults), clock=SystemClock()) as upstream:
        given = CREDENTIAL | {"ORDERS_UPSTREAM__BASE_URL": upstream.base_url}
        result = await examine("--json", **given)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["ok"] is False
    assert told["checks"][-1]["step"] == "list"
    assert told["checks"][-1]["fix"]


def test_faults_in_the_settings_are_findings_of_the_doctor() -> None:
    result = run("doctor", ORDERS_UPSTREAM__ACCESS_KEY_SECRET=CANARY, ORDERS_CACHE__TTL=CANARY)
    assert result.exit_code == 1
    assert "ORDERS_CACHE__TTL: must be a number" in result.stdout
    assert "see .env.example" in result.stdout
    assert CANARY not in result.output


def test_a_machine_is_told_of_every_fault_in_the_settings() -> None:
    told = json.loads(run("doctor", "--json", ORDERS_CACHE__TTL="0").stdout)
    assert told["ok"] is False
    assert [finding["message"].partition(":")[0] for finding in told["checks"]] == [
        "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
        "ORDERS_CACHE__TTL",
        "ORDERS_CALLERS__ANONYMOUS",
    ]


# openapi


def test_the_document_needs_no_configuration_and_no_environment_changes_it() -> None:
    written = run("openapi")
    assert json.loads(written.stdout)["openapi"].startswith("3.1")
    environ = {
        "ORDERS_DOCS__ENABLED": "false",
        "ORDERS_SERVER__PUBLIC_URL": "https://a.example.com",
        "ORDERS_CACHE__TTL": "faulty",
    }
    assert run("openapi", **environ).stdout == written.stdout


def test_a_written_document_passes_the_check_until_it_drifts(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    check = ("openapi", "--output", str(path), "--check")
    assert run(*check).exit_code == 1
    assert not path.exists()
    assert run("openapi", "--output", str(path)).exit_code == 0
    assert run(*check).exit_code == 0
    path.write_text(path.read_text("utf-8").replace("3.1", "3.0"), "utf-8")
    result = run(*check)
    assert result.exit_code == 1
    assert "is not what the code says" in result.stderr


def test_a_check_needs_a_file_to_compare_with() -> None:
    result = run("openapi", "--check")
    assert result.exit_code == 2
    assert "--output" in result.stderr


# keys


def test_a_new_key_is_shown_once_with_the_entry_that_lets_it_in() -> None:
    result = run("keys", "new", "dashboard", "--scope", "orders:read", "--scope", "payments:read")
    assert result.exit_code == 0
    _, key, _, entry = (line.strip() for line in result.stdout.splitlines())
    assert key.startswith("obff_")
    made = ApiKeyConfig.model_validate_json(entry)
    assert made.name == "dashboard"
    assert made.scopes == ("orders:read", "payments:read")
    assert made.sha256 == sha256(key.encode()).hexdigest()
    assert result.stdout.count(key) == 1
    assert run("keys", "new", "dashboard").stdout.splitlines()[1].strip() != key


def test_a_new_key_reads_orders_unless_told_otherwise() -> None:
    entry = run("keys", "new", "dashboard").stdout.splitlines()[3]
    assert json.loads(entry)["scopes"] == ["orders:read"]


@pytest.mark.parametrize("given", [("no spaces",), ("dashboard", "--scope", "orders:write")])
def test_a_key_without_sense_is_refused(given: tuple[str, ...]) -> None:
    result = run("keys", "new", *given)
    assert result.exit_code == 2
    assert "obff_" not in result.stdout


# the program


def test_without_a_command_it_tells_the_commands() -> None:
    result = run()
    for command in ("serve", "sandbox", "doctor", "openapi", "keys"):
        assert command in result.output


def test_a_fault_of_ours_shows_no_local_variable() -> None:
    """Typer's own tracebacks would; a credential is among them."""
    assert program().pretty_exceptions_enable is False
