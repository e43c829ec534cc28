"""Accessibility, and where things are on screens of every width."""

import pytest
from playwright.async_api import Route, ViewportSize, expect

from tests.dashboard.browser_session import (
    BrowserSession,
    DashboardPage,
    Deployment,
    sandbox_deployment,
)

pytestmark = pytest.mark.without_coverage

WIDTHS = (320, 360, 390, 480, 640, 768, 769, 900, 993, 1024, 1072, 1200, 1345, 1440, 1920, 2560)

CLIPPED_TEXTS = """
() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement: parent, data } = texts.currentNode;
    const isScrolled = "#chart-table, .visually-hidden, .skip, select";
    if (!data.trim() || !parent.checkVisibility() || parent.closest(isScrolled)) continue;
    if (getComputedStyle(parent).clipPath !== "none") continue;
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const { left, right } = range.getBoundingClientRect();
    let [least, most] = [0, innerWidth];
    for (let at = parent; at !== document.body; at = at.parentElement) {
      if (getComputedStyle(at).overflowX === "visible") continue;
      const box = at.getBoundingClientRect();
      [least, most] = [Math.max(least, box.left), Math.min(most, box.right)];
    }
    if (left < least - 1 || right > most + 1) found.push(data.trim());
  }
  for (const button of document.querySelectorAll("button, summary")) {
    if (button.checkVisibility() && button.offsetHeight > 46) found.push(button.textContent);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
  return found;
}
"""

TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"

OPEN_MENUS = """
() => {
  document.getElementById("filters").classList.add("open");
  for (const menu of document.querySelectorAll("details.menu")) menu.open = true;
}
"""

LAYOUT_SHIFT = """
() => {
  window.layoutShift = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) {
      if (!entry.hadRecentInput) window.layoutShift += entry.value;
    }
  }).observe({ type: "layout-shift", buffered: true });
}
"""

DESKTOP = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)


async def with_long_values(route: Route) -> None:
    """Answer with the longest values that rows may have."""
    response = await route.fetch()
    body = await response.json()
    long_values = {
        "order_no": "W" * 62 + "-1",
        "package_name": {"en": "Extraordinarily-long-package-name " * 3, "zh": "企业版" * 20},
        "actual_amount": "-123456789012345.12345678",
        "unit_price": "999999999999.999",
        "quantity": 2**53,
        "status": "unknown",
        "type": "a_type_that_nobody_knows_today",
    }
    body["data"][1] |= long_values
    await route.fulfill(response=response, json=body)


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_no_text_is_clipped_at_any_width_in_common_fonts(
    session: BrowserSession, deployment: Deployment, language: str
) -> None:
    dashboard = await session.new_page(bypass_csp=True)
    page = dashboard.page
    await page.route("**/v1/orders?*", with_long_values)
    await dashboard.open_view(deployment, f"?from=2026-11-01&to=2026-11-20&lang={language}")
    for font in ("Inter", "DejaVu Sans"):
        style = await page.add_style_tag(content=f"body {{ font-family: '{font}', sans-serif; }}")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            await page.evaluate(OPEN_MENUS)
            await page.evaluate(TWO_FRAMES)
            assert await page.evaluate(CLIPPED_TEXTS) == [], (font, width)
        await style.evaluate("node => node.remove()")
    await session.close_pages()


@pytest.mark.parametrize(("size", "screens"), [(DESKTOP, 1), (PHONE, 2)])
async def test_orders_come_first_and_nothing_jumps_while_the_page_loads(
    session: BrowserSession, deployment: Deployment, size: ViewportSize, screens: int
) -> None:
    dashboard = await session.new_page(viewport=size)
    await dashboard.page.add_init_script(f"({LAYOUT_SHIFT})()")
    for search in ("", "?status=unpaid", "?from=2026-11-01&to=2026-11-14"):
        await dashboard.open_view(deployment, search)
        top = await dashboard.rows.first.evaluate("row => row.getBoundingClientRect().bottom")
        assert top < screens * size["height"]
        assert await dashboard.page.evaluate("layoutShift") < 0.1, search
    await session.close_pages()


