"""The doctor: each thing that can be wrong is named, with a way to mend it and no credential."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from app.clock import Clock, SystemClock
from app.doctor import MENDS, Check, Diagnostics
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import Settings, load
from app.upstream import errors
from tests.support.clock import settle

CLOCK = SystemClock()
KEY_ID = "6250f12d5d0000009bcfc784"
KEY_TEXT = "canary00000000000000000000000001"


def settings_of(base_url: str, **upstream: Any) -> Settings:
    credential = {"access_key_id": KEY_ID, "access_key_secret": KEY_TEXT}
    return load(
        {"ORDERS_CALLERS__ANONYMOUS": "true"},
        dotenv=Path("/nowhere/.env"),
        upstream={"base_url": base_url} | credential | upstream,
    )


async def examine(
    base_url: str, clock: Clock = CLOCK, **upstream: Any
) -> tuple[dict[str, str], Check]:
    """The outcome of each step, and the last finding."""
    examination = Diagnostics(settings_of(base_url, **upstream), clock)
    findings = [finding async for finding in examination.run()]
    assert KEY_TEXT not in repr(findings)
    return {finding.step: finding.outcome for finding in findings}, findings[-1]


@asynccontextmanager
async def sandbox(*faults: str) -> AsyncIterator[SandboxServer]:
    options = Options(access_key_id=KEY_ID, access_key_secret=KEY_TEXT, faults=faults)
    async with SandboxServer(options, clock=CLOCK) as server:
        yield server


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(body: dict[str, Any], *headers: str) -> Answering:
    """A server that gives one answer to everything."""
    content = json.dumps(body).encode()
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(content)}", "Connection: close", *headers]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A question comes in one or two pieces; whoever only connects sends none.
        if await reader.read(65536):
            writer.write("\r\n".join([*head, "", ""]).encode() + content)
            await writer.drain()
        writer.close()

    return answer


@asynccontextmanager
async def server(answer: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as listening:
        yield listening.sockets[0].getsockname()[1]
        await settle()  # the end of a connection that the other side broke off is read


class HurriedClock(SystemClock):
    """Waits `patiently` often, and then no more."""

    def __init__(self, patiently: int) -> None:
        self._patiently = patiently

    async def sleep(self, seconds: float) -> None:
        self._patiently -= 1
        if self._patiently >= 0:
            await super().sleep(seconds)


async def test_a_healthy_upstream_passes_every_step() -> None:
    async with sandbox() as upstream:
        outcomes, last = await examine(upstream.base_url)
    assert list(outcomes) == ["name", "connection", "clock", "credential", "list"]
    assert set(outcomes.values()) == {"ok"}
    assert last.message == "137 orders, 50 in the first block; from a sandbox, so they are made up"


async def test_a_signature_is_tried_by_the_list() -> None:
    async with sandbox() as upstream:
        outcomes, _ = await examine(upstream.base_url, auth="signature")
        assert set(outcomes.values()) == {"ok"}
        outcomes, last = await examine(
            upstream.base_url, auth="signature", access_key_secret="another"
        )
    assert outcomes["credential"] == "ok"
    assert (last.step, last.outcome) == ("list", "error")
    assert "ORDERS_UPSTREAM__BRAND" in last.fix


async def test_a_wrong_secret_is_told_with_the_upstreams_own_words() -> None:
    async with sandbox() as upstream:
        _, last = await examine(upstream.base_url, access_key_secret="another")
    assert (last.step, last.outcome) == ("credential", "error")
    assert "message" in last.message
    assert "ORDERS_UPSTREAM__ACCESS_KEY_SECRET" in last.fix


async def test_a_pinned_pool_that_is_another_is_told() -> None:
    async with sandbox() as upstream:
        _, last = await examine(upstream.base_url, pool_id="another")
        assert (last.step, last.outcome) == ("credential", "error")
        assert "ORDERS_UPSTREAM__POOL_ID" in last.fix
        outcomes, _ = await examine(upstream.base_url, pool_id=upstream.options.pool_id)
    assert outcomes["credential"] == "ok"


async def test_what_is_wrong_ends_the_examination() -> None:
    async with sandbox("status=402,path=get-orders") as upstream:
        outcomes, last = await examine(upstream.base_url)
    assert outcomes["list"] == "error"
    assert "plan" in last.fix


async def test_an_upstream_that_is_no_sandbox_is_not_called_one() -> None:
    body = {"statusCode": 200, "data": {"totalCount": 0, "list": []}}
    async with server(answering(body)) as port:
        _, last = await examine(f"http://127.0.0.1:{port}", auth="signature")
    assert last.message == "0 orders, 0 in the first block"


async def test_an_answer_outside_what_we_know_is_a_warning() -> None:
    async with sandbox("list_object") as upstream:
        _, last = await examine(upstream.base_url)
    assert (last.step, last.outcome) == ("list", "warning")
    assert "outside what we know" in last.message


async def test_the_upstreams_words_are_shown_without_credential_or_control_characters() -> None:
    said = f"no: {KEY_TEXT} of {KEY_ID}, eyJhbGciOi.eyJzdWIiOi.c2ln \x1b[31m"
    body = {"statusCode": 500, "apiCode": 1000, "message": said, "requestId": "r-1"}
    async with server(answering(body)) as port:
        _, last = await examine(f"http://127.0.0.1:{port}")
    assert last.message == (
        "the upstream failed (statusCode 500, apiCode 1000, request id r-1,"
        " message no: *** of ***, ***  [31m)"
    )


async def test_a_name_without_an_address_is_told() -> None:
    outcomes, last = await examine("https://nowhere.invalid")
    assert outcomes == {"name": "error"}
    assert "nowhere.invalid has no address" in last.message


async def test_a_port_where_nobody_listens_is_told() -> None:
    async with server(answering({})) as port:
        pass
    outcomes, last = await examine(f"http://127.0.0.1:{port}")
    assert outcomes == {"name": "ok", "connection": "error"}
    assert "ConnectionRefusedError" in last.message
    assert "firewalls" in last.fix


async def test_a_server_that_accepts_and_says_nothing_is_told() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async with server(say_nothing) as port:
        outcomes, last = await examine(f"https://127.0.0.1:{port}", HurriedClock(1))
    assert outcomes == {"name": "ok", "connection": "error"}
    assert "TimeoutError" in last.message


async def test_a_certificate_of_a_private_ca_needs_the_ca_file(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    async with server(answering({"statusCode": 500}), tls) as port:
        outcomes, last = await examine(f"https://127.0.0.1:{port}")
        assert outcomes == {"name": "ok", "connection": "error"}
        assert "not trusted" in last.message
        assert "ORDERS_UPSTREAM__CA_FILE" in last.fix
        outcomes, last = await examine(f"https://127.0.0.1:{port}", ca_file=ca_file)
    assert outcomes["connection"] == "ok"
    assert last.step == "credential"


async def test_a_port_that_speaks_no_tls_is_told() -> None:
    async with server(answering({})) as port:
        outcomes, last = await examine(f"https://127.0.0.1:{port}")
    assert outcomes == {"name": "ok", "connection": "error"}
    assert "does not speak TLS" in last.message


async def test_behind_a_proxy_it_is_the_proxy_that_is_connected_to() -> None:
    async with sandbox() as upstream:
        settings = settings_of("http://127.0.0.1:1", proxy=upstream.base_url)
        found = [finding async for finding in Diagnostics(settings, CLOCK).run()]
    assert "(the proxy)" in found[1].message


@pytest.mark.parametrize(
    ("auth", "hours", "outcome"),
    [("token", 0, "ok"), ("token", 2, "warning"), ("signature", 2, "error")],
)
async def test_a_clock_that_is_off_matters_where_calls_are_signed(
    auth: str, hours: int, outcome: str
) -> None:
    date = format_datetime(CLOCK.now() - timedelta(hours=hours), usegmt=True)
    async with server(answering({"statusCode": 500}, f"Date: {date}")) as port:
        outcomes, _ = await examine(f"http://127.0.0.1:{port}", auth=auth)
    assert outcomes["clock"] == outcome
    assert ("credential" in outcomes) == (outcome != "error")


async def test_a_date_without_a_zone_is_not_compared() -> None:
    date = "Date: Sun, 09 Oct 2022 06:14:00 -0000"
    async with server(answering({"statusCode": 500}, date)) as port:
        outcomes, _ = await examine(f"http://127.0.0.1:{port}")
    assert outcomes["clock"] == "ok"


def test_every_upstream_error_has_a_mend() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    top = {kind for kind in kinds if errors.UpstreamError in kind.__bases__}
    assert top == set(MENDS)
