"""Routes that serve the static files of the dashboard.

The folder `static` is the whole dashboard. Any other web server can serve it too.
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
    """Routes for `/dashboard` and the styles and modules below it."""
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=STATIC)
    names = frozenset(file.name for file in (STATIC / "dashboard").iterdir())

    @router.get("/dashboard")
    async def page(request: Request) -> Response:
        return await static_file(files, "index.html", request)

    @router.get("/dashboard/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in names:
            raise HTTPException(404)
        return await static_file(files, f"dashboard/{name}", request)

    return router
