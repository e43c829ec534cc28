"""The rule that answers the requests which the server has rejected."""

from starlette.responses import Response
from starlette.types import Scope

from app.edge.problems import Problem, problem_response


def answer_rejected(scope: Scope) -> Response | None:
    """Return the problem whose code the server has put into the scope as `problem`, if any.

    Behind the middleware, so that these responses have the same headers as all others.
    """
    code = scope.get("problem")
    return problem_response(scope, Problem(code)) if code else None
