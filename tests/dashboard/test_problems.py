"""Outages, rejected keys, loading: the page says what is wrong, since when, and recovers."""

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.dashboard.browser_session import DashboardPage, Deployment, sandbox_deployment

pytestmark = pytest.mark.without_coverage

TOTAL = 137
SINCE = r"since \d\d:\d\d GMT\+8"


async def test_an_outage_of_the_upstream_is_reported_at_the_top_beside_the_age_of_the_orders(
    own_deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    dashboard = failing_dashboard
    await dashboard.open(own_deployment)
    await expect(dashboard.state).to_have_attribute("data-level", "ok")
    await expect(dashboard.state).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d GMT\+8"))

    own_deployment.sandbox.inject("status=500")
    await expect(dashboard.state).to_contain_text(re.compile(f"Upstream failing {SINCE}: "))
    await expect(dashboard.state).to_have_attribute("data-level", "failing")
    await expect(dashboard.page.get_by_role("status")).to_contain_text("Upstream failing")
    await expect(dashboard.rows).to_have_count(25)
    await expect(dashboard.page.locator("main .problem")).to_have_count(0)

    await dashboard.page.get_by_text("Details").click()
    await expect(dashboard.page.locator("#details code").first).to_be_visible()

    own_deployment.sandbox.inject()
    await expect(dashboard.state).to_have_attribute("data-level", "ok")


async def test_an_unreachable_proxy_is_reported_and_the_page_recovers(
    own_deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    page = failing_dashboard.page
    await failing_dashboard.open(own_deployment)
    await expect(failing_dashboard.state).to_have_attribute("data-level", "ok")
    await page.context.set_offline(True)
    await expect(failing_dashboard.state).to_contain_text(
        re.compile(f"Proxy unreachable {SINCE}"), timeout=30_000
    )
    await expect(failing_dashboard.state).to_have_attribute("data-level", "down")
    await expect(failing_dashboard.rows).to_have_count(25)
    await page.context.set_offline(False)
    await expect(failing_dashboard.state).to_have_attribute("data-level", "ok", timeout=30_000)
    failing_dashboard.errors[:] = [
        error for error in failing_dashboard.errors if "ERR_INTERNET_DISCONNECTED" not in error
    ]


async def test_a_problem_shows_its_ids_and_disappears_after_recovery(
    own_deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    page = failing_dashboard.page
    own_deployment.sandbox.inject("status=500")
    await page.goto(f"{own_deployment.origin}/dashboard")
    problem = page.locator("main .problem")
    await expect(problem).to_have_count(1)
    await expect(problem).to_contain_text("upstream_failed")
    await expect(problem).to_contain_text("Request ID")
    await expect(problem).to_contain_text("Upstream request ID")
    await expect(failing_dashboard.state).to_contain_text("Upstream failing since before")
    help_link = problem.get_by_role("link", name="What does this mean?")
    problem_page = re.compile(f"^{own_deployment.origin}/problems/upstream_(failed|unavailable)$")
    await expect(help_link).to_have_attribute("href", problem_page)

    # The same in Chinese.
    await page.get_by_role("button", name="中文").click()
    await expect(problem).to_contain_text(re.compile("上游服务(出错|暂时不可用)"))
    await expect(failing_dashboard.state).to_contain_text("上游服务在")

    own_deployment.sandbox.inject()
    await expect(failing_dashboard.count).to_have_text(f"{TOTAL} 笔订单")
    await expect(problem).to_have_count(0)


async def reject_credential(route: Route) -> None:
    """Answer as the API does while the upstream rejects its credential."""
    await route.fulfill(
        status=502,
        json={
            "code": "upstream_credential_rejected",
            "title": "Upstream rejected the proxy's credential",
            "status": 502,
            "retryable": False,
        },
    )


async def test_the_page_recovers_when_the_operator_has_replaced_the_credential(
    deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    page = failing_dashboard.page
    await page.clock.install()
    await page.route("**/v1/orders**", reject_credential)
    await page.goto(f"{deployment.origin}/dashboard")
    await expect(failing_dashboard.state).to_contain_text("rejects the server's credential")
    await expect(failing_dashboard.state).to_have_attribute("data-level", "failing")
    await page.unroute_all()
    await page.clock.fast_forward("00:16")
    await expect(failing_dashboard.rows).to_have_count(25)
    await expect(failing_dashboard.state).to_have_attribute("data-level", "ok")


async def test_an_invalid_filter_shows_the_message_of_the_api(
    failing_dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = failing_dashboard.page
    await page.goto(f"{deployment.origin}/dashboard?status=nonsense")
    await expect(page.locator("main .problem")).to_contain_text("status must be")
    await page.get_by_role("button", name="中文").click()
    await expect(page.locator("main .problem")).to_contain_text("参数 status 的值无效。")


async def test_an_order_that_does_not_exist_is_reported_once(
    failing_dashboard: DashboardPage, deployment: Deployment
) -> None:
    await failing_dashboard.open(deployment, "?order=abc")
    problem = failing_dashboard.page.get_by_role("dialog").locator(".problem")
    await expect(problem).to_contain_text("order_no must be")
    await expect(problem).to_have_count(1)
    await expect(failing_dashboard.page.get_by_role("button", name="Close")).to_be_focused()


async def test_loading_the_list_shows_progress(failing_dashboard: DashboardPage) -> None:
    slow = {"ORDERS_UPSTREAM__DEADLINE": "0.6", "ORDERS_UPSTREAM__MAX_CONCURRENCY": "1"}
    async with sandbox_deployment(400, cache={"ttl": 60}, **slow) as deployment:
        deployment.sandbox.inject("latency=0.2,path=get-orders")
        await failing_dashboard.page.goto(f"{deployment.origin}/dashboard?status=paid")
        state = failing_dashboard.state
        await expect(state).to_contain_text("of 400 orders so far")
        await expect(state.get_by_role("progressbar")).to_have_attribute("max", "400")
        deployment.sandbox.inject()
        await expect(failing_dashboard.count).to_contain_text("orders")
        await expect(state.get_by_role("progressbar")).to_be_hidden()
        await failing_dashboard.stop_polling()


async def test_a_page_over_the_limit_says_when_it_goes_on_and_does(
    failing_dashboard: DashboardPage,
) -> None:
    limited = {"ORDERS_CALLERS__SCAN_RATE": "20/minute"}
    async with sandbox_deployment(137, cache={"ttl": 60}, **limited) as deployment:
        await failing_dashboard.open(deployment)
        used = "fetch('/v1/orders?q=' + Math.random()).then((response) => response.status)"
        statuses = [await failing_dashboard.page.evaluate(used) for _ in range(21)]
        assert statuses[-1] == 429
        await failing_dashboard.page.goto(f"{deployment.origin}/dashboard?status=paid")
        problem = failing_dashboard.page.locator("main .problem").first
        await expect(problem).to_contain_text("Too many requests")
        await expect(problem).to_contain_text(re.compile(r"Retrying in \d+ s"))
        await expect(failing_dashboard.count).to_contain_text("orders", timeout=30_000)
        await failing_dashboard.stop_polling()


async def test_an_open_order_recovers_by_itself(
    own_deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    page = failing_dashboard.page
    await failing_dashboard.open(own_deployment, "?status=paid&source=self_service")
    own_deployment.sandbox.inject("status=500")
    await failing_dashboard.rows.first.get_by_role("link").click()
    payment = page.locator("#detail-payment-problem")
    await expect(payment.get_by_role("button", name="Retry now")).to_be_visible()
    own_deployment.sandbox.inject()
    await expect(page.locator("#detail-payment")).to_contain_text("Alipay", timeout=30_000)
    await expect(payment.locator(".problem")).to_have_count(0)


async def test_a_failed_download_is_reported_and_leaves_the_page_as_it_is(
    own_deployment: Deployment, failing_dashboard: DashboardPage
) -> None:
    page = failing_dashboard.page
    await failing_dashboard.open(own_deployment)
    await page.route("**/v1/orders/export*", lambda route: route.abort())
    await page.get_by_role("button", name="Download CSV").click()
    await expect(page.get_by_role("status")).to_have_text(
        "Download failed: Cannot reach the server"
    )
    await expect(failing_dashboard.rows).to_have_count(25)
    failing_dashboard.errors.clear()


async def test_a_file_that_takes_long_is_requested_once_and_the_wait_is_shown(
    dashboard: DashboardPage, deployment: Deployment
) -> None:
    page = dashboard.page
    requests: list[str] = []
    is_ready = asyncio.Event()

    async def answer_later(route: Route) -> None:
        requests.append(route.request.url)
        await is_ready.wait()
        await route.continue_()

    await page.clock.install()
    await page.route("**/v1/orders/export*", answer_later)
    await dashboard.open(deployment)
    button = page.get_by_role("button", name="Download Excel")
    await button.click()
    await expect(page.get_by_role("status")).to_have_text("Preparing the file…")
    await page.clock.fast_forward("00:30")
    await expect(page.get_by_role("status")).to_have_text("Preparing the file…")
    await expect(button).to_have_attribute("aria-disabled", "true")
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    async with page.expect_download():
        is_ready.set()
    await expect(page.get_by_role("status")).to_contain_text("Downloaded orders-")
    await expect(button).not_to_have_attribute("aria-disabled", "true")
    assert len(requests) == 1
