"""Nothing of a credential, a token, a caller's key or the upstream's own words is told to anybody.

Each of them is a canary here, and all that is written and answered is searched for it: under every
fault of the sandbox, with both schemes, at start-up, and where our own code fails.
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
from app.doctor import Diagnostics
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
from tests.support.upstream import ScriptedUpstream

Scheme = Literal["token", "signature"]

OPTIONS = Options(
    access_key_id="canary-key-id-5a4db0c0", access_key_secret="canary-secret-a05ec7f1"
)
KEY = "obff_canary-of-a-caller-0123456789"
CHOSEN = "CHOSEN-BY-A-CALLER-77"
NOWHERE = Path("/nowhere/.env")

SECRETS = (OPTIONS.access_key_id, OPTIONS.access_key_secret, "eyJ", "Bearer e", KEY)
UPSTREAM_WORDS = (
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
"""Its messages; they can carry raw database text."""

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
QUESTIONS = (
    "/v1/orders",
    f"/v1/orders?page={CHOSEN}&{CHOSEN}=1",
    f"/v1/orders?status=paid&q={CHOSEN}",
    "/v1/orders?include=raw&include=origin&include=rev",
    f"/v1/orders/summary?q={CHOSEN}",
    "/v1/orders/export?format=ndjson",
    f"/v1/orders/changes?since={CHOSEN}",
    f"/v1/orders/{CHOSEN}",
    f"/v1/orders/{CHOSEN}/payment",
    "/v1/me",
    f"/v1/{CHOSEN}",
    "/readyz",
    "/metrics",
)
ASKED_WITH = {
    "X-API-Key": KEY,
    "Cache-Control": "no-cache",
    "User-Agent": CHOSEN,
    "Referer": f"https://example.com/{CHOSEN}",
    "Cookie": f"session={CHOSEN}",
}


def settings_of(base_url: str, scheme: Scheme, *, hangs: bool = False) -> Settings:
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
        # Nobody waits for what never comes; all else has its time, however busy the machine is.
        "ORDERS_UPSTREAM__READ_TIMEOUT": "0.3" if hangs else "10",
        "ORDERS_UPSTREAM__DEADLINE": "1" if hangs else "20",
        "ORDERS_CALLERS__API_KEYS": json.dumps([entry]),
        "ORDERS_LOG__LEVEL": "debug",
    }
    return load(environ, dotenv=NOWHERE)


async def answered(settings: Settings, transport: AsyncBaseTransport | None = None) -> str:
    """All that callers get of a proxy, headers and bodies."""
    app = create_app(settings, transport=transport)
    async with (
        app.api.router.lifespan_context(app.api),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", headers=ASKED_WITH
        ) as caller,
    ):
        stranger = caller.get("/v1/orders", headers={"X-API-Key": f"{KEY}-mistyped"})
        responses = await asyncio.gather(*map(caller.get, QUESTIONS), stranger)
    return "\n".join(f"{one.status_code} {one.headers} {one.text}" for one in responses)


@pytest.fixture
def logged() -> "Iterator[Logged]":
    with (
        logging_to("json", level="debug") as for_machines,
        logging_to("text", level="debug") as for_people,
    ):
        yield Logged(lambda: for_machines.text() + for_people.text())


class Logged:
    """The log as it is written in both layouts, with all that can be said switched on."""

    def __init__(self, text: Callable[[], str]) -> None:
        self.text = text


def test_every_fault_of_the_sandbox_is_tried() -> None:
    assert {fault.partition("=")[0].partition(",")[0] for fault in FAULTS} == set(KINDS)


@pytest.mark.parametrize("scheme", ["token", "signature"])
async def test_under_no_fault_is_anything_told(scheme: Scheme, logged: Logged) -> None:
    async def under(*faults: str) -> None:
        async with SandboxServer(OPTIONS, clock=SystemClock()) as upstream:
            upstream.sandbox.inject(*faults)
            hangs = any("hang" in fault for fault in faults)
            told = await answered(settings_of(upstream.base_url, scheme, hangs=hangs))
            for fault in upstream.sandbox.faults.to_dicts():
                assert fault["hits"] or (scheme == "signature" and fault["path"] == TOKEN), faults
            assert [one for one in (*SECRETS, *UPSTREAM_WORDS) if one in told] == [], faults

    await asyncio.gather(under(), *(under(fault) for fault in FAULTS))
    assert [one for one in (*SECRETS, *UPSTREAM_WORDS) if one in logged.text()] == []
    assert CHOSEN not in logged.text()
    assert '"event":"request"' in logged.text()


async def test_a_fault_of_ours_shows_nothing_of_what_was_at_hand(logged: Logged) -> None:
    class Faulty(AsyncBaseTransport):
        async def handle_async_request(self, request: Request) -> Response:
            body = (await request.aread()).decode()
            raise RuntimeError(f"{body} {request.headers['authorization']}")

    told = await answered(settings_of("http://127.0.0.1:9", "signature"), Faulty())
    assert "internal_error" in told
    assert '"error":"RuntimeError"' in logged.text()
    assert [one for one in SECRETS if one in told + logged.text()] == []


async def test_raw_database_text_goes_nowhere(logged: Logged) -> None:
    upstream = ScriptedUpstream()
    for status in (400, 422, 500, 200):
        upstream.fail_next(status, times=20)
        told = await answered(settings_of("http://127.0.0.1:9", "token"), upstream.transport)
        assert [one for one in UPSTREAM_WORDS if one in told + logged.text()] == []


# At the start


def test_a_secret_in_the_wrong_variable_is_not_repeated(tmp_path: Path) -> None:
    canary = OPTIONS.access_key_secret
    for name in (*example_values(Settings), "ORDERS_CACHE__NO_SUCH", "ORDERS_LOGIN__X"):
        try:
            load({name: canary}, dotenv=NOWHERE)
        except SettingsError:
            assert canary not in traceback.format_exc(), name
    file = tmp_path / "keys.json"
    for text in (canary, json.dumps([canary]), json.dumps([{canary: canary, "name": canary}])):
        file.write_text(text, "utf-8")
        with pytest.raises(SettingsError) as refusal:
            load({"ORDERS_CALLERS__API_KEYS_FILE": str(file)}, dotenv=NOWHERE)
        assert canary not in str(refusal.value)


def test_a_start_that_is_refused_repeats_no_value() -> None:
    variables = dict.fromkeys(example_values(Settings), OPTIONS.access_key_secret)
    result = CliRunner().invoke(program(), ["serve"], env=variables)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) > 20
    assert OPTIONS.access_key_secret not in result.output


# The doctor, who alone may show the upstream's words


@pytest.mark.parametrize("scheme", ["token", "signature"])
async def test_the_doctor_shows_no_secret(scheme: Scheme, logged: Logged) -> None:
    async def under(fault: str) -> None:
        async with SandboxServer(OPTIONS, clock=SystemClock()) as upstream:
            upstream.sandbox.inject(fault)
            settings = settings_of(upstream.base_url, scheme, hangs="hang" in fault)
            examination = Diagnostics(settings, SystemClock())
            told = str([finding async for finding in examination.run()])
            assert [secret for secret in SECRETS if secret in told] == [], fault

    await asyncio.gather(*(under(fault) for fault in FAULTS))
    assert [secret for secret in SECRETS if secret in logged.text()] == []


async def test_an_upstream_that_echoes_the_credential_is_not_repeated(logged: Logged) -> None:
    upstream = ScriptedUpstream()
    upstream.keys = {OPTIONS.access_key_id: OPTIONS.access_key_secret}

    def echo(request: Request) -> Response:
        sent = f"{request.headers.get('authorization')} {request.content.decode()}"
        return Response(200, json={"statusCode": 500, "message": sent, "requestId": sent})

    upstream.answer_with(echo)
    told = await answered(settings_of("http://127.0.0.1:9", "token"), upstream.transport)
    assert [secret for secret in SECRETS if secret in told + logged.text()] == []
