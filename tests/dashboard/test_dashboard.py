"""A person looks at orders in a browser: finds, adds up, takes away, and sees how old it all is."""

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
from tests.dashboard.visit import (
    KEY,
    Looker,
    Shop,
    Street,
    open_shop,
    open_shop_with_keys,
)
from tests.support.browser import ARGUMENTS, CHROMIUM, MISSING, is_missing, served

if is_missing():
    pytest.skip(MISSING, allow_module_level=True)

ALL = 137

TURN_AWAY = """
away => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => away});
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
"""A window without a screen is always looked at, so the page is told that it is not."""

PLOT_ODD_ORDERS = """
async () => {
  const { plot } = await import("./dashboard/plots.js");
  const told = [["1970-01", "paid", 100], ["2026-10", "paid", 100], ["2026-10", "expired", -60]];
  const parts = told.map(([month, status, size]) => ({ month, status, size, text: `${size}` }));
  document.getElementById("main").append(plot("Odd orders", parts, ["paid", "expired"]));
}
"""

TOTAL_A_NEW_STATUS = """
async () => {
  const { showTotals } = await import("./dashboard/totals.js");
  const { PLAIN } = await import("./dashboard/address.js");
  const sum = { status: "refunded", count: 1, actual_amount: "5" };
  const by_month = [{ month: "2026-10", ...sum }];
  const by = { by_status: [sum], by_type: [], by_source: [], by_month };
  const totals = document.getElementById("main").appendChild(document.createElement("div"));
  showTotals(totals, PLAIN, { count: 1, actual_amount: "5", amounts_unknown: 0, ...by }, undefined);
}
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One browser for the module, so one loop for it too."""
    return "asyncio"


@pytest.fixture(scope="module")
async def street() -> AsyncIterator[Street]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        expect.set_options(timeout=15_000)
        street = Street(browser)
        yield street
        await browser.close()


@pytest.fixture
async def looker(street: Street) -> AsyncIterator[Looker]:
    looker = await street.looker()
    yield looker
    await street.leave()
    assert looker.complaints == []


@pytest.fixture
async def troubled(street: Street) -> AsyncIterator[Looker]:
    """Somebody who meets problems, and expects to."""
    looker = await street.looker(wanted={401, 404, 422, 502, 503, 504})
    yield looker
    await street.leave()
    assert looker.complaints == []


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    """One for all who only look."""
    async with open_shop(cache={"ttl": 60}) as shop:
        yield shop


@pytest.fixture
async def ailing() -> AsyncIterator[Shop]:
    """One of its own for who breaks its upstream."""
    async with open_shop() as shop:
        yield shop


async def orders_of(page: Page) -> list[dict[str, str]]:
    """Every order that the API has, in the upstream's order."""
    ask = "page => fetch(`v1/orders?limit=50&page=${page}`).then(answer => answer.json())"
    pages = [await page.evaluate(ask, number) for number in (1, 2, 3)]
    return [order for page in pages for order in page["data"]]


# Finding


async def test_what_is_asked_for_stands_in_the_address_and_a_link_shows_the_same(
    looker: Looker, shop: Shop
) -> None:
    page = looker.page
    await looker.open(shop)
    await expect(looker.count).to_have_text(f"{ALL} orders")

    await page.get_by_label("Completed").check()
    await page.get_by_label("Search").fill("deploy")
    await expect(page).to_have_url(f"{shop.origin}/dashboard?status=completed&q=deploy")
    await expect(looker.count).not_to_have_text(f"{ALL} orders")
    found = await looker.count.inner_text()
    assert set(await looker.column(6)) == {"Completed"}
    assert set(await looker.column(3)) == {"Private Deployment"}

    await page.reload()
    await expect(looker.count).to_have_text(found)
    await expect(page.get_by_label("Completed")).to_be_checked()

    await page.go_back()
    await expect(looker.count).to_have_text(f"{ALL} orders")
    await expect(page.get_by_label("Completed")).not_to_be_checked()


