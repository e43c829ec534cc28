"""Small pages: what this is, and what each problem means."""

import re
from html import unescape
from posixpath import normpath
from urllib.parse import urljoin

import pytest

from app.edge.docs import docs_router
from app.edge.health import router as health_router
from app.edge.pages import page, pages_router
from app.edge.problem_handlers import install
from app.edge.problem_kinds import PROBLEM_KINDS
from tests.support.doorway import Doorway, bare_api


async def ready() -> None: ...


def pages(*, docs_enabled: bool = True, sandbox: bool = False) -> Doorway:
    api = bare_api()
    install(api, {})
    api.include_router(pages_router(docs_enabled=docs_enabled, is_sandbox=lambda: sandbox))
    api.include_router(health_router(ready=ready, table={}))
    if docs_enabled:
        api.include_router(docs_router(document=dict, is_sandbox=lambda: sandbox))
    return Doorway(api)


@pytest.mark.parametrize("docs_enabled", [True, False])
async def test_every_link_of_every_page_leads_somewhere(docs_enabled: bool) -> None:
    doorway = pages(docs_enabled=docs_enabled)
    to_see, seen = ["/"], set[str]()
    while to_see:
        path = to_see.pop()
        answer = await doorway.ask(path)
        assert answer.status_code == 200, path
        seen.add(path)
        if answer.headers["content-type"].startswith("text/html"):
            links = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
            assert not [link for link in links if link.startswith("/")]
            found = {normpath(urljoin(path, link)) for link in links if link != "data:,"}
            to_see += found - seen - set(to_see)

    assert {f"/problems/{code}" for code in PROBLEM_KINDS} <= seen
    assert {"/livez", "/readyz", "/static/pages.css"} <= seen
    assert ("/docs" in seen) is docs_enabled


@pytest.mark.parametrize("code", PROBLEM_KINDS)
async def test_a_problem_s_page_tells_what_to_do(code: str) -> None:
    answer = await pages().ask(f"/problems/{code}")
    kind = PROBLEM_KINDS[code]
    text = unescape(re.sub("</?code>", "", answer.text))

    for told in (code, str(kind.status), kind.title, kind.meaning, kind.caller, kind.operator):
        assert told.replace("`", "") in text
    assert "`" not in text
    assert ("Yes: after" in text) is kind.retryable


@pytest.mark.parametrize("path", ["/problems/none", "/problems/%3Cscript%3E", "/problems/"])
async def test_a_problem_that_does_not_exist_has_no_page(path: str) -> None:
    answer = await pages().ask(path)

    assert answer.status_code == 404
    assert "script" not in answer.text


@pytest.mark.parametrize("path", ["/", "/problems", "/problems/not_found"])
@pytest.mark.parametrize("sandbox", [True, False])
async def test_each_page_says_when_the_orders_are_invented(path: str, sandbox: bool) -> None:
    answer = await pages(sandbox=sandbox).ask(path)

    assert ("these orders are invented" in answer.text) is sandbox
    assert answer.headers["cache-control"] == "no-cache"


def test_a_title_cannot_become_markup() -> None:
    assert b"<title>&lt;b&gt;</title>" in page("<b>", "", sandbox=False).body


async def test_the_stylesheet_is_asked_for_again_cheaply() -> None:
    doorway = pages()
    first = await doorway.ask("/static/pages.css")
    again = await doorway.ask("/static/pages.css", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"].startswith("text/css")
    assert again.status_code == 304
