"""Filters, pages, sort order and time zones, and the address that has all of them."""

from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect

from tests.dashboard.browser_session import BrowserSession, DashboardPage, Deployment

pytestmark = pytest.mark.without_coverage

TOTAL = 137


def query_of(url: str) -> dict[str, list[str]]:
    """The parameters of the address, without the time zone."""
    query = parse_qs(urlsplit(url).query)
    assert query.pop("tz") == ["Asia/Shanghai"]
    return query


async def test_the_address_reflects_the_filters_and_restores_them(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")

    await page.get_by_label("Completed").check()
    await page.get_by_label("Search").fill("deploy")
    await expect(dashboard.count).not_to_have_text(f"{TOTAL} orders")
    await expect(page).to_have_url(
        f"{deployment.origin}/dashboard?status=completed&q=deploy&tz=Asia/Shanghai"
    )
    await expect(dashboard.rows.first.locator("td").nth(2)).to_have_text("Private Deployment")
    found = await dashboard.count.inner_text()
    assert set(await dashboard.column(6)) == {"Completed"}
    assert set(await dashboard.column(3)) == {"Private Deployment"}

    await page.reload()
    await expect(dashboard.count).to_have_text(found)
    await expect(page.get_by_label("Completed")).to_be_checked()

    await page.go_back()
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")
    await expect(page.get_by_label("Completed")).not_to_be_checked()


async def test_date_filters_use_the_zone_of_the_page_and_include_both_days(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment, "?limit=50")
    created = [order["created_at"] for order in await dashboard.api_orders()]
    # 2026-11-18 in Shanghai.
    on_the_day = [at for at in created if "2026-11-17T16:00" <= at < "2026-11-18T16:00"]
    # While a year is typed, the browser reports the years 0002, 0020 and 0202 first.
    await page.get_by_label("From", exact=True).fill("0202-11-18")
    assert "from" not in page.url
    await page.get_by_label("From", exact=True).fill("2026-11-18")
    await page.get_by_label("To", exact=True).fill("2026-11-18")
    await expect(dashboard.count).to_have_text(f"{len(on_the_day)} orders")
    await expect(dashboard.rows).to_have_count(len(on_the_day))
    assert all(at.startswith("18 Nov 2026") for at in await dashboard.column(1))

    await page.get_by_role("button", name="Clear filters").click()
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")


async def test_a_link_shows_the_same_orders_in_every_time_zone(
    session: BrowserSession, deployment: Deployment
) -> None:
    link = "?from=2026-11-10&to=2026-11-10&tz=Asia/Shanghai"
    shown = set()
    for zone in ("Asia/Shanghai", "Europe/London", "America/New_York"):
        dashboard = await session.new_page(timezone_id=zone)
        await dashboard.open(deployment, link)
        await expect(dashboard.rows.first).to_be_visible()
        shown.add("\n".join(await dashboard.column(1)))
        await expect(dashboard.page.get_by_label("Time zone")).to_have_value("Asia/Shanghai")
        await expect(dashboard.page.locator("th.created_at")).to_contain_text("Asia/Shanghai")
    assert len(shown) == 1
    await session.close_pages()


async def test_the_zone_can_be_chosen_and_is_always_in_the_address(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    assert query_of(page.url) == {}
    first = (await dashboard.column(1))[0]
    await page.get_by_label("Time zone").select_option("America/New_York")
    await expect(page).to_have_url(f"{deployment.origin}/dashboard?tz=America/New_York")
    await expect(dashboard.rows.first.locator("time")).not_to_have_text(first)
    await expect(page.locator("#strip-data")).to_contain_text("GMT-5")


async def test_a_file_has_the_filters_and_the_zone_of_the_page(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment, "?status=paid&sort=-actual_amount&tz=Europe/London")
    async with page.expect_request("**/v1/orders/export?*") as requested, page.expect_download():
        await page.get_by_role("button", name="Download Excel").click()
    assert parse_qs(urlsplit((await requested.value).url).query) == {
        "format": ["xlsx"],
        "status": ["paid"],
        "sort": ["-actual_amount"],
        "time_zone": ["Europe/London"],
    }


async def test_a_preset_sets_both_days(dashboard: DashboardPage, deployment: Deployment) -> None:
    page = dashboard.page
    await page.clock.set_fixed_time("2026-11-27T12:00:00Z")
    await dashboard.open(deployment)
    await page.get_by_label("Period").select_option(label="Last month")
    await expect(page.get_by_label("From", exact=True)).to_have_value("2026-10-01")
    await expect(page.get_by_label("To", exact=True)).to_have_value("2026-10-31")
    assert query_of(page.url) == {"from": ["2026-10-01"], "to": ["2026-10-31"]}

    await page.goto(f"{deployment.origin}/dashboard?period=this_quarter")
    await expect(page.get_by_label("Period")).to_have_value("this_quarter")
    assert query_of(page.url) == {"from": ["2026-10-01"], "to": ["2026-11-27"]}


async def test_amounts_are_filtered_as_typed_and_mistakes_are_reported(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    least = page.get_by_label("Amount from")
    await least.fill("1,000")
    await page.keyboard.press("Enter")
    await expect(least).to_have_value("1000")
    amounts = [Decimal(order["actual_amount"]) for order in await dashboard.api_orders()]
    matching = [amount for amount in amounts if amount >= 1000]
    await expect(dashboard.count).to_have_text(f"{len(matching)} orders")

    await least.fill("1.000,50")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Enter an amount such as 1000 or 199.50.")
    await expect(least).to_have_attribute("aria-invalid", "true")
    await expect(dashboard.count).to_have_text(f"{len(matching)} orders")


async def test_a_reversed_range_is_reported_and_can_be_swapped(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await page.goto(f"{deployment.origin}/dashboard?from=2026-11-18&to=2026-11-01")
    problem = page.locator("main .problem")
    await expect(problem).to_contain_text("The dates are reversed")
    await expect(dashboard.state).to_contain_text("The dates are reversed")
    await expect(page.get_by_label("To", exact=True)).to_have_attribute("aria-invalid", "true")
    await problem.get_by_role("button", name="Swap").click()
    await expect(problem).to_have_count(0)
    await expect(dashboard.rows.first).to_be_visible()
    assert query_of(page.url) == {"from": ["2026-11-01"], "to": ["2026-11-18"]}

    await page.goto(f"{deployment.origin}/dashboard?amount_from=10&amount_to=9.5")
    await expect(problem).to_contain_text("The amounts are reversed")


async def test_a_tile_filters_by_the_statuses_of_its_group(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await page.get_by_role("link", name="Lost").click()
    assert query_of(page.url) == {"status": ["cancelled", "expired"]}
    await expect(page.get_by_label("Cancelled")).to_be_checked()
    await expect(page.get_by_role("link", name="Lost")).to_have_attribute("aria-current", "true")
    await page.get_by_role("link", name="All orders").click()
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")


async def test_pages_and_sort_orders_are_links_that_keep_the_focus(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await page.get_by_role("link", name="Next").click()
    await expect(page.locator("#table caption")).to_have_text("Orders 26 to 50 of 137")
    assert query_of(page.url) == {"page": ["2"]}
    await expect(page.get_by_role("link", name="Next")).to_be_focused()
    top = await page.locator("#orders").evaluate("node => node.getBoundingClientRect().top")
    assert top > -1

    await page.get_by_role("textbox", name="Page").fill("6")
    await page.keyboard.press("Enter")
    await expect(dashboard.rows).to_have_count(TOTAL % 25)
    await expect(page.get_by_role("link", name="Next")).to_have_attribute("aria-disabled", "true")

    amount = page.locator("#table").get_by_role("columnheader", name="Amount")
    await amount.get_by_role("link").click()
    await expect(amount).to_have_attribute("aria-sort", "descending")
    await expect(amount.get_by_role("link")).to_be_focused()
    await expect(dashboard.rows).to_have_count(25)
    amounts = [Decimal(text.replace(",", "")) for text in await dashboard.column(9)]
    assert amounts == sorted(amounts, reverse=True)

    await page.locator("#table").get_by_role("link", name="Status").click()
    await expect(dashboard.rows.first.locator(".status")).to_have_text("Expired")


async def test_a_page_can_have_more_rows_than_one_answer_of_the_api(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await page.get_by_label("Rows per page").select_option("100")
    await expect(dashboard.rows).to_have_count(100)
    await page.get_by_role("link", name="Next").click()
    await expect(dashboard.rows).to_have_count(37)
    numbers = [order["order_no"] for order in await dashboard.api_orders()]
    assert await dashboard.column(2) == numbers[100:]
    await expect(page.locator("#table caption")).to_have_text("Orders 101 to 137 of 137")


async def test_an_empty_result_offers_to_clear_the_filters(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    await dashboard.open(deployment, "?q=nothing-like-this")
    await expect(dashboard.page.get_by_text("No orders match these filters.")).to_be_visible()
    await dashboard.page.get_by_role("link", name="Clear filters").click()
    await expect(dashboard.count).to_have_text(f"{TOTAL} orders")


async def test_the_number_of_matching_orders_is_announced(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    await dashboard.open(deployment)
    await expect(dashboard.count).to_have_attribute("aria-live", "polite")