async def test_nothing_jumps_while_a_long_list_loads(session: BrowserSession) -> None:
    dashboard = await session.new_page(expected_statuses={503}, viewport=DESKTOP)
    page = dashboard.page
    await page.add_init_script(f"({LAYOUT_SHIFT})()")
    slow = {"ORDERS_UPSTREAM__DEADLINE": "0.6", "ORDERS_UPSTREAM__MAX_CONCURRENCY": "1"}
    async with sandbox_deployment(1000, cache={"ttl": 60}, **slow) as deployment:
        deployment.sandbox.inject("latency=0.15,path=get-orders")
        await page.goto(f"{deployment.origin}/dashboard")
        # The first page is readable long before the whole list is loaded.
        await expect(dashboard.rows.first).to_be_visible()
        await expect(dashboard.state).to_contain_text("of 1,000 orders so far")
        deployment.sandbox.inject()
        await expect(page.locator("#chart .column").first).to_be_visible()
        assert await page.evaluate("layoutShift") < 0.1
        await dashboard.stop_polling()
    await session.close_pages()


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_there_are_no_accessibility_violations(
    session: BrowserSession, deployment: Deployment, language: str
) -> None:
    dashboard = await session.new_page(expected_statuses={502}, reduced_motion="reduce")
    page = dashboard.page
    await dashboard.open_view(
        deployment, f"?status=paid&sort=created_at&from=2026-11-01&to=2026-11-20&lang={language}"
    )
    await page.locator("#chart-data summary").click()
    await page.locator("#strip summary").click()
    assert await dashboard.accessibility_violations() == []
    await page.emulate_media(color_scheme="dark")
    assert await dashboard.accessibility_violations() == []

    await dashboard.rows.first.get_by_role("link").click()
    await expect(page.locator("#detail-payment dd").first).to_be_visible()
    assert await dashboard.accessibility_violations() == []

    await page.goto(f"{deployment.origin}/")
    assert await dashboard.accessibility_violations() == []

    async with sandbox_deployment() as broken:
        broken.sandbox.inject("status=500")
        await page.goto(f"{broken.origin}/dashboard?lang={language}")
        await expect(page.locator("main .problem")).to_be_visible()
        assert await dashboard.accessibility_violations() == []
        await session.close_pages()
    assert dashboard.errors == []


async def test_the_page_works_with_the_keyboard_alone(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page, keys = dashboard.page, dashboard.page.keyboard
    await dashboard.open(deployment)
    await keys.press("Tab")
    await expect(page.get_by_role("link", name="Skip to orders")).to_be_focused()
    for _ in range(30):
        await keys.press("Tab")
        if await page.evaluate("document.activeElement.value") == "paid":
            break
    await keys.press("Space")
    await expect(page.get_by_label("Paid", exact=True)).to_be_checked()
    await expect(dashboard.count).not_to_have_text("137 orders")

    source = page.locator("summary[data-name=source]")
    await source.focus()
    await keys.press("Enter")
    await keys.press("Tab")
    await keys.press("Space")
    await expect(source).to_have_text("Source (1)")
    await keys.press("Escape")
    await expect(source).to_be_focused()

    await dashboard.rows.first.get_by_role("link").focus()
    await keys.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.get_by_role("button", name="Close").focus()
    await keys.press("Enter")
    await expect(dashboard.rows.first.get_by_role("link")).to_be_focused()


async def test_the_printed_page_has_the_filters_and_every_column(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    await page.set_viewport_size(PHONE)
    await dashboard.open_view(deployment, "?status=paid&from=2026-11-01")
    await page.emulate_media(media="print", color_scheme="dark")
    # Dark text, as on a light screen: paper is white.
    assert await page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 32, 36)"
    await page.set_viewport_size({"width": 1050, "height": 740})
    await expect(page.locator("#print-filters")).to_have_text(
        "Filters: Status Paid; From 1 Nov 2026. Times are in Asia/Shanghai."
    )
    for name in ("order_no", "source", "unit_price", "actual_amount"):
        await expect(dashboard.rows.first.locator(f".{name}")).to_be_visible()
    await expect(page.locator("#filters")).to_be_hidden()
    for paper in (ViewportSize(width=1050, height=740), ViewportSize(width=718, height=1050)):
        await page.set_viewport_size(paper)
        assert await page.evaluate(CLIPPED_TEXTS) == []
