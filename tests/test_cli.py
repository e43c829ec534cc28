"""The commands: output, exit codes, and no traceback."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from html import unescape
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import httpx
import pytest
from typer.testing import CliRunner, Result

from app import __version__
from app.cli import program
from app.clock import SystemClock
from app.commands.serve import local_origin
from app.sandbox.faults import KINDS
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


COMMANDS = (("serve",), ("sandbox",), ("doctor",), ("bundle",), ("openapi",), ("keys", "new"))


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path) -> Iterator[None]:
    """Run in an empty directory, so that no `.env` is read."""
    with chdir(tmp_path):
        yield


def run(*command: str, **environ: str) -> Result:
    absent = dict.fromkeys(name for name in os.environ if name.startswith("ORDERS_"))
    return CliRunner().invoke(program(), command, env=absent | environ)


@contextmanager
def running(*command: str, until: str, stdout: str = "", **environ: str) -> Iterator[list[str]]:
    """Run the program in a process; yield its output up to a line that starts with `until`.

    At the end Ctrl-C stops it, and it has to exit with 0 and no further output. `stdout` is a file
    descriptor, by default of the null device.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    with subprocess.Popen(
        [sys.executable, "-m", "app", *command],
        env=clean | {"PYTHONPATH": str(REPOSITORY)} | environ,
        stdout=int(stdout or subprocess.DEVNULL),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        watchdog = Timer(30, process.kill)
        watchdog.start()
        try:
            lines = []
            for line in process.stderr:
                lines.append(line.rstrip("\n"))
                if line.strip().startswith(until):
                    break
            yield lines
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        finally:
            watchdog.cancel()
            process.kill()
        assert rest == ""
    assert process.returncode == 0


def fetch(url: str) -> tuple[int, Any]:
    """Return status and body of a URL; a JSON body is decoded."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("GET", parts.path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body) if "json" in response.headers["Content-Type"] else body


@pytest.fixture
def taken_port() -> Iterator[str]:
    """A port on which another socket listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


# serve


def test_invalid_settings_exit_with_2_and_one_line_each() -> None:
    result = run("serve", ORDERS_CACHE__TTL="soon", ORDERS_UPSTREAM__PROXY=CANARY)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "Invalid configuration:"
    assert len(result.stderr.splitlines()) == 6
    assert "  ORDERS_CACHE__TTL (environment): must be a number. Value: 'soon'." in result.stderr
    assert CANARY not in result.output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("serve --port abc", "'--port': must be an integer from 0 to 65535"),
        ("serve --port 65536", "'--port': must be an integer from 0 to 65535"),
        ("sandbox --orders -1", "'--orders': must be an integer from 0 to 100000"),
        ("sandbox --seed 1_0", "'--seed': must be an integer from -2147483647 to 2147483647"),
        ("keys new a --expires 2026-13-01", "'--expires': must be a day, for example 2027-01-31"),
    ],
)
def test_an_invalid_option_is_explained_in_our_words(command: str, message: str) -> None:
    result = run(*command.split())
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: Invalid value for {message}\n")


def test_a_misspelt_name_is_reported_along_with_the_error_that_it_causes() -> None:
    misspelt = {name.replace("UPSTREAM__", "UPSTREAM_"): "x" for name in CREDENTIAL}
    result = run("serve", **misspelt)
    first, *_ = result.stderr.splitlines()
    assert first == (
        "warning: ORDERS_UPSTREAM_ACCESS_KEY_ID (environment) is not a setting; did you mean"
        " ORDERS_UPSTREAM__ACCESS_KEY_ID?"
    )
    assert "ORDERS_UPSTREAM__ACCESS_KEY_ID: is required" in result.stderr
    checks = json.loads(run("doctor", "--json", **misspelt).stdout)["checks"]
    assert checks[0]["outcome"] == "warning"
    assert checks[0]["message"] == first.removeprefix("warning: ")


def test_a_log_that_cannot_be_written_does_not_change_how_the_server_exits() -> None:
    full_disk = os.open("/dev/full", os.O_WRONLY)
    reader, pipe_without_reader = os.pipe()
    os.close(reader)
    for stdout in (full_disk, pipe_without_reader):
        command = ("serve", "--sandbox", "--port", "0")
        with running(*command, until="sandbox", stdout=str(stdout), PYTHONUNBUFFERED=""):
            os.close(stdout)


