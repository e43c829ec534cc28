"""The route `/v1/me`: who the caller is."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Request, Response
from pydantic import Field
from pydantic_core import to_json
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from app.edge.context import Caller, context_of
from app.edge.openapi import example_response
from app.edge.openapi_components import open_enum
from app.edge.query_params import NoParameters, parse_query


class Me(TypedDict):
    """The authenticated caller."""

    name: Annotated[str, Field(examples=["dashboard"])]
    kind: Annotated[str, open_enum("key", "anonymous")]
    scopes: Annotated[list[str], Field(examples=[["orders:read"]])]


class MeMeta(TypedDict):
    """Always empty."""


class MeAnswer(TypedDict):
    """The caller as this proxy knows it."""

    data: Me
    meta: MeMeta


EXAMPLE: dict[str, Any] = {
    "data": {"name": "dashboard", "kind": "key", "scopes": ["orders:read"]},
    "meta": {},
}


def me_router() -> APIRouter:
    """The route `/v1/me`, for any caller."""
    router = APIRouter(tags=["callers"])

    @router.get(
        "/v1/me",
        operation_id="getMe",
        summary="Who the caller is",
        response_model=MeAnswer,
        openapi_extra=example_response(EXAMPLE),
    )
    async def get_me(request: Request) -> Response:
        """Any caller may ask; it costs nothing upstream."""
        parse_query(NoParameters, request.scope["query_string"])
        caller = cast("Caller", context_of(request.scope).caller)
        me = Me(name=caller.name, kind=caller.kind, scopes=sorted(caller.scopes))
        return Response(
            to_json({"data": me, "meta": {}}),
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return router
