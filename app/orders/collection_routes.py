"""What callers may ask of all orders at once."""

import math
import re
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from app.cache.freshness import Freshness
from app.cache.grace_cache import Lookup
from app.edge.auth import require_scope
from app.edge.context import context_of
from app.edge.openapi import example_response, upstream_responses
from app.edge.query_params import openapi_parameters, parse_query
from app.orders import examples
from app.orders.dependencies import (
    FileDownload,
    OrdersDependencies,
    cache_directive,
    require_raw_scope,
    snapshot_validity,
)
from app.orders.export import (
    MEDIA_TYPES,
    content_digest,
    export_digest,
    stream_csv,
    stream_ndjson,
)
from app.orders.queries import ChangesQuery, ExportQuery, Filters
from app.orders.rendering import render_changes, render_export_head, render_summary
from app.orders.response_cache import LIST_PATH, SUMMARY_PATH
from app.orders.schema import OrderChanges, Summary
from app.orders.snapshot_cache import ListLoading
from app.orders.summary import summarize

SOON = 2
"""Seconds after which to ask again while a refresh is behind."""

EXPORTS: dict[str, Any] = {
    "description": "The file.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": examples.CSV},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": examples.NDJSON},
    },
}

WHOLE_LIST_PROBLEMS = ("list_loading", "list_too_large")


def collection_router(desk: OrdersDependencies) -> APIRouter:
    """The routes that rest on the whole list."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"])

    @router.get(
        "/summary",
        operation_id="summarizeOrders",
        summary="Orders added up",
        response_model=Summary,
        dependencies=[Depends(require_scope("orders:read"))],
        openapi_extra={"parameters": openapi_parameters(Filters)}
        | example_response(examples.SUMMARY)
        | upstream_responses(*WHOLE_LIST_PROBLEMS, headers=("ETag",)),
    )
    async def summarize_orders(request: Request) -> Response:
        """Counts and exact sums of all orders, or of those that the filters let through.

        An order whose amount is not known counts, and is in no sum.
        """
        given = request.scope["query_string"]
        query = parse_query(Filters, given)
        asked_at = desk.clock.monotonic()
        whole, served = await desk.snapshots.get(cache_directive(request))
        asked = query.filter()
        added = await desk.compute.get_or_compute(
            whole.content.results,
            (SUMMARY_PATH, asked, query.time_zone),
            lambda: summarize(whole.content.rows, asked, query.zone),
            deadline=asked_at + desk.deadline,
        )
        compose = partial(
            render_summary,
            added.totals,
            whole.sources,
            inconsistent=whole.inconsistent,
            currency=desk.currency if added.has_amount else "",
        )
        if whole.inconsistent:
            answer = compose()
        else:
            answer = desk.response_cache.get_or_render(
                (SUMMARY_PATH, given), snapshot_validity(desk, whole), compose
            )
        response = await desk.respond(request, answer, [served], asked_at)
        desk.response_cache.update_size((SUMMARY_PATH, given))
        return response

    @router.get(
        "/export",
        operation_id="exportOrders",
        summary="All orders as a file",
        response_class=StreamingResponse,
        responses={200: EXPORTS},
        dependencies=[Depends(require_scope("orders:read"))],
        openapi_extra={"parameters": openapi_parameters(ExportQuery)}
        | upstream_responses(
            *WHOLE_LIST_PROBLEMS, headers=("ETag", "X-Total-Count", "Content-Disposition")
        ),
    )
    async def export_orders(request: Request) -> Response:
        """All orders, or those that the filters let through, as CSV or NDJSON.

        All of them are gathered before the first byte: it is never half a file. Poll it with
        `If-None-Match`.
        """
        require_raw_scope(request)
        query = parse_query(ExportQuery, request.scope["query_string"])
        asked_at = desk.clock.monotonic()
        whole, served = await desk.snapshots.get(cache_directive(request))
        if whole.inconsistent:
            raise ListLoading.inconsistent(len(whole.content.rows))
        until = asked_at + desk.deadline
        asked = query.filter()
        positions = await desk.select(whole, asked, query.sort, until)
        rows, raw = whole.content.rows, "raw" in query.include
        content = await desk.compute.get_or_compute(
            whole.content.results,
            ("content_digest", raw),
            lambda: content_digest(rows, raw=raw),
            deadline=until,
        )
        digest = export_digest(
            content,
            whole,
            file_format=query.format,
            row_filter=asked,
            sort=query.sort,
            include=query.include,
        )
        answer = render_export_head(digest, whole.sources, total=len(positions))
        body_positions = positions if context_of(request.scope).method == "GET" else ()
        chunks = (
            stream_csv(rows, body_positions)
            if query.format == "csv"
            else stream_ndjson(whole, body_positions, query.include)
        )
        name = f"orders-{_compact(whole.oldest_block.value.as_of)}.{query.format}"
        file = FileDownload(chunks, MEDIA_TYPES[query.format], name)
        return desk.respond_stream(request, answer, served, asked_at, file)

    @router.get(
        "/changes",
        operation_id="listOrderChanges",
        summary="What changed since a state of the list",
        response_model=OrderChanges,
        dependencies=[Depends(require_scope("orders:read"))],
        openapi_extra={"parameters": openapi_parameters(ChangesQuery)}
        | example_response(examples.CHANGES)
        | upstream_responses(*WHOLE_LIST_PROBLEMS, "cursor_expired", headers=("ETag",)),
    )
    async def list_order_changes(request: Request) -> Response:
        """A state is named by its content, so any replica that saw it can tell.

        Ask again after `meta.poll_after` seconds with the new `meta.cursor`. Where a cursor is not
        known, take the export.
        """
        query = parse_query(ChangesQuery, request.scope["query_string"])
        asked_at = desk.clock.monotonic()
        whole, served = await desk.snapshots.get(cache_directive(request))
        await desk.history.record(whole)
        latest = desk.history.latest
        if latest is None:
            raise ListLoading.inconsistent(len(whole.content.rows))
        cursor = desk.history.cursor
        answer = render_changes(
            desk.history.since(query.since or cursor),
            latest.sources,
            cursor=cursor,
            poll_after=_poll_after(served, desk.clock.monotonic()),
            currency=desk.currency,
        )
        return await desk.respond(request, answer, [served], asked_at)

    return router


def _compact(as_of: str) -> str:
    """A moment as it stands in file names: 20261123T080000Z."""
    return re.sub("[-:]|[.][0-9]+", "", as_of)


def _poll_after(served: Lookup[Any], now: float) -> int:
    """Seconds until the list is read again; it may be under way."""
    if served.freshness is not Freshness.FRESH:
        return SOON
    return max(math.ceil(served.ttl - (now - served.entry.fetched_at)), 1)
