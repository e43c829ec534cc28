"""Whether the process lives and whether it can serve. Knows nothing of what it serves."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.edge.problem_handlers import problem_of
from app.edge.problems import problem_response

_NO_STORE = {"Cache-Control": "no-store"}


def router(
    *, ready: Callable[[], Awaitable[None]], table: Mapping[type[Exception], str]
) -> APIRouter:
    """`/livez` and `/readyz`. `ready` returns when the upstream answers, else raises.

    `table` is that of `install`: what is in it says why we are not ready.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/livez")
    async def livez() -> Response:
        # Never asks anybody: a restart would not mend an upstream that is down.
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    @routes.get("/readyz")
    async def readyz(request: Request) -> Response:
        try:
            await ready()
        except tuple(table) as error:
            cause = problem_of(error, table)
            return problem_response(request.scope, replace(cause, code="upstream_unavailable"))
        return JSONResponse({"status": "ready"}, headers=_NO_STORE)

    return routes
