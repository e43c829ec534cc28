"""The HTML pages: the start page, the problem pages and Swagger UI."""

import asyncio
import hashlib
import re
import threading
from html import unescape
from posixpath import normpath
from urllib.parse import urljoin

import pytest

from app.composition.problem_codes import PROBLEM_CODES
from app.dashboard.router import dashboard_router
from app.edge.exception_handlers import install_exception_handlers, problem_code
from app.edge.health import health_router
from app.edge.pages import STATIC, Html, docs_router, pages_router, render_page
from app.edge.problem_types import PROBLEM_TYPES
from app.upstream.errors import UpstreamTimeout, UpstreamUnreachable
from app.upstream.status import LastContact
from tests.support.api_harness import ApiHarness, bare_api


async def ready() -> None: ...


NO_CONTACT = LastContact(None, None, None)


def pages(
    *,
    docs_enabled: bool = True,
    dashboard: bool = False,
    sandbox: bool = False,
    contact: LastContact = NO_CONTACT,
) -> ApiHarness:
    api = bare_api()
    install_exception_handlers(api, {})
    routes = pages_router(
        name="shop",
        docs_enabled=docs_enabled,
        dashboard_enabled=dashboard,
        is_sandbox=lambda: sandbox,
        last_contact=lambda: contact,
        problem_code=lambda error: problem_code(error, PROBLEM_CODES),
    )
    api.include_router(routes)
    if dashboard:
        api.include_router(dashboard_router())
    api.include_router(health_router(check_ready=ready, problem_codes={}))
    if docs_enabled:
        api.include_router(docs_router(name="shop", openapi=dict, is_sandbox=lambda: sandbox))
    return ApiHarness(api)


@pytest.mark.parametrize("enabled", [True, False])
async def test_every_link_of_every_page_exists(enabled: bool) -> None:
    failing = LastContact(None, 1.0, UpstreamTimeout("x"))
    api = pages(docs_enabled=enabled, dashboard=enabled, contact=failing)
    unseen, seen = ["/"], set[str]()
    while unseen:
        path = unseen.pop()
        response = await api.request(path)
        assert response.status_code == 200, path
        seen.add(path)
        if response.headers["content-type"].startswith("text/html"):
            links = re.findall(r'(?:src|href)="([^"#]+)"', response.text)
            assert not [link for link in links if link.startswith("/")]
            found = {normpath(urljoin(path, link)) for link in links if link != "data:,"}
            unseen += found - seen - set(unseen)

    assert {f"/problems/{code}" for code in PROBLEM_TYPES} <= seen
    assert {"/livez", "/readyz", "/static/pages.css"} <= seen
    assert ("/docs" in seen) is enabled
    assert ("/dashboard" in seen) is enabled


@pytest.mark.parametrize(
    ("contact", "texts"),
    [
        (NO_CONTACT, ["No upstream request yet", "unknown"]),
        (LastContact(0.2, None, None), ["Upstream healthy", "Last response just now"]),
        (LastContact(1.9, 86_400.0, None), ["Upstream healthy", "Last response 1 second ago"]),
        (LastContact(59.0, None, None), ["Last response 59 seconds ago"]),
        (LastContact(7_300.0, None, None), ["Last response 2 hours ago"]),
        (
            LastContact(200_000.0, 60.0, UpstreamTimeout("x")),
            ["1 minute ago", "problems/upstream_timeout", "2 days ago", "still served"],
        ),
        (LastContact(None, 3.0, UpstreamUnreachable("x")), ["3 seconds ago", "Nothing is cached"]),
    ],
)
async def test_the_start_page_shows_the_status_of_the_upstream(
    contact: LastContact, texts: list[str]
) -> None:
    text = (await pages(contact=contact).request("/")).text

    assert [part for part in texts if part not in text] == []


@pytest.mark.parametrize("code", PROBLEM_TYPES)
async def test_the_page_of_a_problem_says_what_to_do(code: str) -> None:
    response = await pages().request(f"/problems/{code}")
    problem = PROBLEM_TYPES[code]
    text = unescape(re.sub("</?code>", "", response.text))

    for part in (code, str(problem.status), problem.title, problem.meaning):
        assert part.replace("`", "") in text
    for part in (problem.caller, problem.operator):
        assert part.replace("`", "") in text
    assert "`" not in text
    assert ("Yes, after" in text) is problem.retryable