async def test_days_are_those_of_the_viewer_and_both_ends_count(looker: Looker, shop: Shop) -> None:
    page = looker.page
    await looker.open(shop, "?limit=50")
    created = [order["created_at"] for order in await orders_of(page)]
    # 2026-11-18 in Shanghai.
    on_the_day = [at for at in created if "2026-11-17T16:00" <= at < "2026-11-18T16:00"]
    await page.get_by_label("From").fill("2026-11-18")
    await page.get_by_label("To", exact=True).fill("2026-11-18")
    await expect(looker.count).to_have_text(f"{len(on_the_day)} orders")
    assert all(at.startswith("18 Nov 2026") for at in await looker.column(1))

    await page.get_by_role("button", name="Clear all").click()
    await expect(looker.count).to_have_text(f"{ALL} orders")


async def test_pages_and_sorting_are_links_and_the_focus_stays(looker: Looker, shop: Shop) -> None:
    page = looker.page
    await looker.open(shop)
    await page.get_by_role("link", name="Next").click()
    await expect(page).to_have_url(f"{shop.origin}/dashboard?page=2")
    await expect(page.locator("caption").last).to_have_text("Orders, 21 to 40 of 137")
    await expect(page.get_by_role("link", name="Next")).to_be_focused()

    await page.get_by_role("link", name="Last").click()
    await expect(looker.rows).to_have_count(ALL % 20)
    await expect(page.get_by_role("link", name="Next")).to_have_attribute("aria-disabled", "true")

    amount = page.locator("#table").get_by_role("columnheader", name="Amount")
    await amount.get_by_role("link").click()
    await expect(amount).to_have_attribute("aria-sort", "descending")
    await expect(amount.get_by_role("link")).to_be_focused()
    await expect(looker.rows).to_have_count(20)
    amounts = [Decimal(text.replace(",", "")) for text in await looker.column(9)]
    assert amounts == sorted(amounts, reverse=True)

    await page.get_by_label("Orders a page").select_option("50")
    await expect(looker.rows).to_have_count(50)
    await expect(page).to_have_url(f"{shop.origin}/dashboard?sort=-actual_amount&limit=50")


async def test_nothing_found_says_so_and_leads_back(looker: Looker, shop: Shop) -> None:
    await looker.open(shop, "?q=nothing-like-this")
    await expect(looker.page.get_by_text("No order matches these filters.")).to_be_visible()
    await looker.page.get_by_role("link", name="Clear all").click()
    await expect(looker.count).to_have_text(f"{ALL} orders")


# Adding up


async def test_totals_and_plots_are_exact_and_can_be_read_as_tables(
    looker: Looker, shop: Shop
) -> None:
    page = looker.page
    await looker.open(shop)
    orders = await orders_of(page)
    whole = sum((Decimal(order["actual_amount"]) for order in orders), Decimal(0))
    values = page.locator("#figures .value")
    await expect(values.first).to_have_text(str(ALL))
    assert Decimal((await values.last.inner_text()).replace(",", "")) == whole

    await expect(page.locator("#figures svg[role=img]")).to_have_count(2)
    assert await page.locator("#figures .column rect.completed").count() >= 2
    figure = page.locator("figure", has_text="Orders by month")
    await figure.get_by_text("Show as a table").click()
    cells = await figure.locator("td").all_inner_texts()
    assert sum(int(cell) for cell in cells if cell.isdigit()) == ALL

    await page.locator("#figures").get_by_role("link", name="Renewal").click()
    renewals = [order for order in orders if order["type"] == "renewal"]
    await expect(looker.count).to_have_text(f"{len(renewals)} orders")
    await expect(values.first).to_have_text(str(len(renewals)))


async def test_a_plot_stays_in_its_frame_whatever_the_orders_say(
    looker: Looker, shop: Shop
) -> None:
    await looker.open(shop)
    await looker.page.evaluate(PLOT_ODD_ORDERS)
    figure = looker.page.locator("figure", has_text="Odd orders")
    await expect(figure.locator(".column")).to_have_count(120)
    await expect(figure).to_contain_text("Earlier months stand in the table.")
    await expect(figure.locator("tbody tr")).to_have_count(121)
    drawn = figure.locator("rect.fill")
    await expect(drawn).to_have_count(1)
    frame = await figure.locator("rect.reach").first.get_attribute("y")
    assert float(await drawn.get_attribute("y") or 0) >= float(frame or 0)


