"""The routes for pages of the list, single orders and payments."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.cache.freshness import CacheDirective
from app.cache.grace_cache import Entry, Lookup
from app.edge.audit import PAYMENT_READ
from app.edge.context import context_of
from app.edge.openapi import api_responses
from app.edge.query_params import StrictQuery
from app.edge.scopes import require_scope
from app.edge.strict_route import StrictRoute
from app.orders.blocks import Block
from app.orders.dependencies import (
    RAW_SCOPE,
    READ_ORDERS,
    READ_PAYMENTS,
    OrdersDependencies,
    RequestDirective,
)
from app.orders.mapping import Row
from app.orders.queries import OrderNoParameter, PageQuery
from app.orders.rendering import RenderedResponse, link_header, render_page, render_single
from app.orders.response_cache import LIST_PATH, Validity
from app.orders.schema import EXAMPLES, ORDER_NO, OrderPage, SingleOrder, SinglePayment

OrderNo = Annotated[
    OrderNoParameter, Path(description="The order number, as in the list.", examples=[ORDER_NO])
]


@dataclass(frozen=True, slots=True)
class _Page:
    """What a page is rendered from.

    Attributes:
        rows: the orders of the page.
        blocks: for each row the block that it was fetched with, if anything is to be included.
        total: the number of orders, of all pages.
        inconsistent: whether the blocks disagree.
        sources: the upstream responses that the page is based on.
        lookups: the cache lookups that it is based on.
        validity: what the rendered page depends on.
    """

    rows: Sequence[Row]
    blocks: Sequence[Block]
    total: int
    inconsistent: bool
    sources: Sequence[Entry[Block]]
    lookups: Sequence[Lookup[Block]]
    validity: Validity


def orders_router(deps: OrdersDependencies) -> APIRouter:
    """Return the routes for pages of the list, single orders and payments."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"], route_class=StrictRoute)

    @router.get(
        "",
        operation_id="listOrders",
        summary="List orders",
        response_model=OrderPage,
        responses=api_responses(
            "One page of the list.",
            EXAMPLES["page"],
            headers=("ETag", "Link", "X-Total-Count"),
            problems=("list_loading", "list_too_large"),
        ),
        dependencies=[READ_ORDERS, Depends(StrictQuery(PageQuery))],
    )
    async def list_orders(
        request: Request, query: Annotated[PageQuery, Query()], directive: RequestDirective
    ) -> Response:
        """In upstream order. A page past the end is empty and still reports the real `total`.

        Filters and `sort` apply to the whole list, which is fetched once and shared by all callers.
        """
        if "raw" in query.include:
            require_scope(request, RAW_SCOPE)
        started_at = deps.clock.monotonic()
        if query.is_unfiltered():
            page = await _plain_page(deps, query, directive)
        else:
            page = await _filtered_page(deps, request, query, directive)
        render = partial(_render_page, deps, query, page, request.scope["query_string"])
        validity = page.validity
        if page.inconsistent or "raw" in query.include:
            validity = validity.never_current()
        return await deps.respond_cached(request, render, validity, page.lookups, started_at)

    @router.get(
        "/{order_no}",
        operation_id="getOrder",
        summary="Get an order",
        response_model=SingleOrder,
        responses=api_responses(
            "The order.",
            EXAMPLES["order"],
            headers=("ETag",),
            problems=("order_not_found",),
        ),
        dependencies=[READ_ORDERS, Depends(StrictQuery())],
    )
    async def get_order(
        request: Request, order_no: OrderNo, directive: RequestDirective
    ) -> Response:
        """Served from the cached list when fresh, otherwise fetched by number."""
        started_at = deps.clock.monotonic()
        row, lookup = await deps.lookup.order(order_no, directive, deps.admit_lookup(request))
        rendered = render_single(row, lookup.entry, currency=deps.currency)
        return await deps.respond(request, rendered, [lookup], started_at)

    @router.get(
        "/{order_no}/payment",
        operation_id="getOrderPayment",
        summary="Get the payment of an order",
        response_model=SinglePayment,
        responses=api_responses(
            "The payment.", EXAMPLES["payment"], problems=("payment_not_found",)
        ),
        dependencies=[READ_PAYMENTS, Depends(StrictQuery())],
    )
    async def get_order_payment(
        request: Request, order_no: OrderNo, directive: RequestDirective
    ) -> Response:
        """Always fetched from the upstream, never cached; do not store."""
        started_at = deps.clock.monotonic()
        admit = deps.admit_lookup(request)
        row, lookup = await deps.lookup.payment(order_no, directive, admit)
        context_of(request.scope).audit_event = PAYMENT_READ
        rendered = render_single(row, lookup.entry, currency=deps.currency)
        response = await deps.respond(request, rendered, [lookup], started_at, stored=False)
        response.headers["cache-control"] = "no-store"
        return response

    return router


async def _plain_page(
    deps: OrdersDependencies, query: PageQuery, directive: CacheDirective
) -> _Page:
    """Return a page in upstream order, from one or two blocks."""
    window = await deps.book.window(query.start, query.start + query.limit, directive)
    entries = tuple(lookup.entry for lookup in window.lookups)
    blocks: list[Block] = []
    if query.include:
        block_by_row = {id(row): entry.value for entry in entries for row in entry.value.rows}
        blocks = [block_by_row[id(row)] for row in window.rows]
    return _Page(
        rows=window.rows,
        blocks=blocks,
        total=window.total,
        inconsistent=window.inconsistent,
        sources=entries,
        lookups=window.lookups,
        validity=deps.page_validity(entries, window.total),
    )


async def _filtered_page(
    deps: OrdersDependencies, request: Request, query: PageQuery, directive: CacheDirective
) -> _Page:
    """Return a page of the matching orders, from the whole list."""
    deadline = deps.clock.monotonic() + deps.deadline
    snapshot, lookup = await deps.snapshots.get(directive)
    admit = deps.admit_scan(request)
    positions = await deps.select(snapshot, query.filter(), query.sort, deadline, admit)
    page_positions = positions[query.start : query.start + query.limit]
    return _Page(
        rows=[snapshot.content.rows[position] for position in page_positions],
        blocks=[snapshot.block_at(position) for position in page_positions],
        total=len(positions),
        inconsistent=snapshot.inconsistent,
        sources=snapshot.blocks,
        lookups=[lookup],
        validity=deps.snapshot_validity(snapshot),
    )


def _render_page(
    deps: OrdersDependencies, query: PageQuery, page: _Page, query_string: bytes
) -> RenderedResponse:
    pages = -(-page.total // query.limit)
    url = deps.public_url + LIST_PATH
    return render_page(
        page.rows,
        page.blocks,
        page.sources,
        page=query.page,
        limit=query.limit,
        total=page.total,
        inconsistent=page.inconsistent,
        currency=deps.currency,
        link=link_header(url, query_string.decode("ascii"), query.page, pages),
        include=query.include,
    )
