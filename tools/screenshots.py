"""Takes the screenshots in the docs with Chromium: `make screenshots`.

To add one, write a function that prepares the page and returns the element to show, and add it to
`SCREENSHOTS` under the name of its file. The clock is fixed and the sandbox always has the same
orders, so a screenshot changes only if the page does.
"""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import Locator, Page, ViewportSize, async_playwright

from app.clock import SystemClock
from app.main import create_app
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.server.server import open_server
from app.settings import load_for_sandbox

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
SIZE = ViewportSize(width=1000, height=900)
DASHBOARD_SIZE = ViewportSize(width=1280, height=1000)
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NO_DOTENV = Path("/nonexistent/.env")

REPLACEMENTS = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "934108e5-9fbf-4d24-8da1-c330328abd6c",
    r"127\.0\.0\.1:\d+": "127.0.0.1:8000",
}
"""Patterns of texts that differ in each run, and the text shown instead."""


async def swagger_ui(page: Page) -> Locator:
    """Show Swagger UI with the response to a request for one order."""
    newest = await (await page.request.get("/v1/orders?limit=1")).json()
    await page.goto("/docs")
    operation = page.locator("#operations-orders-getOrder")
    await operation.locator(".opblock-summary-control").click()
    number = operation.locator("tr[data-param-name=order_no] input")
    await number.fill(newest["data"][0]["order_no"])
    async with page.expect_response("**/v1/orders/*"):
        await operation.locator("button.execute").click()
    await operation.locator(".live-responses-table .highlight-code code").first.wait_for()
    # Headers and duration, below the body, differ in each run.
    await operation.locator(".live-responses-table").evaluate(_REMOVE_BELOW, ".highlight-code")
    return operation


async def dashboard(page: Page) -> Locator:
    """Show the dashboard, from its top to the first orders."""
    # The page shows the age of the list in seconds.
    await page.clock.set_fixed_time(NOON)
    await page.set_viewport_size(DASHBOARD_SIZE)
    await page.goto("/dashboard?period=this_month")
    await page.locator("#chart .column").first.wait_for()
    await page.locator("#table tbody tr:not(.skeleton-row)").first.wait_for()
    await page.locator("#strip[data-level=ok]").wait_for()
    await page.evaluate(_LIMIT_HEIGHT, DASHBOARD_SIZE["height"])
    return page.locator("body")


async def dashboard_dark(page: Page) -> Locator:
    """Show the dashboard in dark mode and in Chinese."""
    await page.emulate_media(color_scheme="dark")
    await page.add_init_script(
        "Object.defineProperty(navigator, 'language', {get: () => 'zh-Hans'})"
    )
    return await dashboard(page)


SCREENSHOTS: dict[str, Callable[[Page], Awaitable[Locator]]] = {
    "swagger-ui": swagger_ui,
    "dashboard": dashboard,
    "dashboard-dark": dashboard_dark,
}


class _FixedClock(SystemClock):
    """A clock with a fixed time of day. Timers and sleeps are real."""

    def now(self) -> datetime:
        return NOON


@asynccontextmanager
async def proxy() -> AsyncIterator[str]:
    """Run the proxy with a sandbox, like `serve --sandbox`; yield its origin."""
    clock = _FixedClock()
    async with SandboxServer(Options(), clock=clock) as upstream:
        settings = load_for_sandbox(
            {
                "base_url": upstream.base_url,
                "access_key_id": upstream.options.access_key_id,
                "access_key_secret": upstream.options.access_key_secret,
            },
            {},
            dotenv=NO_DOTENV,
        )
        app = create_app(settings, clock=clock)
        listener = socket.create_server(("127.0.0.1", 0))
        host, port = listener.getsockname()
        server = open_server(app, host=host, port=port, shutdown=app.shutdown, limits=app.limits)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            await serving


async def take(names: Sequence[str]) -> None:
    """Take these screenshots, each in a page of its own."""
    async with proxy() as origin, async_playwright() as playwright:
        with tempfile.TemporaryDirectory() as profile:
            browser = await playwright.chromium.launch_persistent_context(
                profile,
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
                headless=True,
                base_url=origin,
                viewport=SIZE,
                locale="en-GB",
                timezone_id="UTC",
            )
            await browser.clock.install(time=NOON)
            for name in names:
                page = await browser.new_page()
                element = await SCREENSHOTS[name](page)
                await page.evaluate(_REPLACE_TEXTS, list(REPLACEMENTS.items()))
                path = FOLDER / f"{name}.png"
                await element.screenshot(path=path, animations="disabled", caret="hide")
                print(f"{path.name}: {path.stat().st_size // 1024} KiB")
                await page.close()
            await browser.close()


_REMOVE_BELOW = """
(table, selector) => {
  const remove = element => {
    while (element.nextElementSibling) element.nextElementSibling.remove();
  };
  for (let at = table.querySelector(selector); !at.matches(".opblock"); at = at.parentElement) {
    if (!at.matches("td, th")) remove(at);
  }
}
"""

_LIMIT_HEIGHT = "height => document.body.style.cssText = `height: ${height}px; overflow: hidden`"

_REPLACE_TEXTS = """
pairs => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const [pattern, replacement] of pairs) {
      const node = texts.currentNode;
      node.data = node.data.replace(new RegExp(pattern, "g"), replacement);
    }
  }
}
"""

if __name__ == "__main__":
    asyncio.run(take(sys.argv[1:] or list(SCREENSHOTS)))
