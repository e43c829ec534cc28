"""A person opens the docs in a browser, says who they are and asks for an order."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from app.clock import SystemClock
from app.edge.auth import digest_of
from app.main import create_app
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import load
from tests.support.browser import (
    CHROMIUM,
    CHROMIUM_ARGUMENTS,
    SKIP_REASON,
    MonitoredPage,
    serving,
    should_skip,
    strip_prefix,
)

KEY = "obff_a-key-for-the-docs-0123456789"

if should_skip():
    pytest.skip(SKIP_REASON, allow_module_level=True)


class Docs(MonitoredPage):
    """Somebody in front of Swagger UI."""

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
        async with serving(strip_prefix(prefix, create_app(settings))) as origin:
            yield origin + prefix


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Docs]:
    """A fresh browser."""
    assert shutil.which(CHROMIUM), SKIP_REASON
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS, headless=True
        )
        context.set_default_timeout(15_000)
        visit = Docs(context.pages[0], expected_statuses={401})
        await visit.start_recording()
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

        assert visit.errors == []


async def test_the_pages_need_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with proxy("/shop") as address, browser(tmp_path) as visit:
        for path in ("/", "/problems", "/problems/upstream_timeout", "/docs"):
            await visit.page.goto(f"{address}{path}", wait_until="networkidle")

        assert all(asked.startswith((f"{address}/", "data:")) for asked in visit.requested_urls)
        assert visit.errors == []
