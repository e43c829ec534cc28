"""Somebody in front of the dashboard, and the sandbox behind it."""

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
from app.edge.auth import digest_of
from app.main import create_app
from app.sandbox.app import Sandbox
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.settings import Settings, load, load_for_sandbox
from tests.support.browser import Visit, served, under

KEY = "obff_a-key-for-the-dashboard-0123456789"
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
NOWHERE = Path("/nowhere/.env")

SHORT = {"ttl": 1, "grace": 0, "min_age": 0}
"""Seconds of the cache, so that a person who waits sees what time brings."""


@dataclass
class Shop:
    """A proxy and the sandbox that it asks."""

    origin: str
    sandbox: Sandbox


class Looker(Visit):
    """Somebody who looks at the dashboard."""

    @property
    def rows(self) -> Locator:
        """The orders that are shown."""
        return self.page.locator("#table tbody tr:not(.skeleton)")

    @property
    def count(self) -> Locator:
        """How many orders match."""
        return self.page.locator("#count")

    @property
    def age(self) -> Locator:
        """How old what the table shows is."""
        return self.page.locator("#orders-provenance p")

    async def open(self, shop: Shop, search: str = "") -> None:
        """Open the dashboard, and wait for its orders."""
        await self.page.goto(f"{shop.origin}/dashboard{search}")
        await expect(self.count).to_contain_text("order")

    async def rest(self) -> None:
        """Look at nothing any more, before the shop is closed."""
        await self.page.goto("about:blank")

    async def column(self, number: int) -> list[str]:
        """What stands in a column, from the top."""
        return await self.rows.locator(f"td:nth-child({number})").all_inner_texts()

    async def faults(self) -> list[str]:
        """What axe finds that keeps people out; minor things are for reviewers."""
        if not AXE.exists() and os.environ.get("CI") != "true":
            pytest.skip("needs Node, and `npm ci --prefix tests/dashboard/node`")
        await self.page.evaluate(AXE.read_text("utf-8"))
        found: dict[str, Any] = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{fault['id']} ({fault['impact']}): {[node['html'] for node in fault['nodes']]}"
            for fault in found["violations"]
            if fault["impact"] in {"serious", "critical"}
        ]


@dataclass
class Street:
    """Where visitors come from: one browser, a fresh window for each of them."""

    browser: Browser
    lookers: list[Looker] = field(default_factory=list)

    async def looker(self, *, wanted: set[int] | None = None, **window: Any) -> Looker:
        """Somebody new, who knows nothing of the others."""
        habits: dict[str, Any] = {
            "locale": "en-GB",
            "timezone_id": "Asia/Shanghai",
            "accept_downloads": True,
        }
        context = await self.browser.new_context(**habits | window)
        context.set_default_timeout(15_000)
        looker = Looker(await context.new_page(), wanted or set())
        await looker.watch()
        self.lookers.append(looker)
        return looker

    async def leave(self) -> None:
        """Everybody goes home."""
        for looker in self.lookers:
            await looker.page.context.close()


@asynccontextmanager
async def open_shop(
    orders: int = 137, *, cache: Mapping[str, Any] = SHORT, prefix: str = "", **environ: str
) -> AsyncIterator[Shop]:
    """`serve --sandbox` as a person behind `prefix` sees it, with the times of the cache."""
    async with SandboxServer(Options(orders=orders), clock=SystemClock()) as upstream:
        made = load_for_sandbox(_at(upstream), environ, dotenv=NOWHERE, cache=dict(cache))
        async with served(under(prefix, create_app(made.settings))) as origin:
            yield Shop(origin + prefix, upstream.sandbox)


@asynccontextmanager
async def open_shop_with_keys(**environ: str) -> AsyncIterator[Shop]:
    """`serve`: a deployment that knows one key, and has no dashboard of its own."""
    entry = {"name": "ada", "sha256": digest_of(KEY.encode()).hex(), "scopes": ["orders:read"]}
    async with SandboxServer(Options(orders=12), clock=SystemClock()) as upstream:
        settings: Settings = load(
            {"ORDERS_CALLERS__API_KEYS": json.dumps([entry]), **environ},
            dotenv=NOWHERE,
            upstream=_at(upstream),
        )
        async with served(create_app(settings)) as origin:
            yield Shop(origin, upstream.sandbox)


def _at(upstream: SandboxServer) -> dict[str, str]:
    return {
        "base_url": upstream.base_url,
        "access_key_id": upstream.options.access_key_id,
        "access_key_secret": upstream.options.access_key_secret,
    }
