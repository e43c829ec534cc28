"""Middleware that answers the requests which the server has rejected."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.problems import Problem, problem_response


class RejectedRequests:
    """Responds with the problem whose code the server has put into the scope as `problem`.

    Behind the other middleware, so that these responses have the same headers as all others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if code := scope.get("problem"):
            await problem_response(scope, Problem(code))(scope, receive, send)
        else:
            await self._app(scope, receive, send)
