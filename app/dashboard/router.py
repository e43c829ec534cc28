"""Routes that serve the static files of the dashboard.

The folder `static` is the whole dashboard. Any other web server can serve it too.
"""

import hashlib
from html import escape
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.edge.entity_tags import etag_matches
from app.edge.pages import static_file

STATIC = Path(__file__).parent / "static"

_LOGIN = "auth/login"
"""The path of sign-in, relative to the page."""


def _meta_element(name: str, content: str) -> str:
    return f'<meta name="{name}" content="{escape(content)}">'


def dashboard_router(title: str = "", *, can_sign_in: bool = False) -> APIRouter:
    """Routes for `/dashboard` and the styles and modules below it.

    `title` is that of the page; by default it has one in the user's language. With `can_sign_in`
    people sign in; otherwise the page asks for an API key.
    """
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)
    html = (STATIC / "index.html").read_text("utf-8")
    contents = {"application-name": title, "orders-login": _LOGIN if can_sign_in else ""}
    for name, content in contents.items():
        html = html.replace(_meta_element(name, ""), _meta_element(name, content))
    etag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'
    names = frozenset(file.name for file in (STATIC / "dashboard").iterdir())

    @router.get("/dashboard")
    async def page(request: Request) -> Response:
        if can_sign_in:
            # Whoever presses back after signing out must not see the orders of the person before.
            return Response(html, headers={"Cache-Control": "no-store"}, media_type="text/html")
        if_none_match = ",".join(request.headers.getlist("if-none-match")).encode("latin-1")
        is_known = etag_matches(if_none_match, etag.encode())
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        return Response(
            None if is_known else html,
            status_code=304 if is_known else 200,
            headers=headers,
            media_type=None if is_known else "text/html",
        )

    @router.get("/dashboard/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in names:
            raise HTTPException(404)
        return await static_file(files, f"dashboard/{name}", request)

    return router
