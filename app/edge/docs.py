"""Swagger UI and the OpenAPI document, from our own files alone. Knows no resource."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.edge.pages import STATIC, render_page, static_file

_HEAD = """<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/init.js" defer></script>
"""
_MAIN = """<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. <a href="openapi.json">The document</a> does
not.</noscript>"""

_FILES = {
    "init.js": "docs.js",
    "swagger-ui.css": "swagger-ui/swagger-ui.css",
    "swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
}
"""What is served under /docs/, by name: nothing else can be asked for."""


def docs_router(
    *, document: Callable[[], Mapping[str, Any]], is_sandbox: Callable[[], bool]
) -> APIRouter:
    """`/docs`, what it loads, and `/openapi.json`. Leave it out and they are not found."""
    routes = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)

    @cache
    def openapi_bytes() -> bytes:
        # Once: it takes milliseconds, and anybody may ask.
        return json.dumps(document(), ensure_ascii=False).encode()

    @routes.get("/docs")
    async def docs() -> Response:
        return render_page("orders-bff: docs", _MAIN, head=_HEAD, kind="docs", sandbox=is_sandbox())

    @routes.get("/docs/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in _FILES:
            raise HTTPException(404)
        return await static_file(files, _FILES[name], request)

    @routes.get("/openapi.json")
    async def openapi() -> Response:
        headers = {"Cache-Control": "no-cache"}
        return Response(openapi_bytes(), media_type="application/json", headers=headers)

    return routes
