"""Who the caller is to us."""

from typing import cast

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from app.edge.document import shown_by
from app.edge.exchange import Caller, exchange_of
from app.edge.parameters import NoParameters, read
from app.orders.contract import Me, MeAnswer
from app.orders.examples import ME


def me_router() -> APIRouter:
    """The route `/v1/me`, for any caller."""
    router = APIRouter(tags=["callers"])

    @router.get(
        "/v1/me",
        operation_id="getMe",
        summary="Who the caller is",
        response_model=MeAnswer,
        openapi_extra=shown_by(ME),
    )
    async def get_me(request: Request) -> Response:
        """Any caller may ask; it costs nothing upstream."""
        read(NoParameters, request.scope["query_string"])
        caller = cast("Caller", exchange_of(request.scope).caller)
        me = Me(name=caller.name, kind=caller.kind, scopes=sorted(caller.scopes))
        return Response(
            to_json({"data": me, "meta": {}}),
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return router
