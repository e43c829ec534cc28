"""Sign-in in a real browser, with the proxy, its issuer and an attacker on three different sites.

Ports and prefixes do not make another site, host names do. Chromium resolves them to this machine.
"""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme
import uvicorn
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    async_playwright,
    expect,
)
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import SystemClock
from app.main import create_app
from app.sandbox.app import Sandbox
from app.sandbox.issuer import SandboxIssuer
from app.sandbox.options import CLIENT_ID, CLIENT_SECRET, ROLE, Options
from app.settings import load
from tests.support.browser import CHROMIUM, CHROMIUM_ARGUMENTS, SKIP_REASON, should_skip
from tests.support.proxy import SandboxTransport

SITES = ("orders.example", "id.test", "attacker.test")
RULES = ", ".join([*(f"MAP {site} 127.0.0.1" for site in SITES), "MAP * ~NOTFOUND"])
ARGUMENTS = [
    *(each for each in CHROMIUM_ARGUMENTS if not each.startswith("--host-resolver-rules")),
    f"--host-resolver-rules={RULES}",
]
SESSION = "__Host-Http-orders"

if should_skip():
    pytest.skip(SKIP_REASON, allow_module_level=True)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The browser is shared by the module, so the event loop is too."""
    return "asyncio"


@dataclass
class Sites:
    """Three sites, and a browser that can open them.

    Attributes:
        orders: the origin of the proxy.
        attacker: the origin of the page of an attacker.
        served: the statuses with which the proxy has answered, by method and path.
        browser: the browser.
    """

    orders: str
    attacker: str
    served: dict[str, list[int]]
    browser: Browser

    async def new_context(self) -> BrowserContext:
        """Return a browser profile of its own."""
        context = await self.browser.new_context(ignore_https_errors=True, locale="en-GB")
        context.set_default_timeout(15_000)
        return context

    async def sign_in(self, page: Page, person: str, search: str = "") -> None:
        """Open the dashboard and sign in as somebody."""
        await page.goto(f"{self.orders}/dashboard{search}")
        await page.locator("#login-link").click()
        await page.get_by_text(person).click()


@pytest.fixture(scope="module")
async def sites(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sites]:
    authority = trustme.CA()
    certificate = tmp_path_factory.mktemp("tls") / "server.pem"
    authority.issue_cert(*SITES).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in SITES]
    origins = [
        f"https://{site}:{listener.getsockname()[1]}"
        for site, listener in zip(SITES, listeners, strict=True)
    ]
    orders, issuer_url, attacker = origins
    clock, options = SystemClock(), Options(orders=12)
    issuer = SandboxIssuer(clock=clock, redirect_uris=[f"{orders}/auth/callback"])
    app = create_app(
        load(settings_of(options, orders, issuer_url), dotenv=Path("/missing/.env")),
        transport=SandboxTransport(Sandbox(options, clock=clock)),
        issuer_transport=httpx.ASGITransport(issuer),
        clock=clock,
    )
    served: dict[str, list[int]] = {}
    async with AsyncExitStack() as stack:
        apps: tuple[ASGIApp, ...] = (recorded(app, served), issuer, pages_of(orders))
        for each, listener in zip(apps, listeners, strict=True):
            await stack.enter_async_context(serving_https(each, listener, certificate))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        expect.set_options(timeout=15_000)
        yield Sites(orders, attacker, served, browser)
        await browser.close()


def settings_of(options: Options, orders: str, issuer: str) -> dict[str, str]:
    grant = {"claim": "roles", "value": ROLE, "scopes": ["orders:read"]}
    return {
        "ORDERS_UPSTREAM__BASE_URL": "http://127.0.0.1:9",
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": options.access_key_id,
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": options.access_key_secret,
        "ORDERS_LOGIN__ISSUER": issuer,
        "ORDERS_LOGIN__CLIENT_ID": CLIENT_ID,
        "ORDERS_LOGIN__CLIENT_SECRET": CLIENT_SECRET,
        "ORDERS_LOGIN__COOKIE_SECRETS": json.dumps(["secret-of-a-test" * 2]),
        "ORDERS_CALLERS__GRANTS": json.dumps([grant]),
        "ORDERS_SERVER__PUBLIC_URL": orders,
        "ORDERS_DASHBOARD__ENABLED": "true",
    }


def pages_of(orders: str) -> Starlette:
    """Return an attacker's page that sends everything that a page can send to another site."""
    html = f"""<!doctype html><title>attack</title>
        <img src="{orders}/auth/login"><img src="{orders}/v1/orders">
        <iframe src="{orders}/auth/login"></iframe>
        <form method="post" action="{orders}/auth/logout"><button>go</button></form>"""
    return Starlette(routes=[Route("/", lambda _: HTMLResponse(html))])


