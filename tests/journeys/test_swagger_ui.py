"""A person opens the docs in a browser, says who they are and asks for an order."""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import ConsoleMessage, Page, Route, async_playwright, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from app.clock import SystemClock
from app.edge.callers import digest_of
from app.edge.leaving import Leaving
from app.edge.server import open_server
from app.main import create_app
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import load

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
KEY = "obff_a-key-for-the-docs-0123456789"

if not Path(CHROMIUM).exists() and os.environ.get("CI") != "true":
    pytest.skip(
        f"there is no {CHROMIUM}: apt-get install chromium",
        allow_module_level=True,
    )


@dataclass
class Visit:
    """One browser on one page, and all that it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def watch(self) -> None:
        """Note complaints, and let nothing leave this machine."""
        self.page.on("pageerror", lambda error: self._complain(str(error)))
        self.page.on("console", self._heard)
        await self.page.expose_function("complain", self._complain)
        await self.page.add_init_script(
            "addEventListener('securitypolicyviolation', e => "
            "complain(`${e.violatedDirective}: ${e.blockedURI}`))"
        )
        await self.page.route("**/*", self._let_through)

    def _complain(self, text: str) -> None:
        self.complaints.append(text)

    def _heard(self, said: ConsoleMessage) -> None:
        # Chromium writes a line for each answer that is no success; the 401 is what we want.
        wanted = "the server responded with a status of 401" in said.text
        if said.type in {"error", "warning"} and not wanted:
            self._complain(said.text)

    async def _let_through(self, route: Route) -> None:
        address = route.request.url
        self.asked.append(address)
        if urlsplit(address).hostname == "127.0.0.1":
            await route.continue_()
        else:
            self._complain(f"wanted {address}")
            await route.abort()

    async def authorize(self, key: str) -> None:
        """Say who asks, as the Authorize button lets a person do it."""
        await self.page.locator(".auth-wrapper button.authorize").click()
        form = self.page.locator(".auth-container", has_text="X-API-Key")
        await form.locator("input").fill(key)
        await form.locator("button.authorize").click()
        await self.page.locator(".auth-container button.btn-done").first.click()

    async def execute(self) -> tuple[int, str, str]:
        """Run the open operation: the status, the address and the body that the page shows."""
        async with self.page.expect_response("**/v1/orders*") as answered:
            await self.page.locator("button.execute").click()
        status = (await answered.value).status
        shown = self.page.locator(".live-responses-table")
        await expect(shown.locator(".response-col_status").nth(1)).to_contain_text(str(status))
        address = await self.page.locator(".request-url pre").inner_text()
        body = await shown.locator(".highlight-code code").first.inner_text()
        return status, address, body


@asynccontextmanager
async def proxy(prefix: str) -> AsyncIterator[str]:
    """The proxy in front of a sandbox, as a person behind `prefix` sees it: its address."""
    async with SandboxServer(Options(orders=3), clock=SystemClock()) as upstream:
        entry = {
            "name": "reader",
            "sha256": digest_of(KEY.encode()).hex(),
            "scopes": ["orders:read"],
        }
        settings = load(
            {
                "ORDERS_UPSTREAM__BASE_URL": upstream.base_url,
                "ORDERS_UPSTREAM__ACCESS_KEY_ID": upstream.options.access_key_id,
                "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": upstream.options.access_key_secret,
                "ORDERS_CALLERS__API_KEYS": json.dumps([entry]),
            },
            dotenv=Path("/nowhere"),
        )
        async with _served(_under(prefix, create_app(settings))) as origin:
            yield origin + prefix


def _under(prefix: str, app: ASGIApp) -> ASGIApp:
    """`app` behind a reverse proxy that cuts `prefix` off and tells nobody."""

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(prefix), scope["path"]
            scope = dict(scope, path=scope["path"].removeprefix(prefix))
        await app(scope, receive, send)

    return behind


@asynccontextmanager
async def _served(app: ASGIApp) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    clock = SystemClock()
    leaving = Leaving(clock, delay=0, drain=1)
    server = open_server(app, host=host, port=port, clock=clock, leaving=leaving)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Visit]:
    """A fresh browser."""
    assert shutil.which(CHROMIUM), f"there is no {CHROMIUM}: apt-get install chromium"
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=ARGUMENTS, headless=True
        )
        context.set_default_timeout(15_000)
        visit = Visit(context.pages[0])
        await visit.watch()
        yield visit
        await context.close()


@pytest.mark.parametrize("prefix", ["", "/shop/orders"])
async def test_a_person_can_try_out_the_list_in_the_docs(prefix: str, tmp_path: Path) -> None:
    async with proxy(prefix) as address, browser(tmp_path) as visit:
        page = visit.page
        await page.goto(f"{address}/docs")
        await page.locator("#operations-orders-listOrders .opblock-summary-control").click()

        status, _, body = await visit.execute()
        assert status == 401
        assert '"unauthenticated"' in body

        await visit.authorize(KEY)
        status, asked, body = await visit.execute()
        assert status == 200
        assert asked.startswith(f"{address}/v1/orders?")
        assert '"order_no"' in body
        assert json.loads(body)["meta"]["total"] == 3

        await page.goto(f"{address}/docs")
        await expect(page.get_by_role("status")).to_have_text("Sandbox: these orders are invented.")
        await page.locator("#operations-orders-listOrders .opblock-summary-control").click()
        status, _, _ = await visit.execute()
        assert status == 401, "a key is forgotten with the page"

        assert visit.complaints == []


async def test_the_pages_need_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with proxy("/shop") as address, browser(tmp_path) as visit:
        for path in ("/", "/problems", "/problems/upstream_timeout", "/docs"):
            await visit.page.goto(f"{address}{path}", wait_until="networkidle")

        assert all(asked.startswith((f"{address}/", "data:")) for asked in visit.asked)
        assert visit.complaints == []
