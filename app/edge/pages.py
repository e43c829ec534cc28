"""HTML pages: `/`, the problem pages and Swagger UI; and the OpenAPI document.

Everything is served from this package, nothing from other hosts. The HTML is in `templates`.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from app.edge.problem_types import PROBLEM_TYPES
from app.upstream.status import LastContact

STATIC = Path(__file__).parent / "static"
TEMPLATES = Path(__file__).parent / "templates"

_REVALIDATED = {"Cache-Control": "no-cache"}

_CALLERS = "Callers authenticate with an API key of their own."
_CALLERS_WITH_LOGIN = "People sign in; services authenticate with a key or a token of their own."

_DOCS_FILES = {
    "init.js": "docs.js",
    "swagger-ui.css": "swagger-ui/swagger-ui.css",
    "swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
}
"""The files under /docs/ by name; no others are served."""


class Html(str):
    """Text that is HTML already, so that `fill` does not escape it."""

    __slots__ = ()


def pages_router(
    *,
    name: str,
    docs_enabled: bool,
    dashboard_enabled: bool,
    can_sign_in: bool = False,
    is_sandbox: Callable[[], bool],
    last_contact: Callable[[], LastContact],
    problem_code: Callable[[Exception], str],
) -> APIRouter:
    """Return the routes `/`, `/problems`, `/problems/{code}` and their stylesheet.

    Args:
        name: the title of `/`.
        docs_enabled: whether `/` links to Swagger UI and the OpenAPI document.
        dashboard_enabled: whether `/` links to the dashboard.
        can_sign_in: whether `/` links to sign-in.
        is_sandbox: whether the upstream is a sandbox; called for each page, since only the
            upstream's responses say so.
        last_contact: returns what is known of the upstream, without calling it.
        problem_code: returns the problem code of an error.
    """
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)

    @router.get("/")
    async def index() -> Response:
        main = fill(
            "index",
            name=name,
            status=_status(last_contact(), problem_code),
            callers=_CALLERS_WITH_LOGIN if can_sign_in else _CALLERS,
            dashboard_link=fill("dashboard_link") if dashboard_enabled else "",
            login_link=fill("login_link") if can_sign_in else "",
            docs_links=fill("docs_links") if docs_enabled else "",
        )
        return render_page(name, main, sandbox=is_sandbox())

    @router.get("/problems")
    async def problems() -> Response:
        rows = (
            fill("problem_row", code=code, **asdict(problem))
            for code, problem in PROBLEM_TYPES.items()
        )
        main = fill("problems", rows=Html("\n".join(rows)))
        return render_page("Problems", main, sandbox=is_sandbox())

    @router.get("/problems/{code}")
    async def problem(code: str) -> Response:
        if code not in PROBLEM_TYPES:
            raise HTTPException(404)
        problem = PROBLEM_TYPES[code]
        retry = (
            "Yes, after the seconds in `Retry-After`."
            if problem.retryable
            else "No: the same request will fail again until something changes."
        )
        main = fill("problem", code=code, retry=retry, **asdict(problem))
        return render_page(problem.title, main, root="../", sandbox=is_sandbox())

    @router.get("/static/pages.css")
    async def stylesheet(request: Request) -> Response:
        return await static_file(files, "pages.css", request)

    return router


def docs_router(
    *,
    name: str,
    openapi: Callable[[], Mapping[str, Any]],
    is_sandbox: Callable[[], bool],
    return_to: str = "",
) -> APIRouter:
    """Return the routes `/docs` (Swagger UI), its files and `/openapi.json`.

    Args:
        name: the start of the title of `/docs`.
        openapi: returns the document.
        is_sandbox: whether `/docs` has the banner of the sandbox.
        return_to: the path of `/docs` as browsers see it, for its link to sign-in; empty if nobody
            can sign in.
    """
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)

    @cache
    def openapi_bytes() -> bytes:
        return json.dumps(openapi(), ensure_ascii=False).encode()

    @router.get("/docs")
    async def docs() -> Response:
        sign_in = fill("docs_sign_in", return_to=return_to) if return_to else ""
        main = fill("docs", sign_in=sign_in)
        page = render_page(f"{name}: docs", main, body_class="docs", sandbox=is_sandbox())
        if return_to:
            # It shows what a person has requested, also to whoever presses back afterwards.
            page.headers["Cache-Control"] = "no-store"
        return page

    @router.get("/docs/{name}")
    async def docs_file(name: str, request: Request) -> Response:
        if name not in _DOCS_FILES:
            raise HTTPException(404)
        return await static_file(files, _DOCS_FILES[name], request)

    lock = asyncio.Lock()

    @router.get("/openapi.json")
    async def document() -> Response:
        async with lock:
            # In a thread: building it takes more than 100 ms the first time.
            content = await asyncio.to_thread(openapi_bytes)
        return Response(content, media_type="application/json", headers=_REVALIDATED)

    return router


async def static_file(files: StaticFiles, name: str, request: Request) -> Response:
    """Return the file, or 304. Browsers revalidate it on each visit, so upgrades show at once."""
    response = await files.get_response(name, request.scope)
    response.headers.update(_REVALIDATED)
    return response


def render_page(
    title: str, main: Html, *, sandbox: bool, root: str = "", body_class: str = "page"
) -> HTMLResponse:
    """Return an HTML page. All its links must be relative, so that it works under a prefix.

    `root` is the relative path from the page to `/`; `sandbox` says whether to show the banner.
    """
    banner = fill("banner") if sandbox else ""
    html = fill("page", title=title, main=main, banner=banner, root=root, body_class=body_class)
    return HTMLResponse(html, headers=_REVALIDATED)


def fill(template: str, **values: object) -> Html:
    """Return the HTML of a template with its placeholders replaced by `values`.

    Values that are not `Html` are escaped, and backticks in them become code elements.
    """
    html = {
        name: value
        if isinstance(value, Html)
        else re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(str(value)))
        for name, value in values.items()
    }
    return Html(_template(template).substitute(html))


@cache
def _template(name: str) -> Template:
    return Template((TEMPLATES / f"{name}.html").read_text("utf-8").removesuffix("\n"))


def _status(contact: LastContact, problem_code: Callable[[Exception], str]) -> Html:
    """Return the upstream's status, as far as this process knows it without calling it."""
    last_response = ""
    if contact.seconds_since_success is not None:
        last_response = f"Last response {_humanize_age(contact.seconds_since_success)}."
    if contact.error is not None and contact.seconds_since_failure is not None:
        code = problem_code(contact.error)
        text = fill(
            "failure",
            code=code,
            title=PROBLEM_TYPES[code].title,
            age=_humanize_age(contact.seconds_since_failure),
            cached=f"{last_response} Cached responses are still served."
            if last_response
            else "Nothing is cached yet.",
        )
        return fill("status", state="failing", title="Upstream failing", text=text)
    if last_response:
        return fill("status", state="healthy", title="Upstream healthy", text=last_response)
    return fill(
        "status",
        state="unknown",
        title="No upstream request yet",
        text="The upstream is called when the first caller requests orders.",
    )


def _humanize_age(seconds: float) -> str:
    """Return an age in its largest unit: 7300 is "2 hours ago"."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