def test_a_port_in_use_exits_with_1_and_names_the_address(taken_port: str) -> None:
    result = run("serve", "--port", taken_port, **CREDENTIAL)
    assert result.exit_code == 1
    address = f"127.0.0.1:{taken_port}"
    assert result.stderr == f"Cannot listen on {address}: Address already in use\n"
    assert run("sandbox", "--port", taken_port).exit_code == 1


def test_an_ipv6_address_that_cannot_be_bound_is_named_in_brackets() -> None:
    result = run("serve", "--port", "0", "--host", "2001:db8::1", **CREDENTIAL)
    assert result.exit_code == 1
    assert result.stderr.startswith("Cannot listen on [2001:db8::1]:0: ")


def test_settings_without_effect_are_warned_about(taken_port: str) -> None:
    proxies = {"ORDERS_SERVER__TRUSTED_PROXIES": '["10.0.0.0/8"]'}
    result = run("serve", ORDERS_SERVER__PORT=taken_port, **proxies, **CREDENTIAL)
    assert "warning: ORDERS_SERVER__TRUSTED_PROXIES has no effect" in result.stderr


def names_of_people_who_sign_in(login: str, me: str) -> list[tuple[str, int]]:
    """Return the name and the number of scopes of everybody whom the sandbox lets sign in."""
    people = []
    for number in range(2):
        with httpx.Client(follow_redirects=True, trust_env=False) as browser:
            page = browser.get(login)
            links = re.findall(r'<li><a href="([^"]*)"', page.text)
            browser.get(page.url.join(unescape(links[number]))).raise_for_status()
            data = browser.get(me, headers={"X-CSRF": "1"}).json()["data"]
            people.append((data["name"], len(data["scopes"])))
    return people


def test_serve_with_sandbox_needs_no_configuration_and_no_key() -> None:
    command = ("serve", "--sandbox", "--port", "0", "--orders", "3", "--fault", "latency=0")
    with running(*command, until="sandbox") as lines:
        origin = lines[0].removeprefix("orders-bff is running at ").removesuffix("/")
        urls = dict(line.split() for line in lines[1:])
        assert urls == {
            "dashboard": f"{origin}/dashboard",
            "sign-in": f"{origin}/auth/login",
            "docs": f"{origin}/docs",
            "orders": f"{origin}/v1/orders",
            "readiness": f"{origin}/readyz",
            "sandbox": urls["sandbox"],
        }
        status, body = fetch(urls["orders"])
        assert (status, body["meta"]["total"]) == (200, 3)
        assert len(fetch(f"{origin}/v1/me")[1]["data"]["scopes"]) == 5
        assert fetch(urls["docs"])[0] == 200
        assert fetch(urls["dashboard"])[0] == 200
        status, body = fetch(urls["sandbox"])
        assert (status, body["faults"][0]["kind"]) == (200, "latency")
        assert names_of_people_who_sign_in(urls["sign-in"], f"{origin}/v1/me") == [
            ("Ada Lovelace", 5),
            ("Grace Hopper", 0),
        ]


@pytest.mark.without_coverage
def test_serve_with_sandbox_ignores_a_configured_upstream_with_a_warning() -> None:
    command = ("serve", "--sandbox", "--port", "0")
    with running(*command, until="sandbox", ORDERS_DOCS__ENABLED="no", **CREDENTIAL) as lines:
        assert [line.partition(" is ignored")[0] for line in lines[:3]] == [
            f"warning: {name} (environment)" for name in CREDENTIAL
        ]
        assert not any("/docs" in line for line in lines)


@pytest.mark.parametrize("option", ["--orders=137", "--seed=8", "--fault=hang"])
def test_options_of_the_sandbox_require_it(option: str) -> None:
    result = run("serve", option, **CREDENTIAL)
    assert result.exit_code == 2
    assert "--orders, --seed and --fault require --sandbox" in result.stderr


