"""Takes the pictures that the docs show: `make pictures`, with Debian's Chromium.

To add one, write a function that brings the page to what is worth showing and gives that part of
it back, and name it in `PICTURES`: its name is the file's. Time stands still and the sandbox's
orders are always the same, so that a picture changes only when what it shows does.
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

FOLDER = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
SIZE = ViewportSize(width=1000, height=900)
DASHBOARD_SIZE = ViewportSize(width=1280, height=1400)
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOWHERE = Path("/nowhere/.env")

ALWAYS_NEW = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "934108e5-9fbf-4d24-8da1-c330328abd6c",
    r"127\.0\.0\.1:\d+": "127.0.0.1:8000",
}
"""What differs each time, and what a picture shows in its place."""


async def swagger_ui(page: Page) -> Locator:
    """Swagger UI with an order in it."""
    newest = await (await page.request.get("/v1/orders?limit=1")).json()
    await page.goto("/docs")
    operation = page.locator("#operations-orders-getOrder")
    await operation.locator(".opblock-summary-control").click()
    number = operation.locator("tr[data-param-name=order_no] input")
    await number.fill(newest["data"][0]["order_no"])
    async with page.expect_response("**/v1/orders/*"):
        await operation.locator("button.execute").click()
    await operation.locator(".live-responses-table .highlight-code code").first.wait_for()
    # What stands below the body (headers, how long it took) differs each time.
    await operation.locator(".live-responses-table").evaluate(_CUT_BELOW, ".highlight-code")
    return operation


async def dashboard(page: Page) -> Locator:
    """The dashboard, from its top to the first orders."""
    # The age of an answer is told to the second.
    await page.clock.set_fixed_time(NOON)
    await page.set_viewport_size(DASHBOARD_SIZE)
    await page.goto("/dashboard?limit=10")
    await page.locator("#summary-cards svg[role=img]").nth(1).wait_for()
    await page.locator("#table tbody tr:not(.skeleton-row)").first.wait_for()
    await page.locator("#live[data-status=live]").wait_for()
    await page.evaluate(_CUT_AT, DASHBOARD_SIZE["height"])
    return page.locator("body")


async def dashboard_dark(page: Page) -> Locator:
    """The same, for who prefers the dark, in Chinese."""
    await page.emulate_media(color_scheme="dark")
    await page.add_init_script(
        "Object.defineProperty(navigator, 'language', {get: () => 'zh-Hans'})"
    )
    return await dashboard(page)


PICTURES: dict[str, Callable[[Page], Awaitable[Locator]]] = {
    "swagger-ui": swagger_ui,
    "dashboard": dashboard,
    "dashboard-dark": dashboard_dark,
}


class _StillClock(SystemClock):
    """Waits are real; it is always noon."""

    def now(self) -> datetime:
        return NOON


@asynccontextmanager
async def proxy() -> AsyncIterator[str]:
    """The proxy in front of a sandbox, as `serve --sandbox` puts it together: its origin."""
    clock = _StillClock()
    async with SandboxServer(Options(), clock=clock) as upstream:
        made = load_for_sandbox(
            {
                "base_url": upstream.base_url,
                "access_key_id": upstream.options.access_key_id,
                "access_key_secret": upstream.options.access_key_secret,
            },
            {},
            dotenv=NOWHERE,
        )
        app = create_app(made.settings, clock=clock)
        listener = socket.create_server(("127.0.0.1", 0))
        host, port = listener.getsockname()
        server = open_server(app, host=host, port=port, clock=clock, leaving=app.leaving)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            await serving


async def take(names: Sequence[str]) -> None:
    """Take these pictures, each in a window of its own."""
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
                shown = await PICTURES[name](page)
                await page.evaluate(_SAY_INSTEAD, list(ALWAYS_NEW.items()))
                path = FOLDER / f"{name}.png"
                await shown.screenshot(path=path, animations="disabled", caret="hide")
                print(f"{path.name}: {path.stat().st_size // 1024} KiB")
                await page.close()
            await browser.close()


_CUT_BELOW = """
(table, selector) => {
  const remove = element => {
    while (element.nextElementSibling) element.nextElementSibling.remove();
  };
  for (let at = table.querySelector(selector); !at.matches(".opblock"); at = at.parentElement) {
    if (!at.matches("td, th")) remove(at);
  }
}
"""

_CUT_AT = "height => document.body.style.cssText = `height: ${height}px; overflow: hidden`"

_SAY_INSTEAD = """
pairs => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const [pattern, instead] of pairs) {
      texts.currentNode.data = texts.currentNode.data.replace(new RegExp(pattern, "g"), instead);
    }
  }
}
"""

if __name__ == "__main__":
    asyncio.run(take(sys.argv[1:] or list(PICTURES)))
