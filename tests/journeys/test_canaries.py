"""Credentials, tokens, API keys and upstream messages appear in no response and no log line.

Each of them is a canary, and everything that is logged or sent is searched for it: under every
fault of the sandbox, with both authentication schemes, at the start, and when our own code fails.
"""

import asyncio
import hashlib
import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import program
from app.clock import SystemClock
from app.commands.doctor import Diagnostics
from app.http import AsyncBaseTransport, Request, Response
from app.main import create_app
from app.sandbox import envelope
from app.sandbox.envelope import ErrorReply
from app.sandbox.faults import KINDS, TOKEN
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import Settings, SettingsError, load
from app.settings.errors import example_values
from tests.edge.asgi_harness import logging_to
from tests.support.otlp import collecting
from tests.support.upstream import ScriptedUpstream

Scheme = Literal["token", "signature"]

OPTIONS = Options(
    access_key_id="canary-key-id-5a4db0c0", access_key_secret="canary-secret-a05ec7f1"
)
KEY = "obff_canary-of-a-caller-0123456789"
CALLER_VALUE = "CHOSEN-BY-A-CALLER-77"
NO_DOTENV = Path("/missing/.env")

SECRETS = (OPTIONS.access_key_id, OPTIONS.access_key_secret, "eyJ", "Bearer e", KEY)
UPSTREAM_MESSAGES = (
    "沙箱故障",
    "Injected by the sandbox",
    "duplicate key value",
    *(
        text
        for one in vars(envelope).values()
        if isinstance(one, ErrorReply)
        for text in (one.zh, one.en)
    ),
)
"""Messages of the upstream, which can contain raw database text."""

FAULTS = (
    "latency=0.05",
    "revoke_tokens",
    "arrivals",
    "odd_rows",
    "list_object",
    "status=500",
    "status=401",
    "status=401,api_code=2020",
    "status=403,api_code=2333,path=get-management-token",
    "status=403,api_code=1300",
    "status=402",
    "status=404",
    "status=422,api_code=4004",
    "status=429",
    "status=603",
    "status=700",
    "throttle=60",
    "html=502",
    "html=200,path=get-management-token",
    "half_body",
    "reset",
    "hang",
    "hang,path=get-management-token",
)
PATHS = (
    "/v1/orders",
    f"/v1/orders?page={CALLER_VALUE}&{CALLER_VALUE}=1",
    f"/v1/orders?status=paid&q={CALLER_VALUE}",
    "/v1/orders?include=raw&include=origin&include=rev",
    f"/v1/orders/summary?q={CALLER_VALUE}",
    "/v1/orders/export?format=ndjson",
    f"/v1/orders/changes?since={CALLER_VALUE}",
    f"/v1/orders/{CALLER_VALUE}",
    f"/v1/orders/{CALLER_VALUE}/payment",
    "/v1/me",
    f"/v1/{CALLER_VALUE}",
    "/readyz",
    "/metrics",
)
REQUEST_HEADERS = {
    "X-API-Key": KEY,
    "Cache-Control": "no-cache",
    "User-Agent": CALLER_VALUE,
    "Referer": f"https://example.com/{CALLER_VALUE}",
    "Cookie": f"session={CALLER_VALUE}",
}


def settings_of(
    base_url: str, scheme: Scheme, *, hangs: bool = False, collector: str = ""
) -> Settings:
    entry = {
        "name": "dashboard",
        "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
        "scopes": ["orders:read", "orders:raw", "payments:read", "metrics:read"],
    }
    environ = {
        "ORDERS_UPSTREAM__BASE_URL": base_url,
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": OPTIONS.access_key_id,
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": OPTIONS.access_key_secret,
        "ORDERS_UPSTREAM__AUTH": scheme,
        # Short only for faults that never answer, so that a busy machine causes no timeouts.
        "ORDERS_UPSTREAM__READ_TIMEOUT": "0.3" if hangs else "10",
        "ORDERS_UPSTREAM__DEADLINE": "1" if hangs else "20",
        "ORDERS_CALLERS__API_KEYS": json.dumps([entry]),
        "ORDERS_TRACING__ENDPOINT": collector,
    }
    return load(environ, dotenv=NO_DOTENV)


async def responses_of(settings: Settings, transport: AsyncBaseTransport | None = None) -> str:
    """Request every path; return status, headers and body of all responses."""
    app = create_app(settings, transport=transport)
    async with (
        app.api.router.lifespan_context(app.api),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", headers=REQUEST_HEADERS
        ) as client,
    ):
        unauthenticated = client.get("/v1/orders", headers={"X-API-Key": f"{KEY}-mistyped"})
        responses = await asyncio.gather(*map(client.get, PATHS), unauthenticated)
    return "\n".join(
        f"{response.status_code} {response.headers} {response.text}" for response in responses
    )


@pytest.fixture
def logged() -> "Iterator[Logged]":
    with (
        logging_to("json", level="debug") as json_log,
        logging_to("text", level="debug") as text_log,
    ):
        yield Logged(lambda: json_log.text() + text_log.text())


class Logged:
    """The log in both formats, at the lowest level."""

    def __init__(self, text: Callable[[], str]) -> None:
        self.text = text


def test_every_kind_of_fault_is_covered() -> None:
    assert {fault.partition("=")[0].partition(",")[0] for fault in FAULTS} == set(KINDS)


