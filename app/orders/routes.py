"""What callers may ask of orders by page and number: each a straight line to its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Depends, Request, Response

from app.cache.grace_cache import Ask, Served
from app.edge.auth import requires
from app.edge.openapi import asks_upstream, shown_by
from app.edge.query_params import (
    NoParameters,
    documented,
    documented_order_number,
    order_number,
    read,
)
from app.orders import examples
from app.orders.blocks import Block
from app.orders.dependencies import OrdersDesk, ask_in, only_with_scope_for_raw, whole_basis
from app.orders.lookup import Found
from app.orders.mapping import Row
from app.orders.queries import OrdersQuery
from app.orders.rendering import Answer, Source, compose_page, compose_single, links_of
from app.orders.response_cache import LIST_PATH, Basis
from app.orders.row_extras import Included, origin_of
from app.orders.schema import OrderPage, SingleOrder, SinglePayment
from app.orders.snapshot import source_of


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
    shifting: bool
    sources: Sequence[Source]
    served: Sequence[Served[Block]]
    basis: Basis


def orders_router(desk: OrdersDesk) -> APIRouter:
    """The list, page by page, and single orders."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"])

    @router.get(
        "",
        operation_id="listOrders",
        summary="One page of the order list",
        response_model=OrderPage,
        dependencies=[Depends(requires("orders:read"))],
        openapi_extra={"parameters": documented(OrdersQuery)}
        | shown_by(examples.PAGE)
        | asks_upstream(
            "collection_loading",
            "collection_too_large",
            headers=("ETag", "Link", "X-Total-Count"),
        ),
    )
    async def list_orders(request: Request) -> Response:
        """In the upstream's order; one past the end is empty, with the real `total`.

        Filters and `sort` are over all orders, which are read once and shared.
        """
        only_with_scope_for_raw(request)
        given = request.scope["query_string"]
        query = read(OrdersQuery, given)
        asked_at = desk.clock.monotonic()
        find = _window if query.is_plain() else _filtered
        page = await find(desk, query, ask_in(request), asked_at)
        compose = partial(_compose, desk, query, page, given)
        if page.shifting or "raw" in query.include:
            answer = compose()
        else:
            answer = desk.prepared.once((LIST_PATH, given), page.basis, compose)
        response = await desk.answered(request, answer, page.served, asked_at)
        desk.prepared.weigh_again((LIST_PATH, given))
        return response

    @router.get(
        "/{order_no}",
        operation_id="getOrder",
        summary="One order",
        response_model=SingleOrder,
        dependencies=[Depends(requires("orders:read"))],
        openapi_extra={"parameters": [documented_order_number()]}
        | shown_by(examples.ORDER)
        | asks_upstream("order_not_found", headers=("ETag",)),
    )
    async def get_order(request: Request, order_no: str) -> Response:
        """From the list where it is held and fresh, else asked for by its number."""
        number = _number(request, order_no)
        asked_at = desk.clock.monotonic()
        found = await desk.singles.order(number, ask_in(request))
        return await _single(desk, request, found, asked_at)

    @router.get(
        "/{order_no}/payment",
        operation_id="getOrderPayment",
        summary="The payment of one order",
        response_model=SinglePayment,
        dependencies=[Depends(requires("payments:read"))],
        openapi_extra={"parameters": [documented_order_number()]}
        | shown_by(examples.PAYMENT)
        | asks_upstream("payment_not_found"),
    )
    async def get_order_payment(request: Request, order_no: str) -> Response:
        """Asked for anew each time; never held, so not to be stored."""
        number = _number(request, order_no)
        asked_at = desk.clock.monotonic()
        found = await desk.singles.payment(number, ask_in(request))
        response = await _single(desk, request, found, asked_at, stored=False)
        response.headers["cache-control"] = "no-store"
        return response

    return router


def _compose(desk: OrdersDesk, query: OrdersQuery, page: _Page, given: bytes) -> Answer:
    pages = -(-page.total // query.limit)
    return compose_page(
        page.rows,
        page.sources,
        page=query.page,
        limit=query.limit,
        total=page.total,
        shifting=page.shifting,
        currency=desk.currency,
        links=links_of(desk.public_url + LIST_PATH, given.decode("ascii"), query.page, pages),
        included=Included(query.include, lambda at: origin_of(page.blocks[at])),
    )


async def _window(desk: OrdersDesk, query: OrdersQuery, ask: Ask, _: float) -> _Page:
    """A page of the list as it stands."""
    window = await desk.book.window(query.start, query.start + query.limit, ask)
    entries = tuple(served.entry for served in window.served)
    home = {id(row): entry.value for entry in entries for row in entry.value.rows}
    return _Page(
        window.rows,
        [home[id(row)] for row in window.rows],
        window.total,
        window.shifting,
        [source_of(entry) for entry in entries],
        window.served,
        Basis((entries, window.total), desk.book.is_current),
    )


async def _filtered(desk: OrdersDesk, query: OrdersQuery, ask: Ask, asked_at: float) -> _Page:
    """A page of what the filters let through."""
    whole, served = await desk.collection.whole(ask)
    until = asked_at + desk.deadline
    positions = await desk.positions(whole, query.filter(), query.sort, until)
    shown = positions[query.start : query.start + query.limit]
    return _Page(
        [whole.content.rows[at] for at in shown],
        [whole.block_of(at) for at in shown],
        len(positions),
        whole.shifting,
        whole.sources,
        [served],
        whole_basis(desk, whole),
    )


def _number(request: Request, order_no: str) -> str:
    read(NoParameters, request.scope["query_string"])
    return order_number(order_no)


async def _single(
    desk: OrdersDesk, request: Request, found: Found, asked_at: float, *, stored: bool = True
) -> Response:
    row, served = found
    answer = compose_single(row, source_of(served.entry), currency=desk.currency)
    return await desk.answered(request, answer, [served], asked_at, stored=stored)