def test_serve_with_sandbox_on_a_public_address_requires_an_api_key() -> None:
    result = run("serve", "--sandbox", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it is refused
    assert result.exit_code == 2
    assert "no caller could authenticate" in result.stderr


@pytest.mark.parametrize("expired", [True, False])
def test_settings_without_a_valid_api_key_are_an_error(tmp_path: Path, *, expired: bool) -> None:
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
    lines = result.stderr.splitlines()
    assert lines[0] == "Invalid configuration:"
    assert lines[1].startswith("  ORDERS_CALLERS__API_KEYS: no caller could authenticate")
    assert len(lines) == 2
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
def test_the_printed_origin_can_be_opened_on_this_machine(host: str, origin: str) -> None:
    assert local_origin(host, 80) == origin


# sandbox


def test_sandbox_prints_the_settings_to_use_it() -> None:
    options = ("--port", "0", "--orders", "3", "--fault", "latency=0")
    with running("sandbox", *options, until="ORDERS_UPSTREAM__ACCESS_KEY_SECRET") as lines:
        origin = lines[0].removeprefix("The sandbox is running at ")
        status, body = fetch(lines[1].split()[1])
    assert (status, body["faults"][0]["kind"]) == (200, "latency")
    assert [line.strip().partition("=")[0] for line in lines[3:]] == [
        "ORDERS_UPSTREAM__BASE_URL",
        "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
    ]
    assert lines[3].endswith(f"={origin}")


@pytest.mark.parametrize("command", ["sandbox", "serve"])
@pytest.mark.parametrize(
    ("option", "message"),
    [("--fault=quake", "'quake' is not one of latency"), ("--orders=100001", "100000")],
)
def test_an_invalid_option_of_the_sandbox_is_a_usage_error_that_names_it(
    command: str, option: str, message: str
) -> None:
    result = run(command, option)
    assert result.exit_code == 2
    assert f"Invalid value for '{option.partition('=')[0]}'" in result.stderr
    assert message in result.stderr


# doctor


async def run_doctor(*options: str, **environ: str) -> Result:
    """Run the command in a thread, because it runs an event loop."""
    return await anyio.to_thread.run_sync(lambda: run("doctor", *options, **environ))


async def test_doctor_exits_with_0_if_no_check_found_an_error() -> None:
    async with SandboxServer(Options(), clock=SystemClock()) as upstream:
        environ = CREDENTIAL | {"ORDERS_UPSTREAM__BASE_URL": upstream.base_url}
        result = await run_doctor(**environ, ORDERS_SERVER__TRUSTED_PROXIES='["10.0.0.0/8"]')
    assert result.exit_code == 0
    checks = [line.split()[:2] for line in result.stdout.splitlines() if line[0] != " "]
    assert checks == [
        ["warning", "settings"],
        ["ok", "settings"],
        ["ok", "dns"],
        ["ok", "connection"],
        ["ok", "clock"],
        ["ok", "credential"],
        ["ok", "list"],
        ["ok", "store"],
    ]


async def test_doctor_prints_json_and_exits_with_1_on_an_error() -> None:
    async with SandboxServer(Options(), clock=SystemClock()) as upstream:
        upstream.sandbox.inject("status=500,path=get-orders")
        environ = CREDENTIAL | {"ORDERS_UPSTREAM__BASE_URL": upstream.base_url}
        result = await run_doctor("--json", **environ)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert set(report["checks"][-1]) == {"step", "outcome", "message", "fix", "seconds"}
    assert [check["step"] for check in report["checks"][-2:]] == ["list", "store"]
    assert report["checks"][-2]["outcome"] == "error"
    assert report["checks"][-2]["fix"]


def test_doctor_checks_the_issuer_even_if_the_upstream_fails() -> None:
    nowhere = "http://127.0.0.1:1"
    environ = CREDENTIAL | {
        "ORDERS_UPSTREAM__BASE_URL": nowhere,
        "ORDERS_CALLERS__OIDC_ISSUER": f"{nowhere}/oidc",
        "ORDERS_CALLERS__OIDC_AUDIENCE": "orders-api",
    }
    report = json.loads(run("doctor", "--json", **environ).stdout)
    failed = [check["step"] for check in report["checks"] if check["outcome"] == "error"]
    assert failed == ["connection", "issuer"]


def test_doctor_reports_invalid_settings_without_secrets() -> None:
    result = run("doctor", ORDERS_UPSTREAM__ACCESS_KEY_SECRET=CANARY, ORDERS_CACHE__TTL=CANARY)
    assert result.exit_code == 1
    assert "ORDERS_CACHE__TTL (environment): must be a number" in result.stdout
    assert "see .env.example" in result.stdout
    assert CANARY not in result.output


def test_doctor_reports_every_invalid_setting() -> None:
    report = json.loads(run("doctor", "--json", ORDERS_CACHE__TTL="0").stdout)
    assert report["ok"] is False
    assert [check["message"].partition(":")[0] for check in report["checks"]] == [
        "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
        "ORDERS_CACHE__TTL (environment)",
        "ORDERS_CALLERS__ANONYMOUS",
    ]


# openapi


def test_the_document_does_not_depend_on_settings() -> None:
    written = run("openapi")
    assert json.loads(written.stdout)["openapi"].startswith("3.1")
    environ = {
        "ORDERS_DOCS__ENABLED": "false",
        "ORDERS_SERVER__PUBLIC_URL": "https://a.example.com",
        "ORDERS_CACHE__TTL": "faulty",
    }
    assert run("openapi", **environ).stdout == written.stdout


def test_the_check_passes_until_the_file_is_outdated(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    check = ("openapi", "--output", str(path), "--check")
    assert run(*check).exit_code == 1
    assert not path.exists()
    assert run("openapi", "--output", str(path)).exit_code == 0
    assert run(*check).exit_code == 0
    path.write_text(path.read_text("utf-8").replace("3.1", "3.0"), "utf-8")
    result = run(*check)
    assert result.exit_code == 1
    assert "is outdated" in result.stderr


def test_the_check_requires_a_file() -> None:
    result = run("openapi", "--check")
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_openapi_reports_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    result = run("openapi", "--output", str(tmp_path / "missing" / "openapi.json"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Cannot write ")


# keys


def test_a_new_key_is_printed_once_with_its_entry() -> None:
    result = run("keys", "new", "dashboard", "--scope", "orders:read", "--scope", "payments:read")
    assert result.exit_code == 0
    _, key, _, entry = (line.strip() for line in result.stdout.splitlines())
    assert key.startswith("obff_")
    config = ApiKeyConfig.model_validate_json(entry)
    assert config.name == "dashboard"
    assert config.scopes == ("orders:read", "payments:read")
    assert config.expires_at is None
    assert config.sha256 == sha256(key.encode()).hexdigest()
    assert result.stdout.count(key) == 1
    assert run("keys", "new", "dashboard").stdout.splitlines()[1].strip() != key


def test_a_new_key_has_the_scope_orders_read_by_default() -> None:
    entry = run("keys", "new", "dashboard").stdout.splitlines()[3]
    assert json.loads(entry)["scopes"] == ["orders:read"]


def test_a_new_key_expires_at_the_start_of_the_given_day_in_utc() -> None:
    entry = run("keys", "new", "dashboard", "--expires", "2999-01-31").stdout.splitlines()[3]
    expires_at = ApiKeyConfig.model_validate_json(entry).expires_at
    assert expires_at == datetime(2999, 1, 31, tzinfo=UTC)


def test_a_new_key_may_have_a_rate_of_its_own() -> None:
    entry = run("keys", "new", "nightly", "--rate", "10/second").stdout.splitlines()[3]
    assert ApiKeyConfig.model_validate_json(entry).rate == "10/second"


@pytest.mark.parametrize(
    "arguments",
    [
        ("no spaces",),
        ("name", "--scope", "orders:write"),
        ("name", "--expires", "tomorrow"),
        ("name", "--expires", "2020-01-01"),
        ("name", "--rate", "fast"),
    ],
)
def test_an_invalid_key_is_not_created(arguments: tuple[str, ...]) -> None:
    result = run("keys", "new", *arguments)
    assert result.exit_code == 2
    assert "obff_" not in result.stdout


# the program


def test_without_a_command_the_commands_are_listed() -> None:
    result = run()
    for command in COMMANDS:
        assert command[0] in result.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_each_command_has_its_exit_codes(command: tuple[str, ...]) -> None:
    result = run(*command, "-h")
    assert result.exit_code == 0
    assert "Exit codes: 0" in result.output
    assert result.output == run(*command, "--help").output


def test_the_help_shows_defaults_and_where_settings_are_documented() -> None:
    text = " ".join(run("serve", "-h").output.split())
    for part in (
        "ORDERS_SERVER__HOST or 127.0.0.1",
        "ORDERS_SERVER__PORT or 8000",
        "[default: 137",
        ".env.example",
    ):
        assert part in text


def test_the_help_of_the_sandbox_lists_every_kind_of_fault() -> None:
    text = run("sandbox", "-h").output
    for name, kind in KINDS.items():
        assert name in text
        assert kind.description in text


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert __version__ == project["version"]
    assert run("--version").stdout == f"orders-bff {__version__}\n"


def test_tracebacks_show_no_local_variables() -> None:
    """Typer's own tracebacks would, and the credential is among them."""
    assert program().pretty_exceptions_enable is False


def test_imports_are_not_interrupted_by_garbage_collections():
    code = """
import gc, sys
full = []
gc.callbacks.append(lambda phase, info: full.append(phase) if info["generation"] == 2 else None)
from app.__main__ import main
sys.argv = ["orders-bff", "--version"]
try:
    main()
finally:
    print(full, gc.isenabled(), gc.get_freeze_count() > 10_000)
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert result.stdout.splitlines() == [f"orders-bff {__version__}", "[] True True"]
