"""The dashboard in Chromium: filters, totals, live updates, downloads, problems, accessibility."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app.dashboard.router import STATIC
from tests.dashboard.browser_session import (
    DEFAULT_TIMEOUT_MS,
    KEY,
    BrowserSession,
    DashboardPage,
    Deployment,
    deployment_with_api_key,
    sandbox_deployment,
)
from tests.support.browser import CHROMIUM, CHROMIUM_ARGUMENTS, SKIP_REASON, serving, should_skip

if should_skip():
    pytest.skip(SKIP_REASON, allow_module_level=True)

TOTAL = 137

SET_HIDDEN = """
hidden => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
"""A headless page is always visible, so `document.hidden` is replaced."""

DRAW_OUTLIERS = """
async () => {
  const { stackedChart } = await import("./dashboard/charts.js");
  const data = [["1970-01", "paid", 100], ["2026-10", "paid", 100], ["2026-10", "expired", -60]];
  const segments = data.map(([month, status, size]) => ({ month, status, size, label: `${size}` }));
  document.getElementById("main").append(stackedChart("Outliers", segments, ["paid", "expired"]));
}
"""

SHOW_UNKNOWN_STATUS = """
async () => {
  const { showSummary } = await import("./dashboard/summary.js");
  const { DEFAULT_VIEW } = await import("./dashboard/url_state.js");
  const totals = { status: "refunded", count: 1, actual_amount: "5" };
  const by_month = [{ month: "2026-10", ...totals }];
  const by = { by_status: [totals], by_type: [], by_source: [], by_month };
  const container = document.getElementById("main").appendChild(document.createElement("div"));
  const summary = { count: 1, actual_amount: "5", amounts_unknown: 0, ...by };
  showSummary(container, DEFAULT_VIEW, summary, undefined);
}
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The browser is shared by the module, so the event loop is too."""
    return "asyncio"


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[BrowserSession]:
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
    dashboard = await session.new_page(expected_statuses={401, 404, 422, 502, 503, 504})
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


async def orders_of(page: Page) -> list[dict[str, str]]:
    """All orders of the API, in upstream order."""
    get_page = "n => fetch(`v1/orders?limit=50&page=${n}`).then(response => response.json())"
    pages = [await page.evaluate(get_page, number) for number in (1, 2, 3)]
    return [order for page in pages for order in page["data"]]


# Filters, pages and sort order


