"""Small pages for people: what this is, and what each problem means. Knows no resource."""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from app.edge.problem_kinds import PROBLEM_KINDS

STATIC = Path(__file__).parent / "static"

_REVALIDATED = {"Cache-Control": "no-cache"}
_BANNER = '<p class="banner" role="status">Sandbox: these orders are invented.</p>'


def pages_router(*, docs_enabled: bool, is_sandbox: Callable[[], bool]) -> APIRouter:
    """`/`, `/problems`, `/problems/{code}` and the stylesheet they share.

    `is_sandbox` is asked at each page: only answers tell what the upstream is.
    """
    routes = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)

    @routes.get("/")
    async def index() -> Response:
        return page("orders-bff", _index(docs_enabled=docs_enabled), sandbox=is_sandbox())

    @routes.get("/problems")
    async def problems() -> Response:
        return page("Problems", _problems(), sandbox=is_sandbox())

    @routes.get("/problems/{code}")
    async def problem(code: str) -> Response:
        if code not in PROBLEM_KINDS:
            raise HTTPException(404)
        return page(PROBLEM_KINDS[code].title, _problem(code), root="../", sandbox=is_sandbox())

    @routes.get("/static/pages.css")
    async def stylesheet(request: Request) -> Response:
        return await static_file(files, "pages.css", request)

    return routes


async def static_file(files: StaticFiles, name: str, request: Request) -> Response:
    """The file `name`, or 304; asked for again at each visit, so an upgrade shows at once."""
    response = await files.get_response(name, request.scope)
    response.headers.update(_REVALIDATED)
    return response


def page(
    title: str, main: str, *, sandbox: bool, root: str = "", head: str = "", kind: str = "page"
) -> HTMLResponse:
    """A whole page around `main`, which is HTML. `root` leads to `/`, relative to the page.

    Every link is relative, so that the pages work under a prefix.
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
<body class="{kind}">
{_BANNER if sandbox else ""}
<main>
{main}
</main>
</body>
</html>
"""
    return HTMLResponse(html, headers=_REVALIDATED)


def _index(*, docs_enabled: bool) -> str:
    docs = """<tr><th scope="row"><a href="docs">docs</a></th>
<td>Read about every route and try it out.</td></tr>
<tr><th scope="row"><a href="openapi.json">openapi.json</a></th>
<td>The same as an OpenAPI document, for programs.</td></tr>
"""
    return f"""<h1>orders-bff</h1>
<p>A caching proxy in front of one order list. Callers ask it with a key of their own;
the credential of the upstream stays on the server.</p>
<table>
{docs if docs_enabled else ""}<tr><th scope="row"><a href="problems">problems</a></th>
<td>What each error means, and what to do.</td></tr>
<tr><th scope="row"><a href="livez">livez</a></th>
<td>Whether the process lives.</td></tr>
<tr><th scope="row"><a href="readyz">readyz</a></th>
<td>Whether it can serve.</td></tr>
</table>"""


def _problems() -> str:
    rows = "\n".join(
        f'<tr><td>{kind.status}</td><th scope="row"><a href="problems/{escape(code)}">'
        f"<code>{escape(code)}</code></a></th><td>{escape(kind.title)}</td></tr>"
        for code, kind in PROBLEM_KINDS.items()
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
<p><a href="./">What this is</a></p>"""


def _problem(code: str) -> str:
    kind = PROBLEM_KINDS[code]
    again = (
        "Yes: after as many seconds as <code>Retry-After</code> says."
        if kind.retryable
        else "No: the same request will fail again until something changes."
    )
    return f"""<p class="quiet"><code>{escape(code)}</code> · status {kind.status}</p>
<h1>{escape(kind.title)}</h1>
<p>{_prose(kind.meaning)}</p>
<h2>Does it help to try again?</h2>
<p>{again}</p>
<h2>What the caller can do</h2>
<p>{_prose(kind.caller)}</p>
<h2>What the operator can do</h2>
<p>{_prose(kind.operator)}</p>
<p><a href="../problems">All problems</a></p>"""


def _prose(text: str) -> str:
    """`text` as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