@pytest.mark.parametrize("path", ["/problems/none", "/problems/%3Cscript%3E", "/problems/"])
async def test_an_unknown_problem_has_no_page(path: str) -> None:
    response = await pages().request(path)

    assert response.status_code == 404
    assert "script" not in response.text


@pytest.mark.parametrize("path", ["/", "/problems", "/problems/not_found"])
@pytest.mark.parametrize("sandbox", [True, False])
async def test_each_page_shows_whether_the_upstream_is_a_sandbox(path: str, sandbox: bool) -> None:
    response = await pages(sandbox=sandbox).request(path)

    assert ("these orders are invented" in response.text) is sandbox
    assert response.headers["cache-control"] == "no-cache"


def test_a_title_is_escaped() -> None:
    assert b"<title>&lt;b&gt;</title>" in render_page("<b>", Html(), sandbox=False).body


async def test_the_stylesheet_is_revalidated_with_304() -> None:
    api = pages()
    first = await api.request("/static/pages.css")
    again = await api.request("/static/pages.css", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"].startswith("text/css")
    assert again.status_code == 304


def docs_api(*, enabled: bool = True, sandbox: bool = False) -> ApiHarness:
    api = bare_api()
    install_exception_handlers(api, {})
    if enabled:
        api.include_router(
            docs_router(name="shop", openapi=lambda: {"title": "é"}, is_sandbox=lambda: sandbox)
        )
    return ApiHarness(api)


async def test_everything_that_the_docs_load_is_served_by_the_proxy_itself() -> None:
    api = docs_api()
    page = await api.request("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert {"docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/init.js"} <= set(loaded)
    for address in loaded:
        assert not address.startswith(("/", "http"))
        if address.startswith("docs/"):
            assert (await api.request(f"/{address}")).status_code == 200


async def test_nothing_in_the_docs_is_inline() -> None:
    page = await docs_api().request("/docs")

    assert re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page.text) == []


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("init.js", "javascript"), ("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "css")],
)
async def test_a_file_of_the_docs_has_its_media_type_and_is_revalidated_with_304(
    name: str, media_type: str
) -> None:
    api = docs_api()
    first = await api.request(f"/docs/{name}")
    again = await api.request(f"/docs/{name}", headers={"If-None-Match": first.headers["etag"]})

    assert media_type in first.headers["content-type"]
    assert first.headers["cache-control"] == "no-cache"
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/README.md",
        "/docs/docs.js",
        "/docs/..%2fpages.py",
        "/docs/%2e%2e/pages.py",
        "/docs/swagger-ui/swagger-ui.css",
        "/docs/swagger-ui.css%00",
    ],
)
async def test_no_other_files_are_served(path: str) -> None:
    response = await docs_api().request(path)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/docs", "/docs/init.js", "/openapi.json"])
async def test_disabled_docs_are_not_found(path: str) -> None:
    assert (await docs_api(enabled=False).request(path)).status_code == 404


async def test_the_document_is_json() -> None:
    response = await docs_api().request("/openapi.json")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"title": "é"}


@pytest.mark.parametrize("sandbox", [True, False])
async def test_the_docs_show_whether_the_upstream_is_a_sandbox(sandbox: bool) -> None:
    page = await docs_api(sandbox=sandbox).request("/docs")

    assert ("these orders are invented" in page.text) is sandbox


def test_the_files_of_swagger_ui_have_the_published_digests() -> None:
    folder = STATIC / "swagger-ui"
    published = re.findall(r"([0-9a-f]{64})  (\S+)", (folder / "README.md").read_text("utf-8"))
    names = {file.name for file in folder.iterdir()} - {"README.md"}

    assert {name for _, name in published} == names
    for digest, name in published:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


async def test_the_openapi_document_is_built_once_and_not_on_the_event_loop() -> None:
    threads: list[int] = []

    def openapi() -> dict[str, str]:
        threads.append(threading.get_ident())
        return {"title": "shop"}

    api = bare_api()
    api.include_router(docs_router(name="shop", openapi=openapi, is_sandbox=bool))
    harness = ApiHarness(api)
    responses = await asyncio.gather(*(harness.request("/openapi.json") for _ in range(10)))
    assert {response.content for response in responses} == {b'{"title": "shop"}'}
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
