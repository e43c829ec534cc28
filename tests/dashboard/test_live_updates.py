"""New and changed orders, and what stays as it is while the page is updated."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from tests.dashboard.browser_session import DashboardPage, Deployment

pytestmark = pytest.mark.without_coverage

TOTAL = 137

SET_HIDDEN = """
hidden => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
"""A headless page is always visible, so `document.hidden` is replaced."""


async def test_a_new_order_is_announced_and_marked(
    own_deployment: Deployment, dashboard: DashboardPage
) -> None:
    page = dashboard.page
    await dashboard.open(own_deployment)
    await expect(dashboard.state).to_contain_text("Live")
    own_deployment.sandbox.inject("arrivals,times=1")

    await expect(page.get_by_role("status")).to_have_text("1 new")
    await expect(dashboard.count).to_have_text(f"{TOTAL + 1} orders")
    await expect(dashboard.rows.first).to_have_class("created")
    await expect(dashboard.rows.first).to_contain_text("new")


async def test_new_orders_are_marked_while_more_keep_arriving(
    own_deployment: Deployment, dashboard: DashboardPage
) -> None:
    await dashboard.open(own_deployment)
    own_deployment.sandbox.inject("arrivals")
    await expect(dashboard.page.get_by_role("status")).to_contain_text(" new")
    await expect(dashboard.page.locator("#table tr.created").nth(2)).to_be_visible()
    await expect(dashboard.page.locator("#table tr.updated")).to_have_count(0)


async def test_focus_selection_and_scroll_position_survive_a_new_order(
    own_deployment: Deployment, dashboard: DashboardPage
) -> None:
    page = dashboard.page
    await dashboard.open(own_deployment)
    await expect(page.locator("#chart .column").first).to_be_visible()
    link = dashboard.rows.nth(2).get_by_role("link")
    await link.focus()
    focused = await page.evaluate("document.activeElement.textContent")
    await page.evaluate(
        "getSelection().selectAllChildren(document.querySelectorAll('#table td code')[1])"
    )
    selected = await page.evaluate("`${getSelection()}`")
    await page.evaluate("scrollTo(0, 300)")

    own_deployment.sandbox.inject("arrivals,times=1")
    await expect(dashboard.count).to_have_text(f"{TOTAL + 1} orders")
    assert await page.evaluate("document.activeElement.textContent") == focused
    assert await page.evaluate("`${getSelection()}`") == selected != ""
    # The browser keeps what is read in its place, one row further down.
    assert 300 <= await page.evaluate("scrollY") < 350


async def test_the_numbers_of_a_column_stay_while_the_page_polls(
    own_deployment: Deployment, dashboard: DashboardPage
) -> None:
    page = dashboard.page
    await dashboard.open(own_deployment)
    await page.locator("#chart .column").last.hover()
    readout = page.locator(".readout")
    await expect(readout).to_contain_text("Nov 2026: Total")
    for _ in range(2):
        async with page.expect_response("**/v1/orders/summary?*"):
            pass
    await expect(readout).to_contain_text("Nov 2026: Total")
    await expect(dashboard.state).to_contain_text("as of")


async def test_a_hidden_tab_sends_no_requests_until_it_is_visible(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await page.clock.install()
    await dashboard.open(deployment)
    await expect(dashboard.state).to_contain_text("Live")
    await expect(page.locator("#chart .column").first).to_be_visible()
    await page.evaluate(SET_HIDDEN, True)
    sent = len(dashboard.requested_urls)
    for _ in range(3):
        await page.clock.fast_forward("10:00")
        await page.evaluate("fetch('livez').then(response => response.text())")
    assert {urlsplit(url).path for url in dashboard.requested_urls[sent:]} == {"/livez"}

    async with page.expect_request("**/v1/orders/changes?since=*"):
        await page.evaluate(SET_HIDDEN, False)


async def test_a_click_anywhere_in_a_row_opens_its_order_with_its_payment(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    paid = "?status=paid&source=self_service&tz=Asia/Shanghai"
    await dashboard.open(deployment, paid)
    number = await dashboard.rows.first.get_attribute("data-order") or ""
    await dashboard.rows.first.locator("td.package_name").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Alipay")
    await expect(dialog).to_contain_text(number)
    # Every time names its zone.
    await expect(dialog.locator("#detail-order")).to_contain_text("GMT+8")
    address = page.url

    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page).to_have_url(f"{deployment.origin}/dashboard{paid}")
    await page.go_forward()
    await expect(dialog).to_be_visible()

    await page.goto(address)
    await expect(dialog).to_contain_text("Alipay")
    await page.get_by_role("button", name="Close").click()
    await expect(page).to_have_url(f"{deployment.origin}/dashboard{paid}")


async def test_the_focus_returns_to_the_row_when_an_order_is_closed(
    own_deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    dashboard = failing_dashboard
    page = dashboard.page
    await dashboard.open(own_deployment)
    link = dashboard.rows.nth(1).get_by_role("link")
    text = await link.inner_text()
    await link.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    own_deployment.sandbox.inject("arrivals,times=1")
    await expect(dashboard.count).to_have_text(f"{TOTAL + 1} orders")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert await page.evaluate("document.activeElement.textContent") == text


async def test_the_language_can_be_switched_to_chinese(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await page.get_by_role("button", name="中文").click()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    await expect(dashboard.count).to_have_text(f"{TOTAL} 笔订单")
    await expect(dashboard.state).to_contain_text("实时")
    assert "私有化部署" in await dashboard.column(3)
    assert all("年" in time for time in await dashboard.column(1))
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?lang=zh&tz=Asia/Shanghai")
    assert await page.evaluate(ENGLISH_WORDS) == []


ENGLISH_WORDS = """
() => [...document.querySelectorAll("button, th, h2, h3, legend, summary, label > span")]
  .filter(node => node.offsetParent !== null)
  .map(node => node.textContent.replace(/CSV|NDJSON|Excel|CNY|EN|Asia\\/Shanghai/g, ""))
  .filter(text => /[A-Za-z]{2}/.test(text))
"""
