"""The headline, the chart and its table, and the breakdowns."""

import itertools
from decimal import Decimal

import pytest
from playwright.async_api import Locator, Route, expect

from tests.dashboard.browser_session import BrowserSession, DashboardPage, Deployment

pytestmark = pytest.mark.without_coverage

TOTAL = 137


def decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


async def exact_amount(tile: Locator) -> Decimal:
    """The amount that a tile shows on hover."""
    return Decimal(await tile.locator(".value .money").get_attribute("title") or "")


async def test_the_headline_is_revenue_beside_outstanding_and_lost_amounts(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    await expect(page.locator("a.tile")).to_have_count(4)
    sums: dict[str, Decimal] = {}
    for order in await dashboard.api_orders():
        amount = Decimal(order["actual_amount"])
        sums[order["status"]] = sums.get(order["status"], Decimal(0)) + amount
    expected = {
        "revenue": sums["paid"] + sums["completed"],
        "outstanding": sums["unpaid"],
        "lost": sums["cancelled"] + sums["expired"],
    }
    for name, amount in expected.items():
        assert await exact_amount(page.locator(f"a.tile.{name}")) == amount
    shown = await page.locator("a.tile.revenue .value").inner_text()
    assert decimal(shown) == round(expected["revenue"], 2)
    await expect(page.locator("a.tile.all .value")).to_have_text(str(TOTAL))

    # A status filter changes the list and its total, not the headline.
    await page.get_by_role("link", name="Outstanding").click()
    await expect(page.locator("#listed-total .money")).to_have_attribute(
        "title", str(expected["outstanding"])
    )
    assert await exact_amount(page.locator("a.tile.revenue")) == expected["revenue"]


async def test_a_period_is_compared_with_the_one_before(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment, "?from=2026-11-01&to=2026-11-14")
    before = await dashboard.api(
        "v1/orders/summary?created_from=2026-10-18&created_to=2026-11-01&time_zone=Asia/Shanghai"
    )
    group = before["data"]["groups"]["revenue"]
    change = page.locator("a.tile.revenue .change")
    await expect(change).to_contain_text("%")
    title = await change.get_attribute("title") or ""
    assert f"{group['count']} orders" in title
    assert f"{Decimal(group['actual_amount']):,}" in title


async def test_amounts_line_up_at_the_decimal_point_and_are_exact_on_hover(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    await dashboard.open(deployment, "?limit=50")
    points = await dashboard.page.evaluate(POINTS)
    assert len(points) == 50
    assert max(points) - min(points) < 1
    numbers = {order["order_no"]: order for order in await dashboard.api_orders()}
    first = dashboard.rows.first
    order = numbers[await first.get_attribute("data-order") or ""]
    amount = first.locator(".actual_amount .amount")
    await expect(amount).to_have_attribute("title", order["actual_amount"])


POINTS = """
() => [...document.querySelectorAll("#table td.actual_amount .amount")].map(({ firstChild }) => {
  const range = document.createRange();
  range.setStart(firstChild, 0);
  range.setEnd(firstChild, firstChild.data.indexOf("."));
  return range.getBoundingClientRect().right;
})
"""


async def test_the_table_of_the_chart_has_exact_totals(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment, "?interval=quarter")
    await page.get_by_text("Show as table").click()
    table = page.locator("#chart-table")
    amounts = [Decimal(order["actual_amount"]) for order in await dashboard.api_orders()]
    total = table.locator("tfoot td").last
    await expect(total.locator(".amount")).to_have_attribute("title", str(sum(amounts)))
    await expect(table.locator("tbody th").last).to_have_text("Q4 2026")

    await page.get_by_role("group", name="Measure").get_by_role("button", name="Orders").click()
    await expect(total).to_have_text(str(TOTAL))


async def test_a_click_on_a_column_shows_only_the_orders_of_its_period(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await dashboard.open(deployment)
    column = page.locator("#chart .column").last
    await column.hover()
    await expect(page.locator(".readout")).to_contain_text("Nov 2026: Total ")
    await column.click()
    await expect(page.get_by_label("From", exact=True)).to_have_value("2026-11-01")
    await expect(page.get_by_label("To", exact=True)).to_have_value("2026-11-30")
    await expect(page.locator("#chart .column")).to_have_count(30)
    await expect(page.locator("#chart-title")).to_have_text("Amount by day (CNY)")

    await page.locator("#breakdowns").get_by_role("link", name="Renewal").click()
    await expect(page.locator("summary[data-name=type]")).to_have_text("Type (1)")


IS_DRAWN = """
() => {
  const width = Math.floor(document.querySelector(".chart-area").getBoundingClientRect().width);
  return document.querySelector("#chart svg").getAttribute("width") === `${width}`;
}
"""

LABEL_BOXES = """
() => [...document.querySelectorAll("#chart svg > .tick[text-anchor=middle]")].map(label => {
  const { left, right } = label.getBoundingClientRect();
  return [left, right];
})
"""


async def test_labels_of_the_axis_never_overlap(
    session: BrowserSession, deployment: Deployment
) -> None:
    dashboard = await session.new_page()
    page = dashboard.page
    views = ("?from=2023-01-01&to=2026-12-31&interval=month", "?from=2026-10-25&to=2026-11-20")
    for language in ("en", "zh"):
        for view in views:
            await page.goto(f"{deployment.origin}/dashboard{view}&lang={language}")
            await expect(page.locator("#chart .column").first).to_be_visible()
            for width in (320, 390, 1024, 1440):
                await page.set_viewport_size({"width": width, "height": 800})
                await page.wait_for_function(IS_DRAWN)
                boxes = await page.evaluate(LABEL_BOXES)
                assert len(boxes) > 1
                pairs = itertools.pairwise(boxes)
                assert all(left[1] < right[0] for left, right in pairs), (language, view, width)
    await session.close_pages()


SHOW_OUTLIERS = """
async () => {
  const { Analysis } = await import("./dashboard/summary.js");
  const { DEFAULT_VIEW } = await import("./dashboard/url_state.js");
  const rows = [
    { period: "1970-01-01", status: "paid", count: 1, actual_amount: "100" },
    { period: "2026-10-01", status: "refunded", count: 1, actual_amount: "5" },
    { period: "2026-10-01", status: "expired", count: 1, actual_amount: "-60" },
    { period: "unknown", status: "paid", count: 2, actual_amount: "1" },
  ];
  const one = { count: 1, actual_amount: "5" };
  const by_status = ["paid", "refunded", "expired"].map(status => ({ status, ...one }));
  document.getElementById("chart").replaceChildren();
  const by = { by_status, by_type: [], by_source: [], by_period: rows };
  const summary = { count: 5, actual_amount: "46", ...by };
  new Analysis(() => {}).show({ ...DEFAULT_VIEW, tz: "UTC" }, summary, undefined);
}
"""


async def test_a_chart_bounds_its_columns_and_draws_unknown_statuses(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await page.goto(f"{deployment.origin}/dashboard?q=nothing-like-this")
    await expect(page.get_by_text("No orders match")).to_be_visible()
    await page.evaluate(SHOW_OUTLIERS)
    await expect(page.locator("#chart .column")).to_have_count(120)
    await expect(page.locator("#chart-notes")).to_contain_text("See the table for earlier periods.")
    await expect(page.locator("#chart-notes")).to_contain_text("2 orders without a date")
    # A negative amount has no height.
    await expect(page.locator("#chart rect.fill")).to_have_count(1)
    await expect(page.locator("#chart rect.refunded")).to_have_count(1)


async def with_large_totals(route: Route) -> None:
    response = await route.fetch()
    body = await response.json()
    body["data"]["actual_amount"] = "146101714.56"
    await route.fulfill(response=response, json=body)


async def test_a_total_is_on_one_line_on_the_narrowest_phone(
    session: BrowserSession, deployment: Deployment
) -> None:
    dashboard = await session.new_page(viewport={"width": 320, "height": 640})
    await dashboard.page.route("**/v1/orders/summary*", with_large_totals)
    await dashboard.open_view(deployment, "")
    total = dashboard.page.locator("a.tile.all .line .money")
    await expect(total).to_have_text("CNY 146,101,714.56")
    lines = await total.evaluate("""
        money => {
          const range = document.createRange();
          range.selectNodeContents(money.lastChild);
          return range.getClientRects().length;
        }
    """)
    assert lines == 1
    await session.close_pages()
