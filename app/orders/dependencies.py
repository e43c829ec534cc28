"""What the routes of orders have at hand, and the one way in which each of them answers."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.cache.grace_cache import Ask, Served
from app.clock import Clock
from app.edge.auth import Forbidden
from app.edge.content_coding import coding_for
from app.edge.context import exchange_of
from app.edge.query_params import is_given
from app.orders.book import OrderBook
from app.orders.cache_outcome import manner_of
from app.orders.changes import History
from app.orders.compute import Workings
from app.orders.filters import Positions, select
from app.orders.lookup import SingleOrders
from app.orders.queries import Filter
from app.orders.rendering import Answer
from app.orders.request_headers import ask_of, header, none_match
from app.orders.response_cache import Basis, Prepared, headed, rendered
from app.orders.snapshot import Whole
from app.orders.snapshot_cache import Collection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class File:
    """What is sent piece by piece, to be saved under a name."""

    pieces: AsyncIterator[bytes]
    media_type: str
    name: str

    @property
    def disposition(self) -> str:
        """The value of Content-Disposition (RFC 6266)."""
        return f'attachment; filename="{self.name}"'


@dataclass(frozen=True, slots=True)
class OrdersDesk:
    """What the routes of orders need.

    Attributes:
        deadline: seconds that one caller waits at most.
        currency: ISO 4217, or empty.
        public_url: origin and prefix of links, or empty for path references.
        code_of: the problem code of an error.
    """

    book: OrderBook
    collection: Collection
    history: History
    workings: Workings
    singles: SingleOrders
    prepared: Prepared
    clock: Clock
    deadline: float
    currency: str
    public_url: str
    code_of: Callable[[BaseException], str]

    async def positions(
        self, whole: Whole, asked: Filter, sort: str | None, until: float
    ) -> Positions:
        """Where the orders stand that are meant; worked out once a question.

        Raises:
            TooMuchWork: it could not be had until the moment `until`.
        """
        return await self.workings.result(
            whole.content.worked,
            (asked, sort),
            lambda: select(whole.content.rows, asked, sort),
            until=until,
        )

    async def answered(
        self,
        request: Request,
        answer: Answer,
        served: Sequence[Served[Any]],
        asked_at: float,
        *,
        stored: bool = True,
    ) -> Response:
        """The response that gives `answer`, which rests on the lookups `served`."""
        raw = request.scope["headers"]
        # A payment is never held: to code each would cost more than the bytes it saves. And its
        # body holds the caller's own text, the number, beside a secret: their length together is
        # not told.
        accepted = header(raw, b"accept-encoding") if stored else b""
        coding = coding_for(accepted, len(answer.body))
        await answer.codings.made(coding)
        now = self.clock.monotonic()
        exchange = exchange_of(request.scope)
        exchange.waited_seconds = now - asked_at
        manner = manner_of(served, now=now, code_of=self.code_of, stored=stored)
        status, headers, body = rendered(
            exchange,
            answer,
            manner,
            now,
            if_none_match=header(raw, b"if-none-match"),
            coding=coding,
        )
        response = Response(body, status)
        response.raw_headers = [*answer.headers, *headers]
        return response

    def streamed(
        self,
        request: Request,
        answer: Answer,
        served: Served[Any],
        asked_at: float,
        file: File,
    ) -> Response:
        """The response that gives `file`; `answer` has what is told of it in the headers."""
        now = self.clock.monotonic()
        exchange = exchange_of(request.scope)
        exchange.waited_seconds = now - asked_at
        manner = manner_of([served], now=now, code_of=self.code_of)
        headers = headed(exchange, answer, manner, now)
        response: Response
        if none_match(header(request.scope["headers"], b"if-none-match"), answer.etag):
            response = Response(status_code=304)
        else:
            response = StreamingResponse(file.pieces)
            headers.append((b"content-type", file.media_type.encode()))
            headers.append((b"content-disposition", file.disposition.encode()))
        response.raw_headers = [*answer.headers, *headers]
        return response


def whole_basis(desk: OrdersDesk, whole: Whole) -> Basis:
    """What an answer over `whole` hangs on: by number and moment, or it would keep a list alive."""
    return Basis((whole.generation, whole.oldest.asked), desk.collection.is_current)


def ask_in(request: Request) -> Ask:
    """What the request's Cache-Control asks for."""
    return ask_of(header(request.scope["headers"], b"cache-control"))


def only_with_scope_for_raw(request: Request) -> None:
    """Who asks for the upstream's rows has the scope for it; told before what else is wrong.

    Raises:
        Forbidden: the caller has not.
    """
    if not is_given(request.scope["query_string"], "include", "raw"):
        return
    caller = exchange_of(request.scope).caller
    if caller is None or "orders:raw" not in caller.scopes:
        raise Forbidden("orders:raw")
