"""`bundle` fetches the facts of a support case, and says what is wrong if it cannot."""

import json
import stat
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from typer.testing import CliRunner, Result

from app.cli import program, read_api_key
from app.clock import SystemClock
from app.commands.bundle import KEY_VARIABLE, BundleError, fetch_bundle, write_bundle
from tests.support.proxy import Proxy

URL = "http://127.0.0.1:8000"
CLOCK = SystemClock()


def responding(status: int, body: str = "{}") -> httpx.MockTransport:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, stream=httpx.ByteStream(body.encode()))

    return httpx.MockTransport(respond)


async def test_the_bundle_of_a_running_proxy_is_indented_json() -> None:
    proxy = Proxy(sandbox=True)
    transport = httpx.ASGITransport(proxy.app, client=("127.0.0.1", 1))
    text = await fetch_bundle(URL, "", CLOCK, transport)
    assert json.loads(text)["status"]["name"] == "orders"
    assert text.startswith('{\n  "created_at"')


async def test_the_key_is_sent_in_a_header_and_only_if_there_is_one() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b'{"data": {}}'))

    transport = httpx.MockTransport(respond)
    await fetch_bundle(f"{URL}/orders/", "obff_canary", CLOCK, transport)
    await fetch_bundle(URL, "", CLOCK, transport)
    assert str(seen[0].url) == f"{URL}/orders/v1/status/bundle"
    assert seen[0].headers["x-api-key"] == "obff_canary"
    assert "x-api-key" not in seen[1].headers


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, "{}", f"set {KEY_VARIABLE} to an API key with the scope metrics:read"),
        (403, "{}", f"set {KEY_VARIABLE} to an API key with the scope metrics:read"),
        (404, "{}", "is it an older version?"),
        (200, "{}", "is it an older version?"),
        (200, "<html>", "its answer is not JSON"),
        (502, "[]", "its answer is not JSON"),
    ],
)
async def test_an_answer_without_a_bundle_is_explained(
    status: int, body: str, message: str
) -> None:
    with pytest.raises(BundleError) as raised:
        await fetch_bundle(URL, "obff_canary", CLOCK, responding(status, body))
    assert message in str(raised.value)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://"])
async def test_what_is_no_url_is_explained(url: str) -> None:
    with pytest.raises(BundleError, match="is not an http or https URL"):
        await fetch_bundle(url, "", CLOCK)


async def test_a_proxy_that_does_not_run_is_explained() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(BundleError, match=r"ConnectError\): is the proxy running"):
        await fetch_bundle(URL, "", CLOCK, httpx.MockTransport(refuse))


def test_the_file_is_new_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    write_bundle("{}\n", path)
    assert path.read_text("utf-8") == "{}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(BundleError, match="File exists"):
        write_bundle("{}\n", path)
    with pytest.raises(BundleError, match="No such file or directory"):
        write_bundle("{}\n", tmp_path / "missing" / "bundle.json")


def run(*options: str, **environ: str) -> Result:
    return CliRunner().invoke(program(), ["bundle", *options], env=environ)


def test_the_command_names_the_cause_and_exits_with_1(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    result = run("--url", "http://127.0.0.1:1", "--output", str(path), OBFF_API_KEY="obff_canary")
    assert result.exit_code == 1
    assert "No bundle: no answer from http://127.0.0.1:1" in result.stderr
    assert "canary" not in result.output
    assert not path.exists()


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"data": {"status": {}}}')

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_the_command_writes_the_file_and_prints_its_name(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        path = tmp_path / "bundle.json"
        result = run("--url", f"http://127.0.0.1:{server.server_port}", "--output", str(path))
        thread.join()
    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    assert json.loads(path.read_text("utf-8")) == {"status": {}}


@pytest.mark.parametrize(
    ("environ", "typed", "key"),
    [({KEY_VARIABLE: " obff_a\n"}, "", "obff_a"), ({KEY_VARIABLE: ""}, "obff_b\n", "obff_b")],
    ids=["environment", "prompt"],
)
def test_the_key_is_read_from_the_environment_or_typed_unseen(
    environ: dict[str, str], typed: str, key: str
) -> None:
    with CliRunner().isolation(input=typed, env=environ) as (_, error, _):
        assert read_api_key(is_terminal=True) == key
        assert not read_api_key(is_terminal=False) or environ[KEY_VARIABLE]
        assert b"obff" not in error.getvalue()
