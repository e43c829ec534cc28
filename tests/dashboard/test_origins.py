"""The page behind a path prefix, and on an origin of its own with an API key."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Route, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app.dashboard.router import STATIC
from tests.dashboard.browser_session import (
    KEY,
    BrowserSession,
    DashboardPage,
    Deployment,
    deployment_with_api_key,
    sandbox_deployment,
)
from tests.support.browser import serving

pytestmark = pytest.mark.without_coverage


async def test_the_page_works_behind_a_path_prefix_and_loads_nothing_from_elsewhere(
    dashboard: DashboardPage,
) -> None:
    async with sandbox_deployment(prefix="/shop/orders") as deployment:
        await dashboard.open(deployment)
        await expect(dashboard.state).to_contain_text("Live")
        assert all(
            url.startswith((f"{deployment.origin}/", "data:")) for url in dashboard.requested_urls
        )
        await dashboard.stop_polling()


def copied_dashboard() -> Starlette:
    """The static files on a separate web server."""
    return Starlette(routes=[Mount("/", StaticFiles(directory=STATIC, html=True))])


async def reject(route: Route) -> None:
    """Answer as the API does to an invalid key."""
    origin = route.request.headers["origin"]
    await route.fulfill(
        status=401,
        json={"code": "unauthenticated", "title": "Authentication required", "status": 401},
        headers={"access-control-allow-origin": origin},
    )


async def test_a_copy_on_another_origin_works_if_cors_allows_it(
    failing_dashboard: DashboardPage, tmp_path: Path
) -> None:
    page = failing_dashboard.page
    async with (
        serving(copied_dashboard()) as copy,
        deployment_with_api_key(
            ORDERS_CORS__ORIGINS=json.dumps([copy]), ORDERS_CORS__API_KEYS="true"
        ) as deployment,
    ):
        await page.goto(f"{copy}/?status=completed")
        await page.get_by_label("API URL").fill(deployment.origin)
        await page.get_by_label("API key").fill("obff_not-the-key-0123456789")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Invalid or expired API key.")).to_be_visible()

        await page.get_by_label("API key").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(page.locator("#caller")).to_have_text("ada")
        await expect(failing_dashboard.state).to_contain_text("Live")
        await expect(page.get_by_text("Sandbox: these orders are invented.")).to_be_visible()

        async with page.expect_download() as downloaded:
            await page.get_by_role("button", name="Download CSV").click()
        file = await downloaded.value
        assert file.suggested_filename.startswith("orders-20")
        await file.save_as(tmp_path / "orders.csv")
        assert (tmp_path / "orders.csv").read_bytes().startswith(b"\xef\xbb\xbforder_no,")

        assert KEY not in page.url
        stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert await page.evaluate(stored) == '[{},{},""]'
        # A key that is no longer accepted leads back to the form.
        await page.route("**/v1/orders*", reject)
        await page.get_by_label("Completed").uncheck()
        await expect(page.get_by_text("Invalid or expired API key.")).to_be_visible()
        await page.unroute_all()

        await page.reload()
        await expect(page.get_by_label("API key")).to_have_value("")
        await failing_dashboard.stop_polling()


async def test_a_copy_on_another_origin_reports_that_cors_denies_it(
    session: BrowserSession,
) -> None:
    dashboard = await session.new_page()
    page = dashboard.page
    async with (
        serving(copied_dashboard()) as copy,
        deployment_with_api_key() as deployment,
    ):
        await page.goto(copy)
        await page.get_by_label("API URL").fill(deployment.origin)
        await page.get_by_label("API key").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(page.locator("#login-reason")).to_contain_text("does not allow this page")
    assert any("blocked by CORS policy" in error for error in dashboard.errors)
    await session.close_pages()


async def test_the_start_page_reports_the_upstream_state_and_links_to_the_dashboard(
    own_deployment: Deployment, dashboard: DashboardPage
) -> None:
    page = dashboard.page
    await page.goto(own_deployment.origin)
    await expect(page.get_by_role("heading", name="No upstream request yet")).to_be_visible()
    await page.get_by_role("link", name="dashboard").click()
    await expect(dashboard.count).to_contain_text("orders")
    await page.go_back()
    await page.reload()
    await expect(page.get_by_role("heading", name="Upstream healthy")).to_be_visible()
