"""Small pages: what this is, and what each problem means."""

import re
from html import unescape
from posixpath import normpath
from urllib.parse import urljoin

import pytest

from app.dashboard.router import dashboard_router
from app.edge.docs import docs_router
from app.edge.exception_handlers import install_exception_handlers, problem_code
from app.edge.health import health_router
from app.edge.pages import pages_router, render_page
from app.edge.problem_types import PROBLEM_TYPES
from app.main import PROBLEM_CODES
from app.upstream.errors import UpstreamTimeout, UpstreamUnreachable
from app.upstream.status import LastContact
from tests.support.api_harness import ApiHarness, bare_api


async def ready() -> None: ...


NOTHING_HEARD = LastContact(None, None, None)


def pages(
    *,
    docs_enabled: bool = True,
    dashboard: bool = False,
    sandbox: bool = False,
    heard: LastContact = NOTHING_HEARD,
) -> ApiHarness:
    api = bare_api()
    install_exception_handlers(api, {})
    routes = pages_router(
        docs_enabled=docs_enabled,
        dashboard=dashboard,
        is_sandbox=lambda: sandbox,
        last_contact=lambda: heard,
        problem_code=lambda error: problem_code(error, PROBLEM_CODES),
    )
    api.include_router(routes)
    if dashboard:
        api.include_router(dashboard_router())
    api.include_router(health_router(ready=ready, table={}))
    if docs_enabled:
        api.include_router(docs_router(document=dict, is_sandbox=lambda: sandbox))
    return ApiHarness(api)


@pytest.mark.parametrize("offered", [True, False])
async def test_every_link_of_every_page_leads_somewhere(offered: bool) -> None:
    failing = LastContact(None, 1.0, UpstreamTimeout("x"))
    doorway = pages(docs_enabled=offered, dashboard=offered, heard=failing)
    to_see, seen = ["/"], set[str]()
    while to_see:
        path = to_see.pop()
        answer = await doorway.request(path)
        assert answer.status_code == 200, path
        seen.add(path)
        if answer.headers["content-type"].startswith("text/html"):
            links = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)
            assert not [link for link in links if link.startswith("/")]
            found = {normpath(urljoin(path, link)) for link in links if link != "data:,"}
            to_see += found - seen - set(to_see)

    assert {f"/problems/{code}" for code in PROBLEM_TYPES} <= seen
    assert {"/livez", "/readyz", "/static/pages.css"} <= seen
    assert ("/docs" in seen) is offered
    assert ("/dashboard" in seen) is offered


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (NOTHING_HEARD, ["Nobody has asked", "unasked"]),
        (LastContact(0.2, None, None), ["It is well", "answered just now"]),
        (LastContact(1.9, 86_400.0, None), ["It is well", "answered 1 second ago"]),
        (LastContact(59.0, None, None), ["answered 59 seconds ago"]),
        (LastContact(7_300.0, None, None), ["answered 2 hours ago"]),
        (
            LastContact(200_000.0, 60.0, UpstreamTimeout("x")),
            ["1 minute ago", "problems/upstream_timeout", "2 days ago", "still served"],
        ),
        (LastContact(None, 3.0, UpstreamUnreachable("x")), ["3 seconds ago", "Nothing is cached"]),
    ],
)
async def test_the_first_page_tells_whether_it_is_well(heard: LastContact, told: list[str]) -> None:
    text = (await pages(heard=heard).request("/")).text

    assert [part for part in told if part not in text] == []


@pytest.mark.parametrize("code", PROBLEM_TYPES)
async def test_a_problem_s_page_tells_what_to_do(code: str) -> None:
    answer = await pages().request(f"/problems/{code}")
    kind = PROBLEM_TYPES[code]
    text = unescape(re.sub("</?code>", "", answer.text))

    for told in (code, str(kind.status), kind.title, kind.meaning, kind.caller, kind.operator):
        assert told.replace("`", "") in text
    assert "`" not in text
    assert ("Yes: after" in text) is kind.retryable


@pytest.mark.parametrize("path", ["/problems/none", "/problems/%3Cscript%3E", "/problems/"])
async def test_a_problem_that_does_not_exist_has_no_page(path: str) -> None:
    answer = await pages().request(path)

    assert answer.status_code == 404
    assert "script" not in answer.text


@pytest.mark.parametrize("path", ["/", "/problems", "/problems/not_found"])
@pytest.mark.parametrize("sandbox", [True, False])
async def test_each_page_says_when_the_orders_are_invented(path: str, sandbox: bool) -> None:
    answer = await pages(sandbox=sandbox).request(path)

    assert ("these orders are invented" in answer.text) is sandbox
    assert answer.headers["cache-control"] == "no-cache"


def test_a_title_cannot_become_markup() -> None:
    assert b"<title>&lt;b&gt;</title>" in render_page("<b>", "", sandbox=False).body


async def test_the_stylesheet_is_asked_for_again_cheaply() -> None:
    doorway = pages()
    first = await doorway.request("/static/pages.css")
    again = await doorway.request(
        "/static/pages.css", headers={"If-None-Match": first.headers["etag"]}
    )

    assert first.headers["content-type"].startswith("text/css")
    assert again.status_code == 304