async def test_a_status_that_is_newer_than_the_page_is_drawn_too(
    looker: Looker, shop: Shop
) -> None:
    await looker.open(shop)
    await looker.page.evaluate(TOTAL_A_NEW_STATUS)
    await expect(looker.page.locator(".column rect.refunded")).to_have_count(2)


# Looking


async def test_an_order_that_arrives_appears_and_is_marked(ailing: Shop, looker: Looker) -> None:
    page = looker.page
    await looker.open(ailing)
    await expect(page.locator("#live")).to_have_text("Live")
    ailing.sandbox.inject("arrivals,times=1")

    await expect(page.get_by_role("status")).to_have_text("1 order changed.")
    await expect(looker.count).to_have_text(f"{ALL + 1} orders")
    await expect(looker.rows.first).to_have_class("created")
    await expect(looker.rows.first).to_contain_text("new")


async def test_a_tab_that_is_not_looked_at_asks_nothing_until_it_is(
    looker: Looker, shop: Shop
) -> None:
    page = looker.page
    await page.clock.install()
    await looker.open(shop)
    await expect(page.locator("#live")).to_have_text("Live")
    await expect(page.locator("#figures svg[role=img]")).to_have_count(2)
    await page.evaluate(TURN_AWAY, True)
    asked = len(looker.asked)
    for _ in range(3):
        await page.clock.fast_forward("10:00")
        await page.evaluate("fetch('livez').then(answer => answer.text())")
    assert {urlsplit(url).path for url in looker.asked[asked:]} == {"/livez"}

    async with page.expect_request("**/v1/orders/changes?since=*"):
        await page.evaluate(TURN_AWAY, False)


async def test_one_order_is_shown_with_its_payment_and_where_it_came_from(
    looker: Looker, shop: Shop
) -> None:
    page = looker.page
    paid = "?status=paid&source=self_service"
    await looker.open(shop, paid)
    link = looker.rows.first.get_by_role("link")
    await link.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Alipay")
    await expect(dialog.locator(".provenance summary")).to_have_text("1 upstream answer")
    address = page.url

    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(link).to_be_focused()
    await expect(page).to_have_url(f"{shop.origin}/dashboard{paid}")
    await page.go_forward()
    await expect(dialog).to_be_visible()

    await page.goto(address)
    await expect(dialog).to_contain_text("Alipay")
    await page.get_by_role("button", name="Close").click()
    await expect(page).to_have_url(f"{shop.origin}/dashboard{paid}")


async def test_the_age_of_an_open_order_keeps_counting(looker: Looker, shop: Shop) -> None:
    page = looker.page
    await page.clock.install()
    await looker.open(shop)
    await looker.rows.first.get_by_role("link").click()
    age = page.get_by_role("dialog").locator(".provenance p")
    await expect(age).to_contain_text(re.compile(r"\d secs? old"))
    await page.clock.fast_forward("05:00")
    await expect(age).to_contain_text(re.compile(r"[56] mins old"))


async def test_both_languages_are_spoken_and_marked_as_such(looker: Looker, shop: Shop) -> None:
    page = looker.page
    await looker.open(shop)
    await page.get_by_role("button", name="中文").click()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    await expect(looker.count).to_have_text(f"{ALL} 笔订单")
    assert "私有化部署" in await looker.column(3)
    await expect(page).to_have_url(f"{shop.origin}/dashboard?lang=zh")


async def test_the_orders_that_match_can_be_taken_away(
    looker: Looker, shop: Shop, tmp_path: Path
) -> None:
    page = looker.page
    await looker.open(shop, "?status=paid&lang=en")
    expected = [order for order in await orders_of(page) if order["status"] == "paid"]
    for kind in ("CSV", "NDJSON"):
        async with page.expect_download() as downloaded:
            await page.get_by_text(f"Download {kind}").click()
        file = tmp_path / kind
        await (await downloaded.value).save_as(file)
        text = file.read_text("utf-8-sig")
        if kind == "CSV":
            taken = [row["order_no"] for row in csv.DictReader(io.StringIO(text))]
        else:
            taken = [json.loads(line)["order_no"] for line in text.splitlines()]
        assert taken == [order["order_no"] for order in expected]


