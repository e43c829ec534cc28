"""What callers may ask of all orders at once."""

import math
import re
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from app.cache.freshness import Freshness
from app.cache.grace_cache import Served
from app.edge.auth import requires
from app.edge.context import exchange_of
from app.edge.openapi import asks_upstream, shown_by
from app.edge.query_params import documented, read
from app.orders import examples
from app.orders.dependencies import File, OrdersDesk, ask_in, only_with_scope_for_raw, whole_basis
from app.orders.export import (
    MEDIA_TYPES,
    Lines,
    csv_head,
    csv_lines,
    digest_of,
    ndjson_lines,
    pieces,
)
from app.orders.queries import ChangesQuery, ExportQuery, Filters
from app.orders.rendering import compose_changes, compose_export, compose_summary
from app.orders.response_cache import LIST_PATH, SUMMARY_PATH
from app.orders.row_extras import Included, origin_of
from app.orders.schema import OrderChanges, Summary
from app.orders.snapshot import Whole
from app.orders.snapshot_cache import CollectionLoading
from app.orders.summary import add_up

SOON = 2
"""Seconds after which to ask again while a refresh is behind."""

EXPORTS: dict[str, Any] = {
    "description": "The file.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": examples.CSV},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": examples.NDJSON},
    },
}

WHOLE_LIST_PROBLEMS = ("collection_loading", "collection_too_large")


def whole_router(desk: OrdersDesk) -> APIRouter:
    """The routes that rest on the whole list."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"])

    @router.get(
        "/summary",
        operation_id="summarizeOrders",
        summary="Orders added up",
        response_model=Summary,
        dependencies=[Depends(requires("orders:read"))],
        openapi_extra={"parameters": documented(Filters)}
        | shown_by(examples.SUMMARY)
        | asks_upstream(*WHOLE_LIST_PROBLEMS, headers=("ETag",)),
    )
    async def summarize_orders(request: Request) -> Response:
        """Counts and exact sums of all orders, or of those that the filters let through.

        An order whose amount is not known counts, and is in no sum.
        """
        given = request.scope["query_string"]
        query = read(Filters, given)
        asked_at = desk.clock.monotonic()
        whole, served = await desk.collection.whole(ask_in(request))
        asked = query.filter()
        added = await desk.workings.result(
            whole.content.worked,
            (SUMMARY_PATH, asked, query.time_zone),
            lambda: add_up(whole.content.rows, asked, query.zone),
            until=asked_at + desk.deadline,
        )
        compose = partial(
            compose_summary,
            added.body,
            whole.sources,
            shifting=whole.shifting,
            currency=desk.currency if added.has_amount else "",
        )
        if whole.shifting:
            answer = compose()
        else:
            answer = desk.prepared.once((SUMMARY_PATH, given), whole_basis(desk, whole), compose)
        response = await desk.answered(request, answer, [served], asked_at)
        desk.prepared.weigh_again((SUMMARY_PATH, given))
        return response

    @router.get(
        "/export",
        operation_id="exportOrders",
        summary="All orders as a file",
        response_class=StreamingResponse,
        responses={200: EXPORTS},
        dependencies=[Depends(requires("orders:read"))],
        openapi_extra={"parameters": documented(ExportQuery)}
        | asks_upstream(
            *WHOLE_LIST_PROBLEMS, headers=("ETag", "X-Total-Count", "Content-Disposition")
        ),
    )
    async def export_orders(request: Request) -> Response:
        """All orders, or those that the filters let through, as CSV or NDJSON.

        All of them are gathered before the first byte: it is never half a file. Poll it with
        `If-None-Match`.
        """
        only_with_scope_for_raw(request)
        query = read(ExportQuery, request.scope["query_string"])
        asked_at = desk.clock.monotonic()
        whole, served = await desk.collection.whole(ask_in(request))
        if whole.shifting:
            raise CollectionLoading.of_shifting(len(whole.content.rows))
        until = asked_at + desk.deadline
        asked = query.filter()
        positions = await desk.positions(whole, asked, query.sort, until)
        head, lines, lasting = _written(query, whole)
        digest = await desk.workings.result(
            whole.content.worked,
            (query.format, asked, query.sort, frozenset(query.include)),
            lambda: digest_of(lasting, positions),
            until=until,
        )
        answer = compose_export(digest, whole.sources, len(positions))
        told = positions if exchange_of(request.scope).method == "GET" else ()
        name = f"orders-{_compact(whole.oldest.value.as_of)}.{query.format}"
        file = File(pieces(head, lines, told), MEDIA_TYPES[query.format], name)
        return desk.streamed(request, answer, served, asked_at, file)

    @router.get(
        "/changes",
        operation_id="listOrderChanges",
        summary="What changed since a state of the list",
        response_model=OrderChanges,
        dependencies=[Depends(requires("orders:read"))],
        openapi_extra={"parameters": documented(ChangesQuery)}
        | shown_by(examples.CHANGES)
        | asks_upstream(*WHOLE_LIST_PROBLEMS, "cursor_gone", headers=("ETag",)),
    )
    async def list_order_changes(request: Request) -> Response:
        """A state is named by its content, so any replica that saw it can tell.

        Ask again after `meta.poll_after` seconds with the new `meta.cursor`. Where a cursor is not
        known, take the export.
        """
        query = read(ChangesQuery, request.scope["query_string"])
        asked_at = desk.clock.monotonic()
        whole, served = await desk.collection.whole(ask_in(request))
        await desk.history.record(whole)
        latest = desk.history.latest
        if latest is None:
            raise CollectionLoading.of_shifting(len(whole.content.rows))
        cursor = desk.history.cursor
        answer = compose_changes(
            desk.history.since(query.since or cursor),
            latest.sources,
            cursor=cursor,
            poll_after=_poll_after(served, desk.clock.monotonic()),
            currency=desk.currency,
        )
        return await desk.answered(request, answer, [served], asked_at)

    return router


def _written(query: ExportQuery, whole: Whole) -> tuple[bytes, Lines, Lines]:
    """How the file begins, its lines, and what of them a refresh that changed nothing leaves."""
    rows = whole.content.rows
    if query.format == "csv":
        return csv_head(), csv_lines(rows), csv_lines(rows)
    included = Included(query.include, lambda at: origin_of(whole.block_of(at)))
    return b"", ndjson_lines(rows, included), ndjson_lines(rows, included.lasting())


def _compact(as_of: str) -> str:
    """A moment as it stands in file names: 20261123T080000Z."""
    return re.sub("[-:]|[.][0-9]+", "", as_of)


def _poll_after(served: Served[Any], now: float) -> int:
    """Seconds until the list is read again; it may be under way."""
    if served.freshness is not Freshness.FRESH:
        return SOON
    return max(math.ceil(served.ttl - (now - served.entry.asked)), 1)
