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

from app.edge.problem_types import PROBLEM_TYPES
from app.upstream.status import LastContact

STATIC = Path(__file__).parent / "static"

_REVALIDATED = {"Cache-Control": "no-cache"}
_BANNER = '<p class="banner" role="status">Sandbox: these orders are invented.</p>'


def pages_router(
    *,
    docs_enabled: bool,
    dashboard: bool,
    is_sandbox: Callable[[], bool],
    last_contact: Callable[[], LastContact],
    problem_code: Callable[[Exception], str],
) -> APIRouter:
    """`/`, `/problems`, `/problems/{code}` and the stylesheet they share.

    Both functions are called for each page: whether the upstream is a sandbox, and its last
    contact, are known from its responses. `problem_code` names the problem of an error.
    """
    routes = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)

    @routes.get("/")
    async def index() -> Response:
        ways = _ways(docs_enabled=docs_enabled, dashboard=dashboard)
        health = _health(last_contact(), problem_code)
        return render_page("orders-bff", _index(ways, health), sandbox=is_sandbox())

    @routes.get("/problems")
    async def problems() -> Response:
        return render_page("Problems", _problems(), sandbox=is_sandbox())

    @routes.get("/problems/{code}")
    async def problem(code: str) -> Response:
        if code not in PROBLEM_TYPES:
            raise HTTPException(404)
        return render_page(
            PROBLEM_TYPES[code].title, _problem(code), root="../", sandbox=is_sandbox()
        )

    @routes.get("/static/pages.css")
    async def stylesheet(request: Request) -> Response:
        return await static_file(files, "pages.css", request)

    return routes


async def static_file(files: StaticFiles, name: str, request: Request) -> Response:
    """The file `name`, or 304; asked for again at each visit, so an upgrade shows at once."""
    response = await files.get_response(name, request.scope)
    response.headers.update(_REVALIDATED)
    return response


def render_page(
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


def _index(ways: str, health: str) -> str:
    return f"""<h1>orders-bff</h1>
<p class="lead">A caching proxy in front of one order list. Callers ask it with a key of their own;
the credential of the upstream stays on the server.</p>
{health}
<nav aria-label="Where to go">
<ul class="ways">
{ways}</ul>
</nav>"""


def _ways(*, docs_enabled: bool, dashboard: bool) -> str:
    """Where one can go from here, the likeliest first."""
    ways = [
        ("dashboard", "Look at the orders: filters, totals, plots, live.", dashboard),
        ("docs", "Read about every route and try it out.", docs_enabled),
        ("openapi.json", "The same as an OpenAPI document, for programs.", docs_enabled),
        ("problems", "What each error means, and what to do.", True),
        ("livez", "Whether the process lives.", True),
        ("readyz", "Whether it can serve. Asks the upstream, until it once has answered.", True),
    ]
    return "".join(
        f'<li><a href="{path}">{path}</a> <span>{told}</span></li>\n'
        for path, told, offered in ways
        if offered
    )


def _health(heard: LastContact, problem_code: Callable[[Exception], str]) -> str:
    """Whether it is well, as far as this process knows without asking."""
    answered = (
        ""
        if heard.seconds_since_success is None
        else f"answered {_ago(heard.seconds_since_success)}."
    )
    if heard.error is not None and heard.seconds_since_failure is not None:
        code = problem_code(heard.error)
        why = f'<a href="problems/{escape(code)}">{escape(PROBLEM_TYPES[code].title)}</a>'
        last = f"It last {answered} Cached answers are still served."
        since = _ago(heard.seconds_since_failure)
        told = f"{why}, {since}. {last if answered else 'Nothing is cached yet.'}"
        return _standing("failing", "Upstream failing", told)
    if answered:
        return _standing("well", "It is well", f"The upstream {answered}")
    told = "Nobody has asked for the list yet, and so neither have we asked the upstream."
    return _standing("unasked", "It has not been asked", told)


def _standing(kind: str, title: str, told: str) -> str:
    return f"""<section class="standing {kind}" aria-labelledby="standing">
<h2 id="standing">{title}</h2>
<p>{told}</p>
</section>"""


def _ago(seconds: float) -> str:
    """An age in its largest unit: pages are for people."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _problems() -> str:
    rows = "\n".join(
        f'<tr><td>{kind.status}</td><th scope="row"><a href="problems/{escape(code)}">'
        f"<code>{escape(code)}</code></a></th><td>{escape(kind.title)}</td></tr>"
        for code, kind in PROBLEM_TYPES.items()
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
    kind = PROBLEM_TYPES[code]
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
