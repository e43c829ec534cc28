"""HTML pages: `/`, the problem pages and Swagger UI; and the OpenAPI document.

Everything is served from this package, nothing from other hosts.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from app.edge.problem_types import PROBLEM_TYPES
from app.upstream.status import LastContact

STATIC = Path(__file__).parent / "static"

_REVALIDATED = {"Cache-Control": "no-cache"}
_BANNER = '<p class="banner" role="status">Sandbox: these orders are invented.</p>'

_DOCS_HEAD = """<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/init.js" defer></script>
"""
_DOCS_MAIN = """<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. <a href="openapi.json">The OpenAPI document</a> does
not.</noscript>"""

_DOCS_FILES = {
    "init.js": "docs.js",
    "swagger-ui.css": "swagger-ui/swagger-ui.css",
    "swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
}
"""The files under /docs/ by name; no others are served."""


def pages_router(
    *,
    docs_enabled: bool,
    dashboard_enabled: bool,
    is_sandbox: Callable[[], bool],
    last_contact: Callable[[], LastContact],
    problem_code: Callable[[Exception], str],
) -> APIRouter:
    """Return the routes `/`, `/problems`, `/problems/{code}` and their stylesheet.

    Args:
        docs_enabled: whether `/` links to Swagger UI and the OpenAPI document.
        dashboard_enabled: whether `/` links to the dashboard.
        is_sandbox: whether the upstream is a sandbox; called for each page, since only the
            upstream's responses say so.
        last_contact: returns what is known of the upstream, without calling it.
        problem_code: returns the problem code of an error.
    """
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)

    @router.get("/")
    async def index() -> Response:
        links = _links(docs_enabled=docs_enabled, dashboard_enabled=dashboard_enabled)
        status = _status_section(last_contact(), problem_code)
        return render_page("orders-bff", _index(links, status), sandbox=is_sandbox())

    @router.get("/problems")
    async def problems() -> Response:
        return render_page("Problems", _problems(), sandbox=is_sandbox())

    @router.get("/problems/{code}")
    async def problem(code: str) -> Response:
        if code not in PROBLEM_TYPES:
            raise HTTPException(404)
        return render_page(
            PROBLEM_TYPES[code].title, _problem(code), root="../", sandbox=is_sandbox()
        )

    @router.get("/static/pages.css")
    async def stylesheet(request: Request) -> Response:
        return await static_file(files, "pages.css", request)

    return router


def docs_router(
    *, openapi: Callable[[], Mapping[str, Any]], is_sandbox: Callable[[], bool]
) -> APIRouter:
    """Return the routes `/docs` (Swagger UI), its files and `/openapi.json`."""
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)

    @cache
    def openapi_bytes() -> bytes:
        return json.dumps(openapi(), ensure_ascii=False).encode()

    @router.get("/docs")
    async def docs() -> Response:
        return render_page(
            "orders-bff: docs",
            _DOCS_MAIN,
            head=_DOCS_HEAD,
            body_class="docs",
            sandbox=is_sandbox(),
        )

    @router.get("/docs/{name}")
    async def docs_file(name: str, request: Request) -> Response:
        if name not in _DOCS_FILES:
            raise HTTPException(404)
        return await static_file(files, _DOCS_FILES[name], request)

    @router.get("/openapi.json")
    async def document() -> Response:
        return Response(openapi_bytes(), media_type="application/json", headers=_REVALIDATED)

    return router


async def static_file(files: StaticFiles, name: str, request: Request) -> Response:
    """Return the file, or 304. Browsers revalidate it on each visit, so upgrades show at once."""
    response = await files.get_response(name, request.scope)
    response.headers.update(_REVALIDATED)
    return response


def render_page(
    title: str,
    main: str,
    *,
    sandbox: bool,
    root: str = "",
    head: str = "",
    body_class: str = "page",
) -> HTMLResponse:
    """Return an HTML page. All its links must be relative, so that it works under a prefix.

    Args:
        title: plain text.
        main: the content, as HTML.
        sandbox: whether to show the sandbox banner.
        root: the relative path from the page to `/`.
        head: more elements of the head, as HTML.
        body_class: the class of the body.
    """
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}static/pages.css">
{head}</head>
<body class="{body_class}">
{_BANNER if sandbox else ""}
<main>
{main}
</main>
</body>
</html>
"""
    return HTMLResponse(html, headers=_REVALIDATED)