@pytest.mark.without_coverage
@pytest.mark.parametrize("scheme", ["token", "signature"])
async def test_no_fault_exposes_a_canary(scheme: Scheme, logged: Logged) -> None:
    async def check(*faults: str) -> None:
        async with SandboxServer(OPTIONS, clock=SystemClock()) as upstream:
            upstream.sandbox.inject(*faults)
            hangs = any("hang" in fault for fault in faults)
            output = await responses_of(settings_of(upstream.base_url, scheme, hangs=hangs))
            for fault in upstream.sandbox.faults.to_dicts():
                assert fault["hits"] or (scheme == "signature" and fault["path"] == TOKEN), faults
            assert [one for one in (*SECRETS, *UPSTREAM_MESSAGES) if one in output] == [], faults

    hanging = [fault for fault in FAULTS if "hang" in fault]
    await asyncio.gather(check(), *(check(fault) for fault in FAULTS if fault not in hanging))
    # Apart from the others, which keep the machine busy, because they have short timeouts.
    await asyncio.gather(*(check(fault) for fault in hanging))
    assert [one for one in (*SECRETS, *UPSTREAM_MESSAGES) if one in logged.text()] == []
    assert CALLER_VALUE not in logged.text()
    assert '"event":"request"' in logged.text()


async def test_metrics_and_spans_have_no_canary_and_no_value_of_a_caller() -> None:
    upstream = ScriptedUpstream()
    upstream.keys = {OPTIONS.access_key_id: OPTIONS.access_key_secret}
    with collecting() as collector:
        settings = settings_of("http://127.0.0.1:9", "token", collector=collector.url)
        app = create_app(settings, transport=upstream.transport)
        transport = httpx.ASGITransport(app)
        async with (
            app.api.router.lifespan_context(app.api),
            httpx.AsyncClient(
                transport=transport, base_url="http://localhost", headers=REQUEST_HEADERS
            ) as client,
        ):
            for status in (200, 500):
                upstream.fail_next(status, times=3)
                for path in PATHS:
                    await client.get(path)
            await client.request(CALLER_VALUE, f"/{CALLER_VALUE}")
            metrics = (await client.get("/metrics")).text
    assert 'route="/v1/orders/{order_no}/payment"' in metrics
    assert len(collector.spans) > 2 * len(PATHS)
    for output in (metrics, collector.raw.decode("latin-1")):
        canaries = (*SECRETS, *UPSTREAM_MESSAGES, CALLER_VALUE)
        assert [one for one in canaries if one in output] == []


async def test_an_internal_error_exposes_nothing(logged: Logged) -> None:
    class FailingTransport(AsyncBaseTransport):
        async def handle_async_request(self, request: Request) -> Response:
            body = (await request.aread()).decode()
            raise RuntimeError(f"{body} {request.headers['authorization']}")

    output = await responses_of(settings_of("http://127.0.0.1:9", "signature"), FailingTransport())
    assert "internal_error" in output
    assert '"error":"RuntimeError"' in logged.text()
    assert [one for one in SECRETS if one in output + logged.text()] == []


async def test_database_text_of_the_upstream_is_not_passed_on(logged: Logged) -> None:
    upstream = ScriptedUpstream()
    for status in (400, 422, 500, 200):
        upstream.fail_next(status, times=20)
        output = await responses_of(settings_of("http://127.0.0.1:9", "token"), upstream.transport)
        assert [one for one in UPSTREAM_MESSAGES if one in output + logged.text()] == []


# Settings


def test_a_secret_in_the_wrong_variable_is_not_shown(tmp_path: Path) -> None:
    canary = OPTIONS.access_key_secret
    for name in (*example_values(Settings), "ORDERS_CACHE__NO_SUCH", "ORDERS_LOGIN__X"):
        with pytest.raises(SettingsError) as raised:
            load({name: canary}, dotenv=NO_DOTENV)
        assert canary not in "".join(traceback.format_exception(raised.value)), name
    file = tmp_path / "keys.json"
    for text in (canary, json.dumps([canary]), json.dumps([{canary: canary, "name": canary}])):
        file.write_text(text, "utf-8")
        with pytest.raises(SettingsError) as raised:
            load({"ORDERS_CALLERS__API_KEYS_FILE": str(file)}, dotenv=NO_DOTENV)
        assert canary not in str(raised.value)


def test_a_refused_start_shows_no_value() -> None:
    variables = dict.fromkeys(example_values(Settings), OPTIONS.access_key_secret)
    result = CliRunner().invoke(program(), ["serve"], env=variables)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) > 20
    assert OPTIONS.access_key_secret not in result.output


# doctor, which may show messages of the upstream


@pytest.mark.without_coverage
@pytest.mark.parametrize("scheme", ["token", "signature"])
async def test_doctor_shows_no_secret(scheme: Scheme, logged: Logged) -> None:
    async def run_doctor(fault: str) -> None:
        async with SandboxServer(OPTIONS, clock=SystemClock()) as upstream:
            upstream.sandbox.inject(fault)
            settings = settings_of(upstream.base_url, scheme, hangs="hang" in fault)
            diagnostics = Diagnostics(settings, SystemClock())
            output = str([check async for check in diagnostics.run()])
            assert [secret for secret in SECRETS if secret in output] == [], fault

    await asyncio.gather(*(run_doctor(fault) for fault in FAULTS))
    assert [secret for secret in SECRETS if secret in logged.text()] == []


async def test_a_credential_echoed_by_the_upstream_is_not_shown(logged: Logged) -> None:
    upstream = ScriptedUpstream()
    upstream.keys = {OPTIONS.access_key_id: OPTIONS.access_key_secret}

    def echo(request: Request) -> Response:
        sent = f"{request.headers.get('authorization')} {request.content.decode()}"
        return Response(200, json={"statusCode": 500, "message": sent, "requestId": sent})

    upstream.respond_with(echo)
    output = await responses_of(settings_of("http://127.0.0.1:9", "token"), upstream.transport)
    assert [secret for secret in SECRETS if secret in output + logged.text()] == []
