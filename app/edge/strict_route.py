"""A FastAPI route that runs only those parts of its declaration which have an effect.

FastAPI documents all of them. But it would validate the query model again, field by field, which
costs as much as all else that it does for a request, and read the credentials for each security
scheme, which `Authentication` has done.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.edge.query_params import StrictQuery
from app.edge.scopes import SECURITY_SCHEMES


class StrictRoute(APIRoute):
    """A route whose query model comes from `StrictQuery`, and that reads no credentials."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        documented = self.dependant
        self.dependant = _with_effect(documented)
        try:
            return super().get_route_handler()
        finally:
            self.dependant = documented


def _with_effect(documented: Dependant) -> Dependant:
    dependencies = [
        _with_effect(one) for one in documented.dependencies if one.call not in SECURITY_SCHEMES
    ]
    params = {param.field_info.annotation: param for param in documented.query_params}
    for one in dependencies:
        if isinstance(one.call, StrictQuery) and one.call.model in params:
            one.name = params.pop(one.call.model).name
    return replace(documented, dependencies=dependencies, query_params=list(params.values()))