async def test_the_url_reflects_the_filters_and_restores_them(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")

    await page.get_by_label("Completed").check()
    await page.get_by_label("Search").fill("deploy")
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?status=completed&q=deploy")
    await expect(dashboard.count).not_to_have_text(f"{TOTAL} orders")
    found = await dashboard.count.inner_text()
    assert set(await dashboard.column(6)) == {"Completed"}
    assert set(await dashboard.column(3)) == {"Private Deployment"}

    await page.reload()
    await expect(dashboard.count).to_have_text(found)
    await expect(page.get_by_label("Completed")).to_be_checked()

    await page.go_back()
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")
    await expect(page.get_by_label("Completed")).not_to_be_checked()


async def test_date_filters_use_the_time_zone_of_the_viewer_and_include_both_days(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment, "?limit=50")
    created = [order["created_at"] for order in await orders_of(page)]
    # 2026-11-18 in Shanghai.
    on_the_day = [at for at in created if "2026-11-17T16:00" <= at < "2026-11-18T16:00"]
    await page.get_by_label("From").fill("2026-11-18")
    await page.get_by_label("To", exact=True).fill("2026-11-18")
    await expect(dashboard.count).to_have_text(f"{len(on_the_day)} orders")
    assert all(at.startswith("18 Nov 2026") for at in await dashboard.column(1))

    await page.get_by_role("button", name="Clear filters").click()
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")


async def test_pages_and_sort_orders_are_links_that_keep_the_focus(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await page.get_by_role("link", name="Next").click()
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?page=2")
    await expect(page.locator("caption").last).to_have_text("Orders 21 to 40 of 137")
    await expect(page.get_by_role("link", name="Next")).to_be_focused()

    await page.get_by_role("link", name="Last").click()
    await expect(dashboard.rows).to_have_count(TOTAL % 20)
    await expect(page.get_by_role("link", name="Next")).to_have_attribute("aria-disabled", "true")

    amount = page.locator("#table").get_by_role("columnheader", name="Amount")
    await amount.get_by_role("link").click()
    await expect(amount).to_have_attribute("aria-sort", "descending")
    await expect(amount.get_by_role("link")).to_be_focused()
    await expect(dashboard.rows).to_have_count(20)
    amounts = [Decimal(text.replace(",", "")) for text in await dashboard.column(9)]
    assert amounts == sorted(amounts, reverse=True)

    await page.get_by_label("Rows per page").select_option("50")
    await expect(dashboard.rows).to_have_count(50)
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?sort=-actual_amount&limit=50")


async def test_an_empty_result_offers_to_clear_the_filters(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    await dashboard.open(deployment, "?q=nothing-like-this")
    await expect(dashboard.page.get_by_text("No orders match these filters.")).to_be_visible()
    await dashboard.page.get_by_role("link", name="Clear filters").click()
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")


# Summary


async def test_totals_are_exact_and_charts_have_a_table(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    orders = await orders_of(page)
    total = sum((Decimal(order["actual_amount"]) for order in orders), Decimal(0))
    values = page.locator("#summary-cards .value")
    await expect(values.first).to_have_text(str(TOTAL))
    assert Decimal((await values.last.inner_text()).replace(",", "")) == total

    await expect(page.locator("#summary-cards svg[role=img]")).to_have_count(2)
    assert await page.locator("#summary-cards .column rect.completed").count() >= 2
    figure = page.locator("figure", has_text="Orders by month")
    await figure.get_by_text("Show as table").click()
    cells = await figure.locator("td").all_inner_texts()
    assert sum(int(cell) for cell in cells if cell.isdigit()) == TOTAL

    await page.locator("#summary-cards").get_by_role("link", name="Renewal").click()
    renewals = [order for order in orders if order["type"] == "renewal"]
    await expect(dashboard.count).to_have_text(f"{len(renewals)} orders")
    await expect(values.first).to_have_text(str(len(renewals)))


async def test_a_chart_bounds_the_months_and_ignores_negative_values(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    await dashboard.open(deployment)
    await dashboard.page.evaluate(DRAW_OUTLIERS)
    figure = dashboard.page.locator("figure", has_text="Outliers")
    await expect(figure.locator(".column")).to_have_count(120)
    await expect(figure).to_contain_text("See the table for earlier months.")
    await expect(figure.locator("tbody tr")).to_have_count(121)
    columns = figure.locator("rect.fill")
    await expect(columns).to_have_count(1)
    top = await figure.locator("rect.hit-area").first.get_attribute("y")
    assert float(await columns.get_attribute("y") or 0) >= float(top or 0)


async def test_an_unknown_status_is_drawn(dashboard: DashboardPage, deployment: Deployment) -> None:
    await dashboard.open(deployment)
    await dashboard.page.evaluate(SHOW_UNKNOWN_STATUS)
    await expect(dashboard.page.locator(".column rect.refunded")).to_have_count(2)


# Live updates and order details


async def test_a_new_order_appears_and_is_highlighted(
    own_deployment: Deployment, dashboard: DashboardPage
) -> None:
    page = dashboard.page
    await dashboard.open(own_deployment)
    await expect(page.locator("#live")).to_have_text("Live")
    own_deployment.sandbox.inject("arrivals,times=1")

    await expect(page.get_by_role("status")).to_have_text("1 new order")
    await expect(dashboard.count).to_have_text(f"{TOTAL + 1} orders")
    await expect(dashboard.rows.first).to_have_class("created")
    await expect(dashboard.rows.first).to_contain_text("new")


async def test_a_hidden_tab_sends_no_requests_until_it_is_visible(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await page.clock.install()
    await dashboard.open(deployment)
    await expect(page.locator("#live")).to_have_text("Live")
    await expect(page.locator("#summary-cards svg[role=img]")).to_have_count(2)
    await page.evaluate(SET_HIDDEN, True)
    sent = len(dashboard.requested_urls)
    for _ in range(3):
        await page.clock.fast_forward("10:00")
        await page.evaluate("fetch('livez').then(response => response.text())")
    assert {urlsplit(url).path for url in dashboard.requested_urls[sent:]} == {"/livez"}

    async with page.expect_request("**/v1/orders/changes?since=*"):
        await page.evaluate(SET_HIDDEN, False)


async def test_an_order_opens_in_a_dialog_with_its_payment_and_provenance(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    paid = "?status=paid&source=self_service"
    await dashboard.open(deployment, paid)
    link = dashboard.rows.first.get_by_role("link")
    await link.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Alipay")
    await expect(dialog.locator(".provenance summary")).to_have_text("1 upstream response")
    address = page.url

    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(link).to_be_focused()
    await expect(page).to_have_url(f"{deployment.origin}/dashboard{paid}")
    await page.go_forward()
    await expect(dialog).to_be_visible()

    await page.goto(address)
    await expect(dialog).to_contain_text("Alipay")
    await page.get_by_role("button", name="Close").click()
    await expect(page).to_have_url(f"{deployment.origin}/dashboard{paid}")


async def test_the_age_of_an_open_order_keeps_counting(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await page.clock.install()
    await dashboard.open(deployment)
    await dashboard.rows.first.get_by_role("link").click()
    age = page.get_by_role("dialog").locator(".provenance p")
    await expect(age).to_contain_text(re.compile(r"\d secs? ago"))
    await page.clock.fast_forward("05:00")
    await expect(age).to_contain_text(re.compile(r"[56] mins ago"))


async def test_the_language_can_be_switched_to_chinese(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await page.get_by_role("button", name="中文").click()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    await expect(dashboard.count).to_have_text(f"{TOTAL} 笔订单")
    assert "私有化部署" in await dashboard.column(3)
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?lang=zh")


async def test_matching_orders_can_be_downloaded(
    dashboard: DashboardPage, deployment: Deployment, tmp_path: Path
) -> None:
    page = dashboard.page
    await dashboard.open(deployment, "?status=paid&lang=en")
    expected = [order for order in await orders_of(page) if order["status"] == "paid"]
    for kind in ("CSV", "NDJSON"):
        async with page.expect_download() as downloaded:
            await page.get_by_text(f"Download {kind}").click()
        file = tmp_path / kind
        await (await downloaded.value).save_as(file)
        text = file.read_text("utf-8-sig")
        if kind == "CSV":
            downloaded_numbers = [row["order_no"] for row in csv.DictReader(io.StringIO(text))]
        else:
            downloaded_numbers = [json.loads(line)["order_no"] for line in text.splitlines()]
        assert downloaded_numbers == [order["order_no"] for order in expected]


# Problems


async def test_an_outage_is_reported_beside_the_age_of_the_orders(
    own_deployment: Deployment, dashboard: DashboardPage
) -> None:
    await dashboard.open(own_deployment)
    await expect(dashboard.age).to_contain_text("up to date")
    await dashboard.page.get_by_text("upstream responses").first.click()
    await expect(dashboard.page.locator(".provenance code").first).to_be_visible()

    own_deployment.sandbox.inject("status=500")
    await expect(dashboard.age).to_contain_text(
        re.compile("cached copy; upstream (error|unavailable)")
    )
    await expect(dashboard.rows).to_have_count(20)

    own_deployment.sandbox.inject()
    await expect(dashboard.age).to_contain_text("up to date")


async def test_a_problem_shows_its_ids_and_disappears_after_recovery(
    own_deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    page = failing_dashboard.page
    own_deployment.sandbox.inject("status=500")
    await page.goto(f"{own_deployment.origin}/dashboard")
    problem = page.locator(".problem")
    await expect(problem).to_have_count(1)
    await expect(problem).to_contain_text("upstream_failed")
    await expect(problem).to_contain_text("Request ID")
    await expect(problem).to_contain_text("Upstream request ID")
    help_link = problem.get_by_role("link", name="What does this mean?")
    problem_page = re.compile(f"^{own_deployment.origin}/problems/upstream_(failed|unavailable)$")
    await expect(help_link).to_have_attribute("href", problem_page)

    own_deployment.sandbox.inject()
    await expect(failing_dashboard.count).to_have_text(f"{TOTAL} orders")
    await expect(problem).to_have_count(0)


async def test_an_invalid_filter_shows_the_message_of_the_api(
    failing_dashboard: DashboardPage, deployment: Deployment
) -> None:
    await failing_dashboard.page.goto(f"{deployment.origin}/dashboard?status=nonsense")
    await expect(failing_dashboard.page.locator(".problem")).to_contain_text("status must be")


async def test_loading_the_list_shows_progress(failing_dashboard: DashboardPage) -> None:
    slow = {"ORDERS_UPSTREAM__DEADLINE": "0.6", "ORDERS_UPSTREAM__MAX_CONCURRENCY": "1"}
    async with sandbox_deployment(400, cache={"ttl": 60}, **slow) as deployment:
        deployment.sandbox.inject("latency=0.2,path=get-orders")
        await failing_dashboard.page.goto(f"{deployment.origin}/dashboard?status=paid")
        progress = failing_dashboard.page.locator(".problem.loading").first
        await expect(progress).to_contain_text("of 400 orders so far")
        await expect(progress.get_by_role("progressbar")).to_be_visible()
        deployment.sandbox.inject()
        await expect(failing_dashboard.count).to_contain_text("orders")
        await expect(failing_dashboard.page.locator(".problem.loading")).to_have_count(0)
        await failing_dashboard.stop_polling()


# Accessibility and layout


async def test_the_page_works_with_the_keyboard_alone(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page, keys = dashboard.page, dashboard.page.keyboard
    await dashboard.open(deployment)
    await keys.press("Tab")
    await expect(page.get_by_role("link", name="Skip to orders")).to_be_focused()
    for _ in range(20):
        await keys.press("Tab")
        if await page.evaluate("document.activeElement.value") == "paid":
            break
    await keys.press("Space")
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?status=paid")

    await page.locator("summary[data-name=source]").focus()
    await keys.press("Enter")
    await keys.press("Tab")
    await keys.press("Space")
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?status=paid&source=self_service")
    await keys.press("Escape")
    await expect(page.locator("summary[data-name=source]")).to_be_focused()

    await dashboard.rows.first.get_by_role("link").focus()
    await keys.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(page.get_by_role("button", name="Close")).to_be_focused()
    await keys.press("Enter")
    await expect(dashboard.rows.first.get_by_role("link")).to_be_focused()


async def test_there_are_no_serious_accessibility_violations(
    session: BrowserSession, deployment: Deployment
) -> None:
    dashboard = await session.new_page(expected_statuses={502}, reduced_motion="reduce")
    page = dashboard.page
    await dashboard.open(deployment, "?status=paid&sort=created_at")
    for summary in await page.locator("#summary-cards summary").all():
        await summary.click()
    assert await dashboard.accessibility_violations() == []
    await page.emulate_media(color_scheme="dark")
    assert await dashboard.accessibility_violations() == []

    await dashboard.rows.first.get_by_role("link").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Payment")
    assert await dashboard.accessibility_violations() == []

    await page.goto(f"{deployment.origin}/")
    assert await dashboard.accessibility_violations() == []

    async with sandbox_deployment() as broken:
        broken.sandbox.inject("status=500")
        await page.goto(f"{broken.origin}/dashboard?lang=zh")
        await expect(page.locator(".problem")).to_be_visible()
        assert await dashboard.accessibility_violations() == []
        await session.close_pages()
    assert dashboard.errors == []


async def test_the_page_fits_the_width_of_the_window(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    await dashboard.open(deployment)
    for width in (1280, 768, 360):
        await dashboard.page.set_viewport_size({"width": width, "height": 800})
        chart = dashboard.page.locator("#summary-cards svg[role=img]").first
        await expect(chart).to_be_visible()
        assert await dashboard.page.evaluate("document.documentElement.scrollWidth") <= width
        await expect(dashboard.rows.first.locator(".actual_amount")).to_be_visible()


# Other origins


async def test_the_page_works_behind_a_path_prefix_and_loads_nothing_from_elsewhere(
    dashboard: DashboardPage,
) -> None:
    async with sandbox_deployment(prefix="/shop/orders") as deployment:
        await dashboard.open(deployment)
        await expect(dashboard.page.locator("#live")).to_have_text("Live")
        assert all(
            url.startswith((f"{deployment.origin}/", "data:")) for url in dashboard.requested_urls
        )
        await dashboard.stop_polling()


def copied_dashboard() -> Starlette:
    """The static files on a separate web server."""
    return Starlette(routes=[Mount("/", StaticFiles(directory=STATIC, html=True))])


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
        await expect(failing_dashboard.age).to_contain_text("up to date")
        await expect(page.locator(".provenance summary").first).to_have_text("1 upstream response")
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
