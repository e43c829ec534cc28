"""The rule that answers the requests which the server has rejected."""

from starlette.responses import Response
from starlette.types import Scope

from app.edge.problems import Problem, problem_response


def answer_rejected(scope: Scope) -> Response | None:
    """Return the problem whose code the server has put into the scope as `problem`, if any.

    The application responds, and not the server, so that the response has the headers of all others
    and is recorded.
    """
    code = scope.get("problem")
    return problem_response(scope, Problem(code)) if code else None
