"""What callers may ask of orders: each route one straight line from question to answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.cache.grace_cache import Served
from app.clock import Clock
from app.edge.callers import requires
from app.edge.coding import coding_for
from app.edge.document import asks_upstream
from app.edge.exchange import exchange_of
from app.edge.parameters import (
    DecimalInteger,
    NoParameters,
    documented,
    documented_order_number,
    order_number,
    read,
)
from app.orders.answer import Answer, Source, compose_page, compose_single, links_of
from app.orders.asked import ask_of, header
from app.orders.book import OrderBook, Window
from app.orders.contract import OrderPage, SingleOrder, SinglePayment
from app.orders.manner import manner_of
from app.orders.prepared import LIST_PATH, Prepared, rendered
from app.orders.singles import Found, SingleOrders

MAX_LIMIT = 50


class OrdersQuery(BaseModel):
    """Which page of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: Annotated[
        int,
        DecimalInteger(1_000_000, "follow the Link header to the pages there are"),
        Field(description="The page, from 1. One past the end is empty.", examples=[1]),
    ] = 1
    limit: Annotated[
        int,
        DecimalInteger(MAX_LIMIT, "ask for more pages"),
        Field(description="Orders a page.", examples=[10]),
    ] = 10


@dataclass(frozen=True, slots=True)
class OrdersDesk:
    """What the routes of orders need.

    Attributes:
        ttl: seconds; told in Cache-Status.
        currency: ISO 4217, or empty.
        public_url: origin and prefix of links, or empty for path references.
        code_of: the problem code of an error.
    """

    book: OrderBook
    singles: SingleOrders
    prepared: Prepared
    clock: Clock
    ttl: float
    currency: str
    public_url: str
    code_of: Callable[[BaseException], str]


def orders_router(desk: OrdersDesk) -> APIRouter:
    """The routes under /v1/orders."""
    router = APIRouter(prefix=LIST_PATH, tags=["orders"])

    @router.get(
        "",
        operation_id="listOrders",
        summary="One page of the order list",
        response_model=OrderPage,
        dependencies=[Depends(requires("orders:read"))],
        openapi_extra={"parameters": documented(OrdersQuery)}
        | asks_upstream(headers=("ETag", "Link", "X-Total-Count")),
    )
    async def list_orders(request: Request) -> Response:
        """In the upstream's order. One past the end is empty, with the real `total`."""
        query = read(OrdersQuery, request.scope["query_string"])
        start = (query.page - 1) * query.limit
        asked_at = desk.clock.monotonic()
        window = await desk.book.window(start, start + query.limit, _ask(request))
        answer = _page(desk, window, query, request.scope["query_string"])
        response = await _answered(desk, request, answer, window.served, asked_at)
        desk.prepared.weigh_again(request.scope["query_string"])
        return response

    @router.get(
        "/{order_no}",
        operation_id="getOrder",
        summary="One order",
        response_model=SingleOrder,
        dependencies=[Depends(requires("orders:read"))],
        openapi_extra={"parameters": [documented_order_number()]}
        | asks_upstream("order_not_found", headers=("ETag",)),
    )
    async def get_order(request: Request, order_no: str) -> Response:
        """From the list where it is held and fresh, else asked for by its number."""
        number = _number(request, order_no)
        asked_at = desk.clock.monotonic()
        found = await desk.singles.order(number, _ask(request))
        return await _single(desk, request, found, asked_at)

    @router.get(
        "/{order_no}/payment",
        operation_id="getOrderPayment",
        summary="The payment of one order",
        response_model=SinglePayment,
        dependencies=[Depends(requires("payments:read"))],
        openapi_extra={"parameters": [documented_order_number()]}
        | asks_upstream("payment_not_found"),
    )
    async def get_order_payment(request: Request, order_no: str) -> Response:
        """Asked for anew each time; never held, so not to be stored."""
        number = _number(request, order_no)
        asked_at = desk.clock.monotonic()
        found = await desk.singles.payment(number, _ask(request))
        response = await _single(desk, request, found, asked_at, stored=False)
        response.headers["cache-control"] = "no-store"
        return response

    return router


def _ask(request: Request) -> Any:
    return ask_of(header(request.scope["headers"], b"cache-control"))


def _number(request: Request, order_no: str) -> str:
    read(NoParameters, request.scope["query_string"])
    return order_number(order_no)


def _page(desk: OrdersDesk, window: Window, query: OrdersQuery, given: bytes) -> Answer:
    """The page cut from `window`: once for all who waited for the same blocks."""
    entries = tuple(served.entry for served in window.served)
    if not window.shifting and (made := desk.prepared.cut_from(given, entries, window.total)):
        return made.answer
    pages = -(-window.total // query.limit)
    answer = compose_page(
        window.rows,
        [_source(served) for served in window.served],
        page=query.page,
        limit=query.limit,
        total=window.total,
        shifting=window.shifting,
        currency=desk.currency,
        links=links_of(desk.public_url + LIST_PATH, given.decode("ascii"), query.page, pages),
    )
    if not window.shifting:
        desk.prepared.keep(given, answer, entries, window.total)
    return answer


def _source(served: Served[Any]) -> Source:
    held = served.entry.value
    return Source(served.entry.asked, held.as_of, held.request_id, held.sandbox)


async def _single(
    desk: OrdersDesk, request: Request, found: Found, asked_at: float, *, stored: bool = True
) -> Response:
    row, served = found
    answer = compose_single(row, _source(served), currency=desk.currency)
    return await _answered(desk, request, answer, [served], asked_at, stored=stored)


async def _answered(
    desk: OrdersDesk,
    request: Request,
    answer: Answer,
    served: Any,
    asked_at: float,
    *,
    stored: bool = True,
) -> Response:
    raw = request.scope["headers"]
    # A payment is never held: to code each would cost more than the bytes it saves. And its body
    # holds the caller's own text, the number, beside a secret: their length together is not told.
    accepted = header(raw, b"accept-encoding") if stored else b""
    coding = coding_for(accepted, len(answer.body))
    await answer.codings.made(coding)
    now = desk.clock.monotonic()
    exchange = exchange_of(request.scope)
    exchange.waited_seconds = now - asked_at
    manner = manner_of(served, now=now, ttl=desk.ttl, code_of=desk.code_of, stored=stored)
    condition = header(raw, b"if-none-match")
    status, headers, body = rendered(
        exchange, answer, manner, now, if_none_match=condition, coding=coding
    )
    response = Response(body, status)
    response.raw_headers = [*answer.headers, *headers]
    return response