# When it does not go well


async def test_an_outage_is_told_with_the_age_of_what_is_shown(
    ailing: Shop, looker: Looker
) -> None:
    await looker.open(ailing)
    await expect(looker.age).to_contain_text("fresh")
    await looker.page.get_by_text("upstream answers").first.click()
    await expect(looker.page.locator(".provenance code").first).to_be_visible()

    ailing.sandbox.inject("status=500")
    await expect(looker.age).to_contain_text(re.compile("kept, upstream (failing|not available)"))
    await expect(looker.rows).to_have_count(20)

    ailing.sandbox.inject()
    await expect(looker.age).to_contain_text("fresh")


async def test_a_problem_is_told_with_what_helps_to_find_it_and_goes_by_itself(
    ailing: Shop, troubled: Looker
) -> None:
    page = troubled.page
    ailing.sandbox.inject("status=500")
    await page.goto(f"{ailing.origin}/dashboard")
    trouble = page.locator(".trouble")
    await expect(trouble).to_have_count(1)
    await expect(trouble).to_contain_text("upstream_failed")
    await expect(trouble).to_contain_text("Request id")
    await expect(trouble).to_contain_text("Upstream request id")
    meaning = trouble.get_by_role("link", name="What this means")
    leads_to = re.compile(f"^{ailing.origin}/problems/upstream_(failed|unavailable)$")
    await expect(meaning).to_have_attribute("href", leads_to)

    ailing.sandbox.inject()
    await expect(troubled.count).to_have_text(f"{ALL} orders")
    await expect(trouble).to_have_count(0)


async def test_a_filter_that_the_api_refuses_is_told_in_its_words(
    troubled: Looker, shop: Shop
) -> None:
    await troubled.page.goto(f"{shop.origin}/dashboard?status=nonsense")
    await expect(troubled.page.locator(".trouble")).to_contain_text("status must be")


async def test_a_list_that_is_still_being_read_shows_how_far_it_is(troubled: Looker) -> None:
    slow = {"ORDERS_UPSTREAM__DEADLINE": "0.6", "ORDERS_UPSTREAM__MAX_CONCURRENCY": "1"}
    async with open_shop(400, cache={"ttl": 60}, **slow) as shop:
        shop.sandbox.inject("latency=0.2,path=get-orders")
        await troubled.page.goto(f"{shop.origin}/dashboard?status=paid")
        reading = troubled.page.locator(".reading").first
        await expect(reading).to_contain_text("of 400 orders so far")
        await expect(reading.get_by_role("progressbar")).to_be_visible()
        shop.sandbox.inject()
        await expect(troubled.count).to_contain_text("orders")
        await expect(troubled.page.locator(".reading")).to_have_count(0)
        await troubled.rest()


# For everybody


async def test_it_can_be_used_with_the_keyboard_alone(looker: Looker, shop: Shop) -> None:
    page, keys = looker.page, looker.page.keyboard
    await looker.open(shop)
    await keys.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the orders")).to_be_focused()
    for _ in range(20):
        await keys.press("Tab")
        if await page.evaluate("document.activeElement.value") == "paid":
            break
    await keys.press("Space")
    await expect(page).to_have_url(f"{shop.origin}/dashboard?status=paid")

    await page.locator("summary[data-name=source]").focus()
    await keys.press("Enter")
    await keys.press("Tab")
    await keys.press("Space")
    await expect(page).to_have_url(f"{shop.origin}/dashboard?status=paid&source=self_service")
    await keys.press("Escape")
    await expect(page.locator("summary[data-name=source]")).to_be_focused()

    await looker.rows.first.get_by_role("link").focus()
    await keys.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(page.get_by_role("button", name="Close")).to_be_focused()
    await keys.press("Enter")
    await expect(looker.rows.first.get_by_role("link")).to_be_focused()


