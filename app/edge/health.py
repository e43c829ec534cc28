"""Whether the process lives and whether it can serve. Knows nothing of what it serves."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.edge.exception_handlers import to_problem
from app.edge.problems import Problem, problem_response

_NO_STORE = {"Cache-Control": "no-store"}
_LEAVING = "This proxy is about to stop, and takes nobody more in."


def health_router(
    *,
    ready: Callable[[], Awaitable[None]],
    table: Mapping[type[Exception], str],
    leaving: Callable[[], bool] = lambda: False,
) -> APIRouter:
    """`/livez` and `/readyz`.

    Args:
        ready: returns when the upstream answers, else raises.
        table: that of `install`; what is in it says why we are not ready.
        leaving: whether we are about to stop, and should be sent nobody more.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/livez")
    async def livez() -> Response:
        # Never asks anybody: a restart would not mend an upstream that is down.
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    @routes.get("/readyz")
    async def readyz(request: Request) -> Response:
        if leaving():
            return problem_response(request.scope, Problem("overloaded", _LEAVING))
        try:
            await ready()
        except tuple(table) as error:
            cause = to_problem(error, table)
            return problem_response(request.scope, replace(cause, code="upstream_unavailable"))
        return JSONResponse({"status": "ready"}, headers=_NO_STORE)

    return routes
