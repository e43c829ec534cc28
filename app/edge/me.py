"""The route `/v1/me`: who the caller is."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response, Security
from pydantic import Field
from typing_extensions import TypedDict  # pydantic supports typing's own only from Python 3.12 on

from app.edge.context import Caller
from app.edge.openapi import api_responses
from app.edge.query_params import StrictQuery
from app.edge.schema import described, documented, open_enum
from app.edge.scopes import require_scopes
from app.edge.strict_route import StrictRoute

KINDS = {
    "key": "authenticated with an API key",
    "token": "authenticated with a token of the issuer",
    "session": "signed in in the browser",
    "anonymous": "without a credential",
}


class Me(TypedDict):
    """The authenticated caller."""

    name: Annotated[str, Field(examples=["dashboard"])]
    kind: Annotated[str, open_enum("How the caller was authenticated.", KINDS)]
    scopes: Annotated[list[str], described("What the caller may do.", ["orders:read"])]


class MeMeta(TypedDict):
    """Always empty."""


@documented
class MeResponse(TypedDict):
    """The caller as this proxy knows it."""

    data: Me
    meta: MeMeta


EXAMPLE: dict[str, Any] = {
    "data": {"name": "dashboard", "kind": "key", "scopes": ["orders:read"]},
    "meta": {},
}


def me_router() -> APIRouter:
    """Return the route `/v1/me`, which requires no scope."""
    router = APIRouter(tags=["callers"], route_class=StrictRoute)

    @router.get(
        "/v1/me",
        operation_id="getMe",
        summary="Get the caller",
        response_model=MeResponse,
        responses=api_responses("The caller.", EXAMPLE, calls_upstream=False),
        dependencies=[Depends(StrictQuery())],
    )
    async def get_me(caller: Annotated[Caller, Security(require_scopes)]) -> Response:
        """Available to every caller; makes no upstream call."""
        me = Me(name=caller.name, kind=caller.kind, scopes=sorted(caller.scopes))
        return Response(
            msgspec.json.encode(MeResponse(data=me, meta=MeMeta())),
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return router
