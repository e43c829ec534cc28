"""Fixtures of the tests in a browser."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import async_playwright, expect

from tests.dashboard.browser_session import (
    DEFAULT_TIMEOUT_MS,
    BrowserSession,
    DashboardPage,
    Deployment,
    sandbox_deployment,
)
from tests.support.browser import CHROMIUM, CHROMIUM_ARGUMENTS, SKIP_REASON, should_skip


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The browser is shared by a module, so the event loop is too."""
    return "asyncio"


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[BrowserSession]:
    if should_skip():
        pytest.skip(SKIP_REASON)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        expect.set_options(timeout=DEFAULT_TIMEOUT_MS)
        yield BrowserSession(browser)
        await browser.close()


@pytest.fixture
async def dashboard(session: BrowserSession) -> AsyncIterator[DashboardPage]:
    dashboard = await session.new_page()
    yield dashboard
    await session.close_pages()
    assert dashboard.errors == []


@pytest.fixture
async def failing_dashboard(session: BrowserSession) -> AsyncIterator[DashboardPage]:
    """A page that may receive error responses."""
    dashboard = await session.new_page(expected_statuses={401, 404, 422, 429, 502, 503, 504})
    yield dashboard
    await session.close_pages()
    assert dashboard.errors == []


@pytest.fixture(scope="module")
async def deployment() -> AsyncIterator[Deployment]:
    """Shared by the tests that do not change it."""
    async with sandbox_deployment(cache={"ttl": 60}) as deployment:
        yield deployment


@pytest.fixture
async def own_deployment() -> AsyncIterator[Deployment]:
    """For one test that injects faults or adds orders."""
    async with sandbox_deployment() as deployment:
        yield deployment
