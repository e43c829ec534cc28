"""The routes over the whole list that answer in JSON: summary and changes."""

import math
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.cache.freshness import Freshness
from app.cache.grace_cache import Lookup
from app.edge.openapi import api_responses
from app.edge.query_params import StrictQuery
from app.edge.strict_route import StrictRoute
from app.orders.dependencies import READ_ORDERS, OrdersDependencies, RequestDirective
from app.orders.queries import ChangesQuery, SummaryQuery
from app.orders.rendering import render_change_list, render_changes, render_summary
from app.orders.response_cache import LIST_PATH, SUMMARY_PATH
from app.orders.schema import EXAMPLES, OrderChanges, Summary
from app.orders.summary import summarize

POLL_WHILE_REFRESHING = 2
"""Seconds until the next poll while the list is being refreshed."""

_LIST_PROBLEMS = ("list_loading", "list_too_large")


def snapshot_router(deps: OrdersDependencies) -> APIRouter:
    """Return the routes over the whole list."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"], route_class=StrictRoute)

    @router.get(
        "/summary",
        operation_id="summarizeOrders",
        summary="Get order totals",
        response_model=Summary,
        responses=api_responses(
            "Counts and sums.",
            EXAMPLES["summary"],
            headers=("ETag",),
            problems=_LIST_PROBLEMS,
        ),
        dependencies=[READ_ORDERS, Depends(StrictQuery(SummaryQuery))],
    )
    async def summarize_orders(
        request: Request, query: Annotated[SummaryQuery, Query()], directive: RequestDirective
    ) -> Response:
        """Counts and exact sums of all orders, or of those matching the filters.

        Orders without a readable amount are counted but not summed.
        """
        started_at = deps.clock.monotonic()
        snapshot, lookup = await deps.snapshots.get(directive)
        row_filter = query.filter()
        result = await deps.compute.get_or_compute(
            snapshot.content.results,
            (SUMMARY_PATH, row_filter, query.time_zone, query.interval),
            lambda: summarize(snapshot.content.rows, row_filter, query.zone, query.interval),
            kind="summary",
            deadline=started_at + deps.deadline,
            admit=deps.admit_scan(request),
        )
        render = partial(
            render_summary,
            result.totals,
            snapshot.blocks,
            inconsistent=snapshot.inconsistent,
            currency=deps.currency if result.has_amount else "",
        )
        validity = deps.snapshot_validity(snapshot)
        if snapshot.inconsistent:
            validity = validity.never_current()
        return await deps.respond_cached(request, render, validity, [lookup], started_at)

    @router.get(
        "/changes",
        operation_id="listOrderChanges",
        summary="List changes since a cursor",
        response_model=OrderChanges,
        responses=api_responses(
            "The changes and the new cursor.",
            EXAMPLES["changes"],
            headers=("ETag",),
            problems=(*_LIST_PROBLEMS, "cursor_expired"),
        ),
        dependencies=[READ_ORDERS, Depends(StrictQuery(ChangesQuery))],
    )
    async def list_order_changes(
        request: Request, query: Annotated[ChangesQuery, Query()], directive: RequestDirective
    ) -> Response:
        """A cursor is a hash of the list's content: any replica that has seen the same can answer.

        Poll again after `meta.poll_after` seconds with the new `meta.cursor`. If the cursor is no
        longer known (410), start again from the export and its `X-Cursor`.
        """
        started_at = deps.clock.monotonic()
        snapshot, lookup = await deps.snapshots.get(directive)
        await deps.history.record(snapshot)
        await deps.history.learn(query.since)
        cursor = deps.history.cursor_after(query.since)
        since = query.since or cursor
        key = ("changes", since, cursor)
        results = snapshot.content.results
        # Now, because the history may go on while the computation waits for its turn.
        changes = () if results.get(key) or since == cursor else deps.history.since(since)
        change_list = await deps.compute.get_or_compute(
            results,
            key,
            lambda: render_change_list(changes, currency=deps.currency),
            kind="changes",
            deadline=started_at + deps.deadline,
            admit=deps.admit_scan(request),
        )
        poll_after = _poll_after(lookup, deps.clock.monotonic())
        rendered = render_changes(
            change_list, snapshot.blocks, cursor=cursor, poll_after=poll_after
        )
        return await deps.respond(request, rendered, [lookup], started_at)

    return router


def _poll_after(lookup: Lookup[Any], now: float) -> int:
    """Return the seconds until the list can have changed."""
    if lookup.freshness is not Freshness.FRESH:
        return POLL_WHILE_REFRESHING
    return max(math.ceil(lookup.ttl - (now - lookup.entry.fetched_at)), 1)
