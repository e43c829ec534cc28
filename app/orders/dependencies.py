"""What the order routes depend on, and how they respond."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Response, Security

from app.cache.cache_control import parse_cache_control
from app.cache.freshness import CacheDirective
from app.cache.grace_cache import Entry, Lookup
from app.clock import Clock
from app.edge.caller_limits import CallerLimits, RateLimited
from app.edge.content_coding import prefers_gzip
from app.edge.context import Caller, context_of, joined_header
from app.edge.entity_tags import etag_matches
from app.edge.scopes import require_scopes
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.changes import History
from app.orders.compute import ComputeQueue
from app.orders.export_file import ExportSlots
from app.orders.filters import Filter, Positions, select
from app.orders.lookup import OrderLookup
from app.orders.rendering import RenderedResponse, ResponseHead
from app.orders.response_cache import SCOPE, ResponseCache, Validity
from app.orders.responses import build_response, combine_lookups, per_caller_headers
from app.orders.snapshot import Snapshot
from app.orders.snapshot_cache import SnapshotCache

READ_ORDERS = Security(require_scopes, scopes=[SCOPE])
RAW_SCOPE = "orders:raw"
READ_PAYMENTS = Security(require_scopes, scopes=["payments:read"])


async def _cache_directive(request: Request) -> CacheDirective:
    return parse_cache_control(joined_header(request.scope, b"cache-control"))


RequestDirective = Annotated[CacheDirective, Depends(_cache_directive)]
"""The directive in the request's Cache-Control."""


@dataclass(frozen=True, slots=True)
class OrdersDependencies:
    """What the order routes use.

    Attributes:
        book: pages of the list in upstream order.
        snapshots: the whole list.
        compute: computations over the whole list.
        lookup: single orders and payments.
        limits: the limits per caller.
        deadline: seconds that a caller waits at most.
        currency: ISO 4217, or empty.
        public_url: origin and prefix for links; empty for path references.
        problem_code: returns the problem code of an error.
        export_slots: bounds the exports at once.
        min_send_rate: bytes per second that the reader of an export must take.
    """

    book: OrderBook
    snapshots: SnapshotCache
    history: History
    compute: ComputeQueue
    lookup: OrderLookup
    limits: CallerLimits
    response_cache: ResponseCache
    clock: Clock
    deadline: float
    currency: str
    public_url: str
    problem_code: Callable[[BaseException], str]
    export_slots: ExportSlots
    min_send_rate: int

    def admit_scan(self, request: Request) -> Callable[[], RateLimited | None]:
        """Return what counts a request over the whole list; further calls count nothing.

        It returns why nothing may be computed for it, or None.
        """
        context = context_of(request.scope)
        caller = cast("Caller", context.caller)
        return cache(partial(self.limits.admit_scan, caller, context.started_at))

    def admit_lookup(self, request: Request) -> Callable[[], RateLimited | None]:
        """Return what counts an order number, and returns why it must not be looked up, or None."""
        context = context_of(request.scope)
        caller = cast("Caller", context.caller)
        return partial(self.limits.admit_lookup, caller, context.started_at)

    async def select(
        self,
        snapshot: Snapshot,
        row_filter: Filter,
        sort: str | None,
        deadline: float,
        admit: Callable[[], RateLimited | None],
    ) -> Positions:
        """Return the positions of the matching rows, computed once per snapshot.

        Raises:
            RateLimited: they are not cached, and `admit` returned this.
            ComputeQueueFull: the result was not available at `deadline` (monotonic time).
        """
        return await self.compute.get_or_compute(
            snapshot.content.results,
            (row_filter, sort),
            lambda: select(snapshot.content.rows, row_filter, sort),
            kind="select",
            deadline=deadline,
            admit=admit,
        )

    def page_validity(self, entries: Sequence[Entry[Block]], total: int) -> Validity:
        """Return what a page depends on, without keeping its blocks alive."""
        blocks = tuple((entry.value.index, entry.sequence) for entry in entries)
        return Validity((blocks, total), self.book.lookups_without_fetch, self.book.blocks)

    def snapshot_validity(self, snapshot: Snapshot) -> Validity:
        """Return what a response over the whole list depends on, without keeping the list alive."""
        key = (snapshot.generation, snapshot.oldest_block.fetched_at)
        return Validity(key, self.snapshots.lookups_without_load, self.snapshots)

    async def respond(
        self,
        request: Request,
        rendered: RenderedResponse,
        lookups: Sequence[Lookup[Any]],
        started_at: float,
        *,
        stored: bool = True,
    ) -> Response:
        """Return the response for one caller.

        Args:
            request: the request.
            rendered: the response, as rendered for all callers.
            lookups: the cache lookups that it is based on.
            started_at: when the route started to wait for its data, on the monotonic clock.
            stored: whether the data is cached. If not, the response is not compressed: it would
                cost more than it saves, and a payment has a text of the caller's (the order number)
                beside a secret, whose compressed length must not be visible (BREACH).
        """
        accepted = joined_header(request.scope, b"accept-encoding") if stored else b""
        use_gzip = prefers_gzip(accepted, len(rendered.body))
        compressed = await rendered.gzip.get() if use_gzip else None
        now = self.clock.monotonic()
        context = context_of(request.scope)
        context.waited_seconds = now - started_at
        outcome = combine_lookups(lookups, now=now, problem_code=self.problem_code, stored=stored)
        status, headers, body = build_response(
            rendered,
            per_caller_headers(context, rendered, outcome, now),
            if_none_match=joined_header(request.scope, b"if-none-match"),
            compressed=compressed,
        )
        response = Response(body, status)
        response.raw_headers = headers
        return response

    async def respond_cached(
        self,
        request: Request,
        render: Callable[[], RenderedResponse],
        validity: Validity,
        lookups: Sequence[Lookup[Any]],
        started_at: float,
    ) -> Response:
        """Like `respond`, rendering only if the response cache has nothing with this validity."""
        key = (request.scope["path"], request.scope["query_string"])
        rendered = self.response_cache.get_or_render(key, validity, render)
        response = await self.respond(request, rendered, lookups, started_at)
        self.response_cache.update_size(key)
        return response

    async def respond_file(
        self,
        request: Request,
        head: ResponseHead,
        lookup: Lookup[Any],
        started_at: float,
        render: Callable[[], Awaitable[Response]],
    ) -> Response:
        """Return the rendered file with the headers of `head` and those for one caller, or 304."""
        now = self.clock.monotonic()
        context = context_of(request.scope)
        context.waited_seconds = now - started_at
        outcome = combine_lookups([lookup], now=now, problem_code=self.problem_code)
        headers = [*head.headers, *per_caller_headers(context, head, outcome, now)]
        if etag_matches(joined_header(request.scope, b"if-none-match"), head.etag):
            response = Response(status_code=304)
            response.raw_headers = headers
        else:
            response = await render()
            response.raw_headers += headers
        return response