def recorded(app: ASGIApp, served: dict[str, list[int]]) -> ASGIApp:
    """Return `app`, whose statuses are recorded: browsers hide those that a page must not see."""

    async def record(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                served.setdefault(f"{scope['method']} {scope['path']}", []).append(
                    message["status"]
                )
            await send(message)

        await app(scope, receive, send_recorded)

    return record


@asynccontextmanager
async def serving_https(
    app: ASGIApp, listener: socket.socket, certificate: Path
) -> AsyncIterator[None]:
    config = uvicorn.Config(app, ssl_certfile=certificate, log_config=None, ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    yield
    server.force_exit = True
    await server.shutdown(sockets=[listener])


async def test_the_first_page_after_sign_in_has_the_session(sites: Sites) -> None:
    """The cookie is `SameSite=Strict`: a redirect from the issuer's site would be sent without."""
    context = await sites.new_context()
    page = await context.new_page()
    await page.goto(f"{sites.orders}/auth/login?return_to=/v1/me")
    await page.get_by_text("Ada Lovelace").click()
    await expect(page.locator("body")).to_contain_text('"kind":"session"')

    # Swagger UI needs no key then, and its first operation is this one.
    await page.goto(f"{sites.orders}/docs")
    operation = page.locator(".opblock").first
    await operation.locator(".opblock-summary-control").click()
    await operation.locator("button.execute").click()
    await expect(operation.locator(".live-responses-table")).to_contain_text("Ada Lovelace")
    await context.close()


async def test_a_person_signs_in_on_another_site_and_signs_out(sites: Sites) -> None:
    context = await sites.new_context()
    page = await context.new_page()
    await sites.sign_in(page, "Ada Lovelace", "?status=completed&tz=UTC")
    await expect(page.locator("#caller")).to_have_text("Ada Lovelace")
    await expect(page.locator("#count")).to_contain_text("order")
    assert page.url == f"{sites.orders}/dashboard?status=completed&tz=UTC"
    (cookie,) = await context.cookies()
    assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"]) == (SESSION, "Strict", True)

    other = await context.new_page()
    await other.goto(f"{sites.orders}/dashboard?q=pack&tz=UTC")
    await expect(other.locator("#caller")).to_have_text("Ada Lovelace")
    await page.goto(f"{sites.orders}/problems")
    await other.locator("#table tbody a").first.click()
    await expect(other.locator("#detail-order")).to_contain_text("Unit price")
    await other.keyboard.press("Escape")
    await other.locator("#sign-out").click()
    await expect(other.get_by_text("You are signed out.")).to_be_visible()
    await expect(other.locator("#end-session")).to_be_visible()
    assert await context.cookies() == []
    for emptied in ("#table", "#chart .chart-area", "#chart-table", "#breakdowns"):
        await expect(other.locator(emptied)).to_have_text("")
    await expect(other.locator("#detail-order")).to_have_text("")

    await page.go_back()
    await expect(page.locator("#login-link")).to_be_visible()
    await expect(page.locator("#table tbody tr")).to_have_count(0)
    await other.locator("#end-session").click()
    await expect(other.get_by_text("You are signed out of the sandbox issuer")).to_be_visible()
    await context.close()


async def test_a_session_that_ends_leads_back_to_the_same_view(sites: Sites) -> None:
    context = await sites.new_context()
    page = await context.new_page()
    await sites.sign_in(page, "Ada Lovelace", "?status=paid&tz=UTC")
    await expect(page.locator("#count")).to_contain_text("order")
    await context.clear_cookies()  # as the browser does when the session expires
    await page.get_by_label("Completed").check()
    await expect(page.get_by_text("Your session has ended.")).to_be_visible()

    view = page.url
    await page.get_by_role("link", name="Sign in again").click()
    await page.get_by_text("Ada Lovelace").click()
    await expect(page.locator("#count")).to_contain_text("order")
    assert page.url == view
    await context.close()


async def test_a_person_without_access_is_referred_to_the_operator(sites: Sites) -> None:
    context = await sites.new_context()
    page = await context.new_page()
    await sites.sign_in(page, "Grace Hopper")
    await expect(page.get_by_text("You are signed in as Grace Hopper, but")).to_be_visible()
    await page.get_by_role("button", name="中文").click()
    await expect(page.get_by_text("您已以 Grace Hopper 的身份登录")).to_be_visible()
    await expect(page.locator("#table tbody tr")).to_have_count(0)
    await context.close()


async def test_a_page_of_another_site_can_do_nothing(sites: Sites) -> None:
    context = await sites.new_context()
    page = await context.new_page()
    await sites.sign_in(page, "Ada Lovelace")
    await expect(page.locator("#caller")).to_have_text("Ada Lovelace")
    before = await context.cookies()

    sites.served.clear()
    await page.goto(sites.attacker, wait_until="load")
    send = """async ([url, method, mode]) => {
        try {
            const response = await fetch(url, {method, mode, credentials: "include"});
            return response.type;
        } catch { return "refused"; }
    }"""
    orders = f"{sites.orders}/v1/orders"
    assert await page.evaluate(send, [orders, "GET", "cors"]) == "refused"
    assert await page.evaluate(send, [orders, "GET", "no-cors"]) == "refused"
    assert await page.evaluate(send, [f"{sites.orders}/auth/logout", "POST", "cors"]) == "refused"
    await page.get_by_role("button", name="go").click()
    await expect(page.locator("body")).to_contain_text("cross_site_request")

    # The img and two of the fetches; without the cookie, which the browser does not send.
    assert sites.served["GET /v1/orders"] == [401] * 3
    assert set(sites.served["GET /auth/login"]) == {403}
    assert sites.served["POST /auth/logout"] == [403, 403]
    assert await context.cookies() == before
    await context.close()
