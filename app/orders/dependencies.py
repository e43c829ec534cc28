"""What the routes of orders have at hand, and the one way in which each of them answers."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.cache.grace_cache import Lookup
from app.cache.policy import CacheDirective
from app.clock import Clock
from app.edge.auth import Forbidden
from app.edge.content_coding import negotiate
from app.edge.context import context_of
from app.edge.query_params import has_param
from app.orders.book import OrderBook
from app.orders.changes import History
from app.orders.compute import ComputeQueue
from app.orders.filters import Positions, select
from app.orders.lookup import OrderLookup
from app.orders.queries import Filter
from app.orders.rendering import RenderedResponse, ResponseHead
from app.orders.response_cache import ResponseCache, Validity
from app.orders.responses import (
    build_response,
    combine_lookups,
    etag_matches,
    joined_header,
    parse_cache_control,
    per_caller_headers,
)
from app.orders.snapshot import Snapshot
from app.orders.snapshot_cache import SnapshotCache

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileDownload:
    """What is sent piece by piece, to be saved under a name."""

    pieces: AsyncIterator[bytes]
    media_type: str
    name: str

    @property
    def disposition(self) -> str:
        """The value of Content-Disposition (RFC 6266)."""
        return f'attachment; filename="{self.name}"'


@dataclass(frozen=True, slots=True)
class OrdersDependencies:
    """What the routes of orders need.

    Attributes:
        deadline: seconds that one caller waits at most.
        currency: ISO 4217, or empty.
        public_url: origin and prefix of links, or empty for path references.
        code_of: the problem code of an error.
    """

    book: OrderBook
    snapshots: SnapshotCache
    history: History
    compute: ComputeQueue
    lookup: OrderLookup
    response_cache: ResponseCache
    clock: Clock
    deadline: float
    currency: str
    public_url: str
    problem_code: Callable[[BaseException], str]

    async def select(
        self, whole: Snapshot, asked: Filter, sort: str | None, until: float
    ) -> Positions:
        """Where the orders stand that are meant; worked out once a question.

        Raises:
            TooMuchWork: it could not be had until the moment `until`.
        """
        return await self.compute.get_or_compute(
            whole.content.results,
            (asked, sort),
            lambda: select(whole.content.rows, asked, sort),
            deadline=until,
        )

    async def respond(
        self,
        request: Request,
        answer: RenderedResponse,
        served: Sequence[Lookup[Any]],
        asked_at: float,
        *,
        stored: bool = True,
    ) -> Response:
        """The response that gives `answer`, which rests on the lookups `served`."""
        raw = request.scope["headers"]
        # A payment is never held: to code each would cost more than the bytes it saves. And its
        # body holds the caller's own text, the number, beside a secret: their length together is
        # not told.
        accepted = joined_header(raw, b"accept-encoding") if stored else b""
        coding = negotiate(accepted, len(answer.body))
        await answer.encodings.encoded(coding)
        now = self.clock.monotonic()
        context = context_of(request.scope)
        context.waited_seconds = now - asked_at
        manner = combine_lookups(served, now=now, problem_code=self.problem_code, stored=stored)
        status, headers, body = build_response(
            context,
            answer,
            manner,
            now,
            if_none_match=joined_header(raw, b"if-none-match"),
            coding=coding,
        )
        response = Response(body, status)
        response.raw_headers = [*answer.headers, *headers]
        return response

    def respond_stream(
        self,
        request: Request,
        answer: ResponseHead,
        served: Lookup[Any],
        asked_at: float,
        file: FileDownload,
    ) -> Response:
        """The response that gives `file`; `answer` has what is told of it in the headers."""
        now = self.clock.monotonic()
        context = context_of(request.scope)
        context.waited_seconds = now - asked_at
        manner = combine_lookups([served], now=now, problem_code=self.problem_code)
        headers = per_caller_headers(context, answer, manner, now)
        response: Response
        if etag_matches(joined_header(request.scope["headers"], b"if-none-match"), answer.etag):
            response = Response(status_code=304)
        else:
            response = StreamingResponse(file.pieces)
            headers.append((b"content-type", file.media_type.encode()))
            headers.append((b"content-disposition", file.disposition.encode()))
        response.raw_headers = [*answer.headers, *headers]
        return response


def snapshot_validity(desk: OrdersDependencies, whole: Snapshot) -> Validity:
    """What an answer over `whole` hangs on: by number and moment, or it would keep a list alive."""
    return Validity((whole.generation, whole.oldest_block.fetched_at), desk.snapshots.is_current)


def cache_directive(request: Request) -> CacheDirective:
    """What the request's Cache-Control asks for."""
    return parse_cache_control(joined_header(request.scope["headers"], b"cache-control"))


def require_raw_scope(request: Request) -> None:
    """Who asks for the upstream's rows has the scope for it; told before what else is wrong.

    Raises:
        Forbidden: the caller has not.
    """
    if not has_param(request.scope["query_string"], "include", "raw"):
        return
    caller = context_of(request.scope).caller
    if caller is None or "orders:raw" not in caller.scopes:
        raise Forbidden("orders:raw")
