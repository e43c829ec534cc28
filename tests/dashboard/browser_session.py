"""A browser with the dashboard open, and the proxy and sandbox that serve it."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect

from app.clock import SystemClock
from app.edge.api_keys import key_digest
from app.main import create_app
from app.sandbox.app import Sandbox
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import Settings, load, load_for_sandbox
from tests.support.browser import MonitoredPage, serving, strip_prefix

KEY = "obff_a-key-for-the-dashboard-0123456789"
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
NO_DOTENV = Path("/nowhere/.env")
DEFAULT_TIMEOUT_MS = 15_000

SHORT_TTL = {"ttl": 1, "stale_while_revalidate": 0, "no_cache_min_age": 0}
"""Cache settings with which a test sees answers expire within seconds."""


@dataclass
class Deployment:
    """A running proxy and the sandbox that is its upstream."""

    origin: str
    sandbox: Sandbox


class DashboardPage(MonitoredPage):
    """Page object of the dashboard."""

    @property
    def rows(self) -> Locator:
        """The table rows of the orders."""
        return self.page.locator("#table tbody tr:not(.skeleton-row)")

    @property
    def count(self) -> Locator:
        """The number of matching orders."""
        return self.page.locator("#count")

    @property
    def state(self) -> Locator:
        """The status strip: whether the orders are current."""
        return self.page.locator("#strip")

    async def open(self, deployment: Deployment, search: str = "") -> None:
        """Open the dashboard and wait for its orders."""
        await self.page.goto(f"{deployment.origin}/dashboard{search}")
        await expect(self.count).to_contain_text("order")

    async def open_view(self, deployment: Deployment, search: str) -> None:
        """Open the dashboard, in any language, and wait for its orders and its chart."""
        await self.page.goto(f"{deployment.origin}/dashboard{search}")
        await expect(self.rows.first).to_be_visible()
        await expect(self.page.locator("#chart .column").first).to_be_visible()

    async def stop_polling(self) -> None:
        """Leave the page, so that it sends no request while its deployment shuts down."""
        await self.page.goto("about:blank")

    async def api_orders(self) -> list[dict[str, str]]:
        """All 137 orders of the API, in upstream order."""
        get_page = "n => fetch(`v1/orders?limit=50&page=${n}`).then(response => response.json())"
        pages = [await self.page.evaluate(get_page, number) for number in (1, 2, 3)]
        return [order for page in pages for order in page["data"]]

    async def api(self, path: str) -> Any:
        """The JSON body of a request to the API."""
        return await self.page.evaluate(
            "path => fetch(path).then(response => response.json())", path
        )

    async def module(self, name: str, expression: str, *arguments: Any) -> Any:
        """The value of `expression`, in which `m` is a module of the page and `args` is a list."""
        script = (
            "async ([name, args]) => { const m = await import(`./dashboard/${name}`); "
            f"return {expression.strip()}; }}"
        )
        return await self.page.evaluate(script, [name, list(arguments)])

    async def column(self, number: int) -> list[str]:
        """The texts of a column (from 1), from top to bottom."""
        return await self.rows.locator(f"td:nth-child({number})").all_inner_texts()

    async def accessibility_violations(self) -> list[str]:
        """The violations that axe finds, of any level."""
        if not AXE.exists() and os.environ.get("CI") != "true":
            pytest.skip("needs Node, and `npm ci --prefix tests/dashboard/node`")
        await self.page.evaluate(AXE.read_text("utf-8"))
        found: dict[str, Any] = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{rule['id']} ({rule['impact']}): {[node['html'] for node in rule['nodes']]}"
            for rule in found["violations"]
        ]


@dataclass
class BrowserSession:
    """One browser; each page has a context of its own, without shared cookies or cache."""

    browser: Browser
    pages: list[DashboardPage] = field(default_factory=list)

    async def new_page(
        self, *, expected_statuses: set[int] | None = None, **context_options: Any
    ) -> DashboardPage:
        """A page in a new context; error statuses other than the expected ones are recorded.

        503 is always expected: on a slow machine the list may still be loading after two seconds.
        """
        defaults: dict[str, Any] = {
            "locale": "en-GB",
            "timezone_id": "Asia/Shanghai",
            "accept_downloads": True,
        }
        context = await self.browser.new_context(**defaults | context_options)
        context.set_default_timeout(DEFAULT_TIMEOUT_MS)
        page = DashboardPage(await context.new_page(), {503, *(expected_statuses or ())})
        await page.start_recording()
        self.pages.append(page)
        return page

    async def close_pages(self) -> None:
        """Close the contexts of all pages."""
        for page in self.pages:
            await page.page.context.close()


@asynccontextmanager
async def sandbox_deployment(
    orders: int = 137, *, cache: Mapping[str, Any] = SHORT_TTL, prefix: str = "", **environ: str
) -> AsyncIterator[Deployment]:
    """`serve --sandbox` with these cache settings, behind a reverse proxy that strips `prefix`."""
    async with SandboxServer(Options(orders=orders), clock=SystemClock()) as upstream:
        settings = load_for_sandbox(
            _upstream_settings(upstream), environ, dotenv=NO_DOTENV, cache=dict(cache)
        )
        async with serving(strip_prefix(prefix, create_app(settings))) as origin:
            yield Deployment(origin + prefix, upstream.sandbox)


@asynccontextmanager
async def deployment_with_api_key(**environ: str) -> AsyncIterator[Deployment]:
    """`serve` with one API key and without a dashboard."""
    entry = {"name": "ada", "sha256": key_digest(KEY.encode()).hex(), "scopes": ["orders:read"]}
    async with SandboxServer(Options(orders=12), clock=SystemClock()) as upstream:
        settings: Settings = load(
            {"ORDERS_CALLERS__API_KEYS": json.dumps([entry]), **environ},
            dotenv=NO_DOTENV,
            upstream=_upstream_settings(upstream),
        )
        async with serving(create_app(settings)) as origin:
            yield Deployment(origin, upstream.sandbox)


def _upstream_settings(upstream: SandboxServer) -> dict[str, str]:
    return {
        "base_url": upstream.base_url,
        "access_key_id": upstream.options.access_key_id,
        "access_key_secret": upstream.options.access_key_secret,
    }
