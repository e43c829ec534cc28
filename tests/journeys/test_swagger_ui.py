"""Swagger UI in a browser: authorize, and request the order list."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from app.clock import SystemClock
from app.edge.api_keys import key_digest
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


class SwaggerPage(MonitoredPage):
    """Page object of Swagger UI."""

    async def authorize(self, key: str) -> None:
        """Enter an API key with the Authorize button."""
        await self.page.locator(".auth-wrapper button.authorize").click()
        form = self.page.locator(".auth-container", has_text="X-API-Key")
        await form.locator("input").fill(key)
        await form.locator("button.authorize").click()
        await self.page.locator(".auth-container button.btn-done").first.click()

    async def execute(self) -> tuple[int, str, str]:
        """Execute the open operation; return the status, URL and body that the page shows."""
        async with self.page.expect_response("**/v1/orders*") as response:
            await self.page.locator("button.execute").click()
        status = (await response.value).status
        table = self.page.locator(".live-responses-table")
        await expect(table.locator(".response-col_status").nth(1)).to_contain_text(str(status))
        url = await self.page.locator(".request-url pre").inner_text()
        body = await table.locator(".highlight-code code").first.inner_text()
        return status, url, body


@asynccontextmanager
async def proxy(prefix: str) -> AsyncIterator[str]:
    """Run the proxy behind a reverse proxy that strips `prefix`; yield its base URL."""
    async with SandboxServer(Options(orders=3), clock=SystemClock()) as upstream:
        entry = {
            "name": "reader",
            "sha256": key_digest(KEY.encode()).hex(),
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
async def browser(profile: Path) -> AsyncIterator[SwaggerPage]:
    """Start a browser with a new profile."""
    assert shutil.which(CHROMIUM), SKIP_REASON
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS, headless=True
        )
        context.set_default_timeout(15_000)
        swagger = SwaggerPage(context.pages[0], expected_statuses={401})
        await swagger.start_recording()
        yield swagger
        await context.close()


@pytest.mark.parametrize("prefix", ["", "/shop/orders"])
async def test_the_order_list_can_be_tried_out_in_swagger_ui(prefix: str, tmp_path: Path) -> None:
    async with proxy(prefix) as base_url, browser(tmp_path) as swagger:
        page = swagger.page
        await page.goto(f"{base_url}/docs")
        await page.locator("#operations-orders-listOrders .opblock-summary-control").click()

        status, _, body = await swagger.execute()
        assert status == 401
        assert '"unauthenticated"' in body

        await swagger.authorize(KEY)
        status, url, body = await swagger.execute()
        assert status == 200
        assert url.startswith(f"{base_url}/v1/orders?")
        assert '"order_no"' in body
        assert json.loads(body)["meta"]["total"] == 3

        await page.goto(f"{base_url}/docs")
        await expect(page.get_by_role("status")).to_have_text("Sandbox: these orders are invented.")
        await page.locator("#operations-orders-listOrders .opblock-summary-control").click()
        status, _, _ = await swagger.execute()
        assert status == 401, "the key is kept in memory only"

        assert swagger.errors == []


async def test_the_html_pages_load_nothing_from_other_hosts(tmp_path: Path) -> None:
    async with proxy("/shop") as base_url, browser(tmp_path) as swagger:
        for path in ("/", "/problems", "/problems/upstream_timeout", "/docs"):
            await swagger.page.goto(f"{base_url}{path}", wait_until="networkidle")

        assert all(url.startswith((f"{base_url}/", "data:")) for url in swagger.requested_urls)
        assert swagger.errors == []
