"""Liveness and readiness probes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.edge.exception_handlers import to_problem
from app.edge.problems import Problem, problem_response

_NO_STORE = {"Cache-Control": "no-store"}


def health_router(
    *,
    check_ready: Callable[[], Awaitable[object]],
    problem_codes: Mapping[type[Exception], str],
    is_draining: Callable[[], bool] = lambda: False,
) -> APIRouter:
    """Return the routes `/livez` and `/readyz`.

    Args:
        check_ready: raises while the proxy is not ready.
        problem_codes: the errors that mean "not ready", and their codes.
        is_draining: whether the process is shutting down.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> Response:
        # Does not depend on the upstream: a restart would not repair it.
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    @router.get("/readyz")
    async def readyz(request: Request) -> Response:
        if is_draining():
            return problem_response(request.scope, Problem("shutting_down"))
        try:
            await check_ready()
        except tuple(problem_codes) as error:
            # 503 whatever the cause, since probes and load balancers expect it.
            problem = replace(to_problem(error, problem_codes), status=503)
            return problem_response(request.scope, problem)
        return JSONResponse({"status": "ready"}, headers=_NO_STORE)

    return router
