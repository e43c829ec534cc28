"""The routes for operators: `/v1/status`, its bundle, and `/v1/cache/purge`."""

import logging
from math import ceil
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from pydantic import BaseModel, ConfigDict

from app.edge.audit import caller_fields
from app.edge.context import Caller, context_of
from app.edge.openapi import api_responses
from app.edge.problems import Problem, problem_response
from app.edge.query_params import StrictQuery
from app.edge.scopes import require_scopes
from app.edge.strict_route import StrictRoute
from app.operations.responses import EmptyMeta, json_response
from app.operations.schema import (
    PURGE_EXAMPLE,
    STATUS_EXAMPLE,
    Purge,
    PurgeResponse,
    StatusResponse,
)
from app.operations.status import StatusReport
from app.operations.support import add_support_route
from app.orders.purge import CachePurge, PurgedRecently

READ_METRICS = Security(require_scopes, scopes=["metrics:read"])
DROPPED_WHILE_FAILING = (
    "Refreshes of the list fail at the moment. Nothing is cached any more that could be served, so"
    " callers get errors until the upstream has recovered."
)

_logger = logging.getLogger("orders_bff.operations")


class PurgeQuery(BaseModel):
    """How to purge."""

    model_config = ConfigDict(defer_build=True)

    mode: Annotated[
        Literal["expire", "drop"],
        Query(
            description="`expire`: the next request for each part waits for the upstream, and gets"
            " what is cached if that fails or takes too long. `drop`: what is cached is deleted."
        ),
    ] = "expire"


def operations_router(report: StatusReport, purge: CachePurge) -> APIRouter:
    """Return the routes for operators."""
    router = APIRouter(tags=["operations"], route_class=StrictRoute)

    @router.get(
        "/v1/status",
        operation_id="getStatus",
        summary="Get the state of the proxy",
        response_model=StatusResponse,
        responses=api_responses(
            "The state of this process.",
            STATUS_EXAMPLE,
            problems=("forbidden",),
            calls_upstream=False,
        ),
        dependencies=[READ_METRICS, Depends(StrictQuery())],
    )
    async def get_status() -> Response:
        """What an operator asks first; makes no upstream call. Each replica has a state of its own.

        Times of the upstream are those of requests after all retries.
        """
        return json_response(StatusResponse(data=report.status(), meta=EmptyMeta()))

    @router.post(
        "/v1/cache/purge",
        operation_id="purgeCache",
        summary="Purge the cache",
        response_model=PurgeResponse,
        responses=api_responses(
            "What was purged.",
            PURGE_EXAMPLE,
            problems=("forbidden", "rate_limited"),
            calls_upstream=False,
        ),
        dependencies=[Depends(StrictQuery(PurgeQuery))],
    )
    async def purge_cache(
        request: Request,
        query: Annotated[PurgeQuery, Query()],
        _: Annotated[Caller, Security(require_scopes, scopes=["cache:purge"])],
    ) -> Response:
        """Expires everything that is cached. Cursors of `/v1/orders/changes` stay valid.

        A fetch in progress answers those who wait for it, but is not stored. At most one purge in
        ORDERS_CACHE__NO_CACHE_MIN_AGE seconds is made; a further one is a 429 with `Retry-After`.
        """
        is_harmful = query.mode == "drop" and report.is_failing()
        try:
            counts = purge.purge(drop=query.mode == "drop")
        except PurgedRecently as error:
            seconds = ceil(error.retry_after)
            detail = (
                f"The cache was purged a moment ago. The next purge is possible in {seconds} s."
            )
            problem = Problem("rate_limited", detail=detail, retry_after=seconds)
            return problem_response(request.scope, problem)
        purged = Purge(
            mode=query.mode,
            blocks=counts.blocks,
            single_orders=counts.orders,
            snapshots=counts.snapshots,
            rendered_responses=counts.responses,
        )
        if is_harmful:
            purged["warning"] = DROPPED_WHILE_FAILING
        level = logging.WARNING if is_harmful else logging.INFO
        context = context_of(request.scope)
        fields = {**caller_fields(context, context.client), **purged}
        _logger.log(level, "cache_purged", extra={"fields": fields})
        return json_response(PurgeResponse(data=purged, meta=EmptyMeta()))

    add_support_route(router, report)
    return router
