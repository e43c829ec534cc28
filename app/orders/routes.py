"""What callers may ask of orders by page and number: each a straight line to its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Depends, Request, Response

from app.cache.grace_cache import Lookup
from app.cache.policy import CacheDirective
from app.edge.auth import require_scope
from app.edge.openapi import example_response, upstream_responses
from app.edge.query_params import (
    NoParameters,
    documented_order_number,
    openapi_parameters,
    parse_order_no,
    parse_query,
)
from app.orders import examples
from app.orders.blocks import Block, Provenance, provenance_of
from app.orders.dependencies import (
    OrdersDependencies,
    cache_directive,
    require_raw_scope,
    snapshot_validity,
)
from app.orders.lookup import FoundOrder
from app.orders.mapping import Row
from app.orders.queries import OrdersQuery
from app.orders.rendering import (
    RenderedResponse,
    link_header,
    render_page,
    render_single,
)
from app.orders.response_cache import LIST_PATH, Validity
from app.orders.schema import OrderPage, SingleOrder, SinglePayment


@dataclass(frozen=True, slots=True)
class _Page:
    """What a page is made of.

    Attributes:
        blocks: for each row the block that it came in.
        sources: the upstream answers that it rests on.
        served: the lookups, or the one that speaks for all.
        basis: what it hangs on.
    """

    rows: Sequence[Row]
    blocks: Sequence[Block]
    total: int
    inconsistent: bool
    sources: Sequence[Provenance]
    served: Sequence[Lookup[Block]]
    basis: Validity


def orders_router(desk: OrdersDependencies) -> APIRouter:
    """The list, page by page, and single orders."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"])

    @router.get(
        "",
        operation_id="listOrders",
        summary="One page of the order list",
        response_model=OrderPage,
        dependencies=[Depends(require_scope("orders:read"))],
        openapi_extra={"parameters": openapi_parameters(OrdersQuery)}
        | example_response(examples.PAGE)
        | upstream_responses(
            "list_loading",
            "list_too_large",
            headers=("ETag", "Link", "X-Total-Count"),
        ),
    )
    async def list_orders(request: Request) -> Response:
        """In the upstream's order; one past the end is empty, with the real `total`.

        Filters and `sort` are over all orders, which are read once and shared.
        """
        require_raw_scope(request)
        given = request.scope["query_string"]
        query = parse_query(OrdersQuery, given)
        asked_at = desk.clock.monotonic()
        find = _window if query.is_unfiltered() else _filtered
        page = await find(desk, query, cache_directive(request), asked_at)
        compose = partial(_compose, desk, query, page, given)
        if page.inconsistent or "raw" in query.include:
            answer = compose()
        else:
            answer = desk.response_cache.get_or_render((LIST_PATH, given), page.basis, compose)
        response = await desk.respond(request, answer, page.served, asked_at)
        desk.response_cache.update_size((LIST_PATH, given))
        return response

    @router.get(
        "/{order_no}",
        operation_id="getOrder",
        summary="One order",
        response_model=SingleOrder,
        dependencies=[Depends(require_scope("orders:read"))],
        openapi_extra={"parameters": [documented_order_number()]}
        | example_response(examples.ORDER)
        | upstream_responses("order_not_found", headers=("ETag",)),
    )
    async def get_order(request: Request, order_no: str) -> Response:
        """From the list where it is held and fresh, else asked for by its number."""
        number = _number(request, order_no)
        asked_at = desk.clock.monotonic()
        found = await desk.lookup.order(number, cache_directive(request))
        return await _single(desk, request, found, asked_at)

    @router.get(
        "/{order_no}/payment",
        operation_id="getOrderPayment",
        summary="The payment of one order",
        response_model=SinglePayment,
        dependencies=[Depends(require_scope("payments:read"))],
        openapi_extra={"parameters": [documented_order_number()]}
        | example_response(examples.PAYMENT)
        | upstream_responses("payment_not_found"),
    )
    async def get_order_payment(request: Request, order_no: str) -> Response:
        """Asked for anew each time; never held, so not to be stored."""
        number = _number(request, order_no)
        asked_at = desk.clock.monotonic()
        found = await desk.lookup.payment(number, cache_directive(request))
        response = await _single(desk, request, found, asked_at, stored=False)
        response.headers["cache-control"] = "no-store"
        return response

    return router


def _compose(
    desk: OrdersDependencies, query: OrdersQuery, page: _Page, given: bytes
) -> RenderedResponse:
    pages = -(-page.total // query.limit)
    return render_page(
        page.rows,
        page.blocks,
        page.sources,
        page=query.page,
        limit=query.limit,
        total=page.total,
        inconsistent=page.inconsistent,
        currency=desk.currency,
        link=link_header(desk.public_url + LIST_PATH, given.decode("ascii"), query.page, pages),
        include=query.include,
    )


async def _window(
    desk: OrdersDependencies, query: OrdersQuery, ask: CacheDirective, _: float
) -> _Page:
    """A page of the list as it stands."""
    window = await desk.book.window(query.start, query.start + query.limit, ask)
    entries = tuple(served.entry for served in window.lookups)
    home = {id(row): entry.value for entry in entries for row in entry.value.rows}
    return _Page(
        window.rows,
        [home[id(row)] for row in window.rows],
        window.total,
        window.inconsistent,
        [provenance_of(entry) for entry in entries],
        window.lookups,
        Validity((entries, window.total), desk.book.is_current),
    )


async def _filtered(
    desk: OrdersDependencies, query: OrdersQuery, ask: CacheDirective, asked_at: float
) -> _Page:
    """A page of what the filters let through."""
    whole, served = await desk.snapshots.get(ask)
    until = asked_at + desk.deadline
    positions = await desk.select(whole, query.filter(), query.sort, until)
    shown = positions[query.start : query.start + query.limit]
    return _Page(
        [whole.content.rows[at] for at in shown],
        [whole.block_at(at) for at in shown],
        len(positions),
        whole.inconsistent,
        whole.sources,
        [served],
        snapshot_validity(desk, whole),
    )


def _number(request: Request, order_no: str) -> str:
    parse_query(NoParameters, request.scope["query_string"])
    return parse_order_no(order_no)


async def _single(
    desk: OrdersDependencies,
    request: Request,
    found: FoundOrder,
    asked_at: float,
    *,
    stored: bool = True,
) -> Response:
    row, served = found
    answer = render_single(row, provenance_of(served.entry), currency=desk.currency)
    return await desk.respond(request, answer, [served], asked_at, stored=stored)