async def test_nothing_keeps_anybody_out(street: Street, shop: Shop) -> None:
    looker = await street.looker(wanted={502}, reduced_motion="reduce")
    page = looker.page
    await looker.open(shop, "?status=paid&sort=created_at")
    for summary in await page.locator("#figures summary").all():
        await summary.click()
    assert await looker.faults() == []
    await page.emulate_media(color_scheme="dark")
    assert await looker.faults() == []

    await looker.rows.first.get_by_role("link").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Payment")
    assert await looker.faults() == []

    await page.goto(f"{shop.origin}/")
    assert await looker.faults() == []

    async with open_shop() as broken:
        broken.sandbox.inject("status=500")
        await page.goto(f"{broken.origin}/dashboard?lang=zh")
        await expect(page.locator(".trouble")).to_be_visible()
        assert await looker.faults() == []
        await street.leave()
    assert looker.complaints == []


async def test_no_page_is_wider_than_its_window(looker: Looker, shop: Shop) -> None:
    await looker.open(shop)
    for width in (1280, 768, 360):
        await looker.page.set_viewport_size({"width": width, "height": 800})
        drawn = looker.page.locator("#figures svg[role=img]").first
        await expect(drawn).to_be_visible()
        assert await looker.page.evaluate("document.documentElement.scrollWidth") <= width
        await expect(looker.rows.first.locator(".actual_amount")).to_be_visible()


# Elsewhere


async def test_it_finds_the_api_behind_a_prefix_and_needs_nothing_else(looker: Looker) -> None:
    async with open_shop(prefix="/shop/orders") as shop:
        await looker.open(shop)
        await expect(looker.page.locator("#live")).to_have_text("Live")
        assert all(asked.startswith((f"{shop.origin}/", "data:")) for asked in looker.asked)
        await looker.rest()


def a_copy() -> Starlette:
    """The folder on a web server of somebody's own."""
    return Starlette(routes=[Mount("/", StaticFiles(directory=STATIC, html=True))])


async def test_a_copy_elsewhere_shows_a_deployment_that_permits_it(
    troubled: Looker, tmp_path: Path
) -> None:
    page = troubled.page
    async with (
        served(a_copy()) as copy,
        open_shop_with_keys(ORDERS_CORS__ORIGINS=json.dumps([copy])) as shop,
    ):
        await page.goto(f"{copy}/?status=completed")
        await page.get_by_label("Address of the API").fill(shop.origin)
        await page.get_by_label("API key").fill("obff_not-the-key-0123456789")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("This key is not accepted.")).to_be_visible()

        await page.get_by_label("API key").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(page.locator("#who")).to_have_text("ada")
        await expect(troubled.age).to_contain_text("fresh")
        await expect(page.locator(".provenance summary").first).to_have_text("1 upstream answer")
        await expect(page.get_by_text("Sandbox: these orders are invented.")).to_be_visible()

        async with page.expect_download() as downloaded:
            await page.get_by_role("button", name="Download CSV").click()
        file = await downloaded.value
        assert file.suggested_filename.startswith("orders-20")
        await file.save_as(tmp_path / "orders.csv")
        assert (tmp_path / "orders.csv").read_bytes().startswith(b"\xef\xbb\xbforder_no,")

        assert KEY not in page.url
        kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert await page.evaluate(kept) == '[{},{},""]'
        await page.reload()
        await expect(page.get_by_label("API key")).to_have_value("")
        await troubled.rest()


async def test_a_copy_elsewhere_without_permission_is_told_so(street: Street) -> None:
    looker = await street.looker()
    page = looker.page
    async with (
        served(a_copy()) as copy,
        open_shop_with_keys() as shop,
    ):
        await page.goto(copy)
        await page.get_by_label("Address of the API").fill(shop.origin)
        await page.get_by_label("API key").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(page.locator("#connect-why")).to_contain_text("does not permit this page")
    assert any("blocked by CORS policy" in complaint for complaint in looker.complaints)
    await street.leave()


async def test_the_first_page_says_whether_it_is_well_and_leads_on(
    ailing: Shop, looker: Looker
) -> None:
    page = looker.page
    await page.goto(ailing.origin)
    await expect(page.get_by_role("heading", name="It has not been asked")).to_be_visible()
    await page.get_by_role("link", name="dashboard").click()
    await expect(looker.count).to_contain_text("orders")
    await page.go_back()
    await page.reload()
    await expect(page.get_by_role("heading", name="It is well")).to_be_visible()
