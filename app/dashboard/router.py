"""Serves the dashboard's files, and nothing else: what they show they ask of the API, over HTTP.

The folder `static` is the whole page. It can as well be put on any web server.
"""

from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.edge.pages import static_file

STATIC = Path(__file__).parent / "static"


def dashboard_router() -> APIRouter:
    """`/dashboard`, and the styles and modules that it loads from below that."""
    routes = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)
    names = frozenset(file.name for file in (STATIC / "dashboard").iterdir())

    @routes.get("/dashboard")
    async def page(request: Request) -> Response:
        return await static_file(files, "index.html", request)

    @routes.get("/dashboard/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in names:
            raise HTTPException(404)
        return await static_file(files, f"dashboard/{name}", request)

    return routes
