"""What finance does with the page, and the number of clicks and typed texts that it takes."""

import csv
import io
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.dashboard.browser_session import DashboardPage, Deployment, sandbox_deployment

pytestmark = pytest.mark.without_coverage

MAX_STEPS = 8


@dataclass
class Person:
    """Uses the page as a person does, and counts clicks and typed texts."""

    page: Page
    steps: int = 0

    async def click(self, control: Locator) -> None:
        await control.click()
        self.steps += 1

    async def choose(self, control: Locator, option: str) -> None:
        """Open a list and choose from it: two clicks."""
        await control.select_option(label=option)
        self.steps += 2

    async def type_into(self, control: Locator, text: str) -> None:
        """Click a field, type, and press Enter."""
        await control.click()
        await control.press_sequentially(text)
        await self.page.keyboard.press("Enter")
        self.steps += 3


async def test_unpaid_orders_of_last_quarter_above_an_amount_as_a_file(
    dashboard: DashboardPage, tmp_path: Path
) -> None:
    page = dashboard.page
    await page.clock.set_fixed_time("2026-11-27T12:00:00Z")
    async with sandbox_deployment(600, cache={"ttl": 60}) as deployment:
        await dashboard.open(deployment)
        person = Person(page)
        await person.choose(page.get_by_label("Period"), "Last quarter")
        await person.click(page.get_by_label("Unpaid"))
        await person.type_into(page.get_by_label("Amount from"), "1,000")
        query = "status=unpaid&created_from=2026-07-01&created_to=2026-10-01&amount_from=1000"
        found = await dashboard.api(f"v1/orders?{query}&time_zone=Asia/Shanghai&limit=50")
        await expect(dashboard.count).to_have_text(f"{found['meta']['total']} orders")
        async with page.expect_download() as downloaded:
            await person.click(page.get_by_role("button", name="Download CSV"))
        await (await downloaded.value).save_as(tmp_path / "orders.csv")
        rows = list(csv.DictReader(io.StringIO((tmp_path / "orders.csv").read_text("utf-8-sig"))))
        assert 0 < len(rows) == found["meta"]["total"]
        assert all(
            row["status"] == "unpaid"
            and Decimal(row["actual_amount"]) >= 1000
            and "2026-06-30T16" <= row["created_at"] < "2026-09-30T16"
            for row in rows
        )
        assert person.steps <= MAX_STEPS
        await dashboard.stop_polling()


async def test_the_total_of_each_month_and_the_quarter_before(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await page.clock.set_fixed_time("2026-11-27T12:00:00Z")
    await dashboard.open(deployment)
    person = Person(page)
    await person.choose(page.get_by_label("Period"), "This year")
    await person.click(page.get_by_text("Show as table"))
    rows = page.locator("#chart-table tbody tr")
    await expect(rows.last.locator("th")).to_have_text("Nov 2026")
    month = await dashboard.api(
        "v1/orders/summary?created_from=2026-11-01&created_to=2026-12-01&time_zone=Asia/Shanghai"
    )
    await expect(rows.last.locator("td .amount").last).to_have_attribute(
        "title", month["data"]["actual_amount"]
    )
    await person.choose(page.get_by_label("Period"), "Last quarter")
    await expect(page.locator("a.tile.revenue .change")).to_contain_text("Q2 2026")
    assert person.steps <= MAX_STEPS


async def test_open_an_order_by_its_number_and_share_it(
    failing_dashboard: DashboardPage, deployment: Deployment
) -> None:
    dashboard = failing_dashboard
    page = dashboard.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await dashboard.open(deployment)
    number = (await dashboard.api_orders())[60]["order_no"]
    person = Person(page)
    await person.type_into(page.get_by_label("Search"), number)
    await expect(dashboard.rows).to_have_count(1)
    await person.click(dashboard.rows.first.locator("td.status"))
    await expect(page.get_by_role("dialog")).to_contain_text(number)
    await person.click(page.get_by_role("dialog").get_by_role("button", name="Copy Order number"))
    await expect(page.get_by_role("dialog").get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == number
    await person.click(page.get_by_role("button", name="Close"))
    await person.click(page.get_by_role("button", name="Copy link"))
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    await expect(page.get_by_role("button", name="Copy link")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == page.url
    assert person.steps <= MAX_STEPS
