"""The route that sends all orders as a file."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.edge.audit import ORDERS_EXPORTED
from app.edge.content_coding import MIN_COMPRESS_BYTES, prefers_gzip
from app.edge.context import context_of, joined_header
from app.edge.openapi import api_responses
from app.edge.query_params import StrictQuery
from app.edge.scopes import require_scope
from app.edge.strict_route import StrictRoute
from app.orders.dependencies import RAW_SCOPE, READ_ORDERS, OrdersDependencies, RequestDirective
from app.orders.export import (
    MEDIA_TYPES,
    TOTAL,
    Export,
    content_digest,
    export_digest,
    total_amounts,
)
from app.orders.export_file import ExportResponse, compress_chunks, spool, write_workbook
from app.orders.export_query import ExportQuery
from app.orders.rendering import render_export_head
from app.orders.response_cache import LIST_PATH
from app.orders.schema import EXAMPLES


def export_router(deps: OrdersDependencies) -> APIRouter:
    """Return the route of the export."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"], route_class=StrictRoute)

    @router.get(
        "/export",
        operation_id="exportOrders",
        summary="Export orders",
        response_class=StreamingResponse,
        responses=api_responses(
            "The file.",
            content={
                "text/csv": {"schema": {"type": "string"}, "example": EXAMPLES["csv"]},
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": EXAMPLES["ndjson"],
                },
                MEDIA_TYPES["xlsx"]: {"schema": {"type": "string", "format": "binary"}},
            },
            headers=(
                "ETag",
                "X-Total-Count",
                "X-Total-Amount",
                "X-Inconsistent",
                "X-Cursor",
                "Content-Disposition",
                "Repr-Digest",
            ),
            problems=("list_loading", "list_too_large", "overloaded"),
        ),
        dependencies=[READ_ORDERS, Depends(StrictQuery(ExportQuery))],
    )
    async def export_orders(
        request: Request, query: Annotated[ExportQuery, Query()], directive: RequestDirective
    ) -> Response:
        """All orders, or those matching the filters, as a workbook, CSV or NDJSON file.

        All orders are loaded before the first byte is sent: the file never has only a part of them.
        Without a content coding it has `Content-Length` and `Repr-Digest`. Poll it with
        `If-None-Match`.
        """
        if "raw" in query.include:
            require_scope(request, RAW_SCOPE)
        started_at = deps.clock.monotonic()
        deadline = started_at + deps.deadline
        admit = deps.admit_scan(request)
        snapshot, lookup = await deps.snapshots.get(directive)
        await deps.history.record(snapshot)
        rows, with_raw = snapshot.content.rows, "raw" in query.include
        positions = await deps.select(snapshot, query.filter(), query.sort, deadline, admit)
        content = await deps.compute.get_or_compute(
            snapshot.content.results,
            ("content_digest", with_raw),
            lambda: content_digest(rows, raw=with_raw),
            kind="digest",
            deadline=deadline,
            admit=admit,
        )
        amounts = await deps.compute.get_or_compute(
            snapshot.content.results,
            ("total_amounts", query.filter()),
            lambda: total_amounts(rows, positions),
            kind="total",
            deadline=deadline,
            admit=admit,
        )
        export = Export(query, snapshot, positions, amounts)
        head = render_export_head(
            export_digest(content, snapshot, query),
            snapshot.blocks,
            total=len(positions),
            amount=amounts[TOTAL],
            cursor=deps.history.cursor_of(snapshot),
            inconsistent=snapshot.inconsistent,
        )

        async def render() -> Response:
            context = context_of(request.scope)
            if context.method == "GET":
                if rejection := admit():
                    raise rejection
                context.audit_event = ORDERS_EXPORTED
            return await _render_file(deps, request, export, deadline)

        return await deps.respond_file(request, head, lookup, started_at, render)

    return router


async def _render_file(
    deps: OrdersDependencies, request: Request, export: Export, deadline: float
) -> Response:
    """Return the response with the file, or without it for HEAD.

    Raises:
        TooManyExports: as many as permitted were being sent until the deadline.
        TemporaryFileError: the disk is full, for example.
        WorkbookError: the workbook could not be written for another reason.
    """
    headers = {"Content-Disposition": f'attachment; filename="{export.filename}"'}
    is_workbook = export.query.format == "xlsx"
    accepted = joined_header(request.scope, b"accept-encoding")
    use_gzip = not is_workbook and prefers_gzip(accepted, MIN_COMPRESS_BYTES)
    if use_gzip:
        headers["Content-Encoding"] = "gzip"
    context = context_of(request.scope)
    caller = context.caller.limit_key if context.caller else ()
    chunks = _no_chunks()
    with ExitStack() as resources:
        if context.method == "GET":
            for kind in ("workbook", "export") if is_workbook else ("export",):
                resources.callback(await deps.export_slots.acquire(kind, caller, deadline))
            chunks = export.lines()
            if is_workbook:
                options = export.workbook_options(deps.currency)
                chunks, described = await write_workbook(chunks, options, resources)
                headers |= described
            elif use_gzip:
                chunks = compress_chunks(chunks)
            else:
                chunks, described = await spool(chunks, resources)
                headers |= described
        return ExportResponse(
            chunks,
            resources.pop_all(),
            deps.clock,
            min_send_rate=deps.min_send_rate,
            headers=headers,
            media_type=MEDIA_TYPES[export.query.format],
        )


async def _no_chunks() -> AsyncIterator[bytes]:
    return
    yield b""