def _index(links: str, status: str) -> str:
    return f"""<h1>orders-bff</h1>
<p class="lead">A caching proxy in front of one order list. Callers authenticate with an API key of
their own; the upstream's credential stays on the server.</p>
{status}
<nav aria-label="Pages">
<ul class="links">
{links}</ul>
</nav>"""


def _links(*, docs_enabled: bool, dashboard_enabled: bool) -> str:
    links = [
        ("dashboard", "Orders with filters, totals and charts.", dashboard_enabled),
        ("docs", "Every route, explained and ready to try out.", docs_enabled),
        ("openapi.json", "The OpenAPI document, for programs.", docs_enabled),
        ("problems", "What each error means, and what to do about it.", True),
        ("livez", "Liveness.", True),
        ("readyz", "Readiness; calls the upstream until its first successful response.", True),
    ]
    return "".join(
        f'<li><a href="{path}">{path}</a> <span>{description}</span></li>\n'
        for path, description, is_enabled in links
        if is_enabled
    )


def _status_section(contact: LastContact, problem_code: Callable[[Exception], str]) -> str:
    """Return the upstream's status, as far as this process knows it without calling it."""
    if contact.error is not None and contact.seconds_since_failure is not None:
        code = problem_code(contact.error)
        link = f'<a href="problems/{escape(code)}">{escape(PROBLEM_TYPES[code].title)}</a>'
        text = f"{link}, {_humanize_age(contact.seconds_since_failure)}. " + (
            "Nothing is cached yet."
            if contact.seconds_since_success is None
            else f"Last response {_humanize_age(contact.seconds_since_success)}. "
            "Cached responses are still served."
        )
        return _section("failing", "Upstream failing", text)
    if contact.seconds_since_success is not None:
        text = f"Last response {_humanize_age(contact.seconds_since_success)}."
        return _section("healthy", "Upstream healthy", text)
    text = "The upstream is called when the first caller requests orders."
    return _section("unknown", "No upstream request yet", text)


def _section(status_class: str, title: str, text: str) -> str:
    return f"""<section class="status {status_class}" aria-labelledby="status">
<h2 id="status">{title}</h2>
<p>{text}</p>
</section>"""


def _humanize_age(seconds: float) -> str:
    """Return an age in its largest unit: 7300 is "2 hours ago"."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _problems() -> str:
    rows = "\n".join(
        f'<tr><td>{problem.status}</td><th scope="row"><a href="problems/{escape(code)}">'
        f"<code>{escape(code)}</code></a></th><td>{escape(problem.title)}</td></tr>"
        for code, problem in PROBLEM_TYPES.items()
    )
    return f"""<h1>Problems</h1>
<p>Every error of this proxy is one of these, as <code>application/problem+json</code>.</p>
<table>
<thead>
<tr><th scope="col">Status</th><th scope="col">Code</th><th scope="col">Title</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
<p><a href="./">Start page</a></p>"""


def _problem(code: str) -> str:
    problem = PROBLEM_TYPES[code]
    retry = (
        "Yes, after the seconds in <code>Retry-After</code>."
        if problem.retryable
        else "No: the same request will fail again until something changes."
    )
    return f"""<p class="quiet"><code>{escape(code)}</code> · status {problem.status}</p>
<h1>{escape(problem.title)}</h1>
<p>{_backticks_to_code(problem.meaning)}</p>
<h2>Does it help to try again?</h2>
<p>{retry}</p>
<h2>What the caller can do</h2>
<p>{_backticks_to_code(problem.caller)}</p>
<h2>What the operator can do</h2>
<p>{_backticks_to_code(problem.operator)}</p>
<p><a href="../problems">All problems</a></p>"""


def _backticks_to_code(text: str) -> str:
    """Return `text` as HTML, with backticks turned into code elements."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
