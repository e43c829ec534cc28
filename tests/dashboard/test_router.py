"""The routes and static files of the dashboard."""

import re

import pytest

from app.dashboard.router import STATIC, dashboard_router
from app.edge.exception_handlers import install_exception_handlers
from tests.identity.login_browser import LoginBrowser
from tests.support.api_harness import ApiHarness, bare_api
from tests.support.proxy import Proxy


@pytest.fixture
def doorway() -> ApiHarness:
    api = bare_api()
    install_exception_handlers(api, {})
    api.include_router(dashboard_router())
    return ApiHarness(api)


async def test_the_page_and_its_files_are_served_and_revalidated_with_304(
    doorway: ApiHarness,
) -> None:
    files = [f"/dashboard/{file.name}" for file in (STATIC / "dashboard").iterdir()]
    for path in ("/dashboard", *files):
        response = await doorway.request(path)
        assert response.status_code == 200, path
        assert response.headers["cache-control"] == "no-cache"
        revalidated = await doorway.request(
            path, headers={"If-None-Match": response.headers["etag"]}
        )
        assert revalidated.status_code == 304
    assert (
        (await doorway.request("/dashboard/main.js"))
        .headers["content-type"]
        .startswith("text/javascript")
    )


async def test_the_page_has_the_configured_title() -> None:
    api = bare_api()
    api.include_router(dashboard_router("<shop>"))

    page = (await ApiHarness(api).request("/dashboard")).text

    assert '<meta name="application-name" content="&lt;shop&gt;">' in page
    assert '<meta name="application-name" content="">' in (STATIC / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    "path", ["/dashboard/", "/dashboard/none.js", "/dashboard/..%2findex.html"]
)
async def test_other_paths_are_not_found(doorway: ApiHarness, path: str) -> None:
    assert (await doorway.request(path)).status_code == 404


def test_the_page_links_only_to_existing_files_and_has_no_inline_code() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert [name for name in links if name != "data:," and not (STATIC / name).is_file()] == []
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src)", page)


def test_no_module_writes_markup_or_uses_browser_storage() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\.style\b"
        r"|localStorage|sessionStorage|indexedDB|document\.cookie|parseFloat"
    )
    for module in (STATIC / "dashboard").glob("*.js"):
        assert forbidden.findall(module.read_text("utf-8")) == [], module.name


async def test_the_dashboard_is_served_only_if_it_is_enabled() -> None:
    assert (await Proxy().get("/dashboard")).status_code == 404
    assert "dashboard" not in (await Proxy().get("/")).text
    enabled = Proxy(dashboard={"enabled": True})
    assert (await enabled.get("/dashboard")).status_code == 200
    assert 'href="dashboard"' in (await enabled.get("/")).text
    assert "sign in" not in (await enabled.get("/")).text


async def test_where_people_sign_in_the_page_is_not_stored_and_links_to_it() -> None:
    proxy = LoginBrowser().proxy
    page = await proxy.get("/dashboard", If_None_Match="*")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert '<meta name="orders-login" content="auth/login">' in page.text
    assert 'href="auth/login"' in (await proxy.get("/")).text
    docs = await proxy.get("/docs")
    assert docs.headers["cache-control"] == "no-store"
    assert 'href="auth/login?return_to=/docs"' in docs.text


async def test_the_start_page_shows_the_last_upstream_result() -> None:
    proxy = Proxy()
    assert "No upstream request yet" in (await proxy.get("/")).text
    await proxy.get("/v1/orders")
    await proxy.clock.advance(61)
    assert "Last response 1 minute ago" in (await proxy.get("/")).text
    proxy.sandbox.inject("status=500")
    await proxy.get("/v1/orders", Cache_Control="no-cache")
    assert "problems/upstream_failed" in (await proxy.get("/")).text
