"""The one place that constructs, hence a long file: settings in, the whole proxy out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.cache.freshness import Lifetime, pause_after
from app.cache.grace_cache import Entry, GraceCache, NotInCache, WaitEnded
from app.clock import Clock, SystemClock
from app.dashboard.router import dashboard_router
from app.edge.access_log import AccessLog
from app.edge.auth import Callers, Forbidden, Key, KeyRing, somebody_can_enter
from app.edge.cors import Cors
from app.edge.docs import docs_router
from app.edge.exception_handlers import code_of, install
from app.edge.head import Head
from app.edge.health import health_router
from app.edge.host_check import Hosts
from app.edge.me import me_router
from app.edge.openapi import describe
from app.edge.pages import pages_router
from app.http import AsyncBaseTransport
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.changes import CursorGone, History
from app.orders.collection_routes import whole_router
from app.orders.compute import TooMuchWork, Workings
from app.orders.dependencies import OrdersDesk
from app.orders.lookup import SingleOrders
from app.orders.response_cache import Prepared, PreparedAnswers
from app.orders.routes import orders_router
from app.orders.snapshot_cache import Collection, CollectionLoading
from app.orders.snapshot_loader import CollectionTooLarge, Reading
from app.orders.source import Fetch, Single
from app.server.limits import Limits
from app.server.shutdown import Leaving
from app.settings import (
    CredentialSources,
    KeyEntry,
    Settings,
    SettingsError,
    is_loopback,
    read_entries,
)
from app.single_flight import TooManyWaiters
from app.upstream import errors as upstream
from app.upstream.client import UpstreamClient, open_upstream
from app.upstream.credential_rotation import Rotation
from app.upstream.credentials import REJECTED_PAUSE, AccessKey
from app.upstream.retry import Chance
from app.upstream.status import Hearing
from app.upstream.wire import BLOCK_SIZE

PROBLEM_OF: dict[type[Exception], str] = {
    CollectionLoading: "collection_loading",
    CollectionTooLarge: "collection_too_large",
    CursorGone: "cursor_gone",
    Forbidden: "forbidden",
    NotInCache: "not_in_cache",
    TooManyWaiters: "overloaded",
    TooMuchWork: "overloaded",
    WaitEnded: "upstream_timeout",
    upstream.DiedIdle: "upstream_unreachable",
    upstream.OrderNotFound: "order_not_found",
    upstream.OutOfTime: "upstream_timeout",
    upstream.PaymentNotFound: "payment_not_found",
    upstream.UpstreamCredentialRejected: "upstream_credential_rejected",
    upstream.UpstreamFailed: "upstream_failed",
    upstream.UpstreamMalformed: "upstream_malformed",
    upstream.UpstreamPlanRequired: "upstream_plan_required",
    upstream.UpstreamRejected: "upstream_rejected",
    upstream.UpstreamThrottled: "upstream_throttled",
    upstream.UpstreamTimeout: "upstream_timeout",
    upstream.UpstreamUnavailable: "upstream_unavailable",
    upstream.UpstreamUnreachable: "upstream_unreachable",
}
"""What each error of each room is called at the door; the door gives each code its status."""

TAGS = [
    {"name": "callers", "description": "Who asks."},
    {"name": "orders", "description": "The list, its totals and changes; one order, its payment."},
]
LICENSE = {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"}

LONGEST_PAUSE = 60.0
"""Seconds: a failing upstream that asks for more is looked at again after that."""

BREAKER_PAUSE = 5.0
"""Seconds an ill upstream is left in peace at most; the ttl where that is less."""

BLOCK_BYTES = 256 * 1024 * 1024
PREPARED_BYTES = 64 * 1024 * 1024
SINGLE_BYTES = 32 * 1024 * 1024
SINGLE_ENTRIES = 20_000

V = TypeVar("V", Block, Single)


class App:
    """The proxy: the layers in front of the framework, and the framework behind them."""

    def __init__(
        self,
        api: FastAPI,
        door: ASGIApp,
        *,
        openapi: Callable[[], dict[str, Any]],
        read_credential_again: Callable[[], None],
        leaving: Leaving,
        limits: Limits,
    ) -> None:
        self.api = api
        self.openapi = openapi
        self.read_credential_again = read_credential_again
        self.leaving = leaving
        self.limits = limits
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    transport: AsyncBaseTransport | None = None,
    clock: Clock | None = None,
    credential_sources: CredentialSources | None = None,
    chance: Chance | None = None,
) -> App:
    """The proxy as one ASGI application. Asks nothing of the upstream until a caller does.

    Args:
        settings: every knob.
        transport: the network towards the upstream; the real one where none is given.
        clock: time; the machine's where none is given.
        credential_sources: where another credential may appear; nowhere, if none are given.
        chance: where jitter comes from; the machine's where none is given.

    Raises:
        SettingsError: no key is good now, and nobody may ask without one.
    """
    clock = clock or SystemClock()
    chance = chance or Random().random  # noqa: S311  jitter is no secret
    client = _client(settings, transport, clock, chance)
    rotation = _rotation(settings, client, clock, credential_sources)
    fetch = Fetch(
        client,
        clock,
        zone=ZoneInfo(settings.upstream.timezone),
        deadline=settings.upstream.deadline,
    )
    hearing = Hearing(clock, upstream.UpstreamError, lambda error: code_of(error, PROBLEM_OF))
    book = OrderBook(
        lambda landed: _blocks(settings, clock, landed),
        hearing.of(fetch.block),
        clock,
        deadline=settings.upstream.deadline,
        sweep_rate=settings.upstream.sweep_rate,
        max_orders=settings.cache.max_orders,
    )
    singles = _singles(settings, clock, book, fetch)
    history = History()
    collection = _collection(settings, clock, book, history)
    workings = Workings(clock)
    prepared = Prepared(max_bytes=PREPARED_BYTES)
    knobs = settings.server
    leaving = Leaving(clock, delay=knobs.drain_delay, drain=knobs.drain)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(rotation.run())
        yield
        looking.cancel()
        await rotation.close(leaving.seconds_left())
        await workings.close(leaving.seconds_left())
        await collection.close(leaving.seconds_left())
        await book.close(leaving.seconds_left())
        await singles.close(leaving.seconds_left())
        await client.aclose(leaving.seconds_left())

    api = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        openapi_tags=TAGS,
        license_info=LICENSE,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    install(api, PROBLEM_OF)
    desk = OrdersDesk(
        book=book,
        collection=collection,
        history=history,
        workings=workings,
        singles=singles,
        prepared=prepared,
        clock=clock,
        deadline=settings.upstream.deadline,
        currency=settings.upstream.currency or "",
        public_url=(settings.server.public_url or "").rstrip("/"),
        code_of=lambda error: code_of(error, PROBLEM_OF),
    )
    api.include_router(whole_router(desk))
    api.include_router(orders_router(desk))
    api.include_router(me_router())
    api.include_router(
        health_router(ready=_Readiness(book), table=PROBLEM_OF, leaving=lambda: leaving.begun)
    )
    openapi = _pages(settings, api, client, hearing)
    behind = PreparedAnswers(api, prepared, book, clock)
    limits = _limits(settings)
    door = _door(settings, behind, clock)
    return App(
        api,
        door,
        openapi=openapi,
        read_credential_again=rotation.look_again,
        leaving=leaving,
        limits=limits,
    )


class _Readiness:
    """Ready once the upstream has answered, and from then on: what is held outlives an outage."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book
        self._proven = False

    async def __call__(self) -> None:
        if not self._proven:
            await self._book.window(0, 1)
            self._proven = True


def _client(
    settings: Settings, transport: AsyncBaseTransport | None, clock: Clock, chance: Chance
) -> UpstreamClient:
    knobs = settings.upstream
    return open_upstream(
        base_url=knobs.base_url,
        access_key_id=knobs.access_key_id,
        access_key_secret=knobs.access_key_secret,
        scheme=knobs.auth,
        brand=knobs.brand,
        pool_id=knobs.pool_id,
        ca_file=knobs.ca_file,
        proxy=knobs.proxy.get_secret_value() if knobs.proxy else None,
        connect_timeout=knobs.connect_timeout,
        read_timeout=knobs.read_timeout,
        deadline=knobs.deadline,
        max_concurrency=knobs.max_concurrency,
        max_rate=knobs.max_rate,
        breaker_pause=min(settings.cache.ttl, BREAKER_PAUSE),
        clock=clock,
        chance=chance,
        transport=transport,
    )


def _rotation(
    settings: Settings, client: UpstreamClient, clock: Clock, sources: CredentialSources | None
) -> Rotation:
    in_use = AccessKey(settings.upstream.access_key_id, settings.upstream.access_key_secret)

    def read() -> AccessKey:
        try:
            return AccessKey(*sources.read()) if sources else in_use
        except SettingsError as error:
            raise ValueError("; ".join(error.lines)) from None

    return Rotation(
        client,
        clock,
        in_use=in_use,
        state=sources.state if sources else tuple,
        read=read,
        deadline=settings.upstream.deadline,
    )


def _pause(error: Exception, in_a_row: int) -> float:
    """Seconds not to ask again; where the other side pauses by itself, just as long."""
    told = error.retry_after if isinstance(error, upstream.UpstreamError) else None
    if isinstance(error, upstream.UpstreamUnavailable):
        return told or pause_after(1)
    if isinstance(error, upstream.UpstreamCredentialRejected):
        return told or REJECTED_PAUSE
    return max(pause_after(in_a_row), min(told or 0.0, LONGEST_PAUSE))


def _told_later(error: BaseException, elapsed: float, left: float) -> BaseException:
    return error.told_later(elapsed, left) if isinstance(error, upstream.UpstreamError) else error


def _memory(
    settings: Settings,
    clock: Clock,
    *,
    max_entries: int,
    max_bytes: int,
    landed: Callable[[Any, Entry[V]], None] = lambda _key, _entry: None,
) -> GraceCache[Any, V]:
    knobs = settings.cache
    return GraceCache(
        Lifetime(knobs.ttl, knobs.grace, knobs.keep),
        clock,
        min_age=knobs.min_age,
        wait=knobs.wait,
        max_entries=max_entries,
        max_bytes=max_bytes,
        weigh=lambda value: value.weight,
        pause=_pause,
        told_later=_told_later,
        facts=(upstream.UpstreamNotFound,),
        landed=landed,
    )


def _blocks(
    settings: Settings, clock: Clock, landed: Callable[[int, Entry[Block]], None]
) -> GraceCache[int, Block]:
    entries = -(-settings.cache.max_orders // BLOCK_SIZE)
    return _memory(settings, clock, max_entries=entries, max_bytes=BLOCK_BYTES, landed=landed)


def _collection(settings: Settings, clock: Clock, book: OrderBook, history: History) -> Collection:
    return Collection(
        book,
        clock,
        lambda awaited: Reading(
            book,
            clock,
            awaited,
            concurrency=settings.upstream.max_concurrency,
            max_orders=settings.cache.max_orders,
            max_bytes=BLOCK_BYTES,
        ),
        deadline=settings.upstream.deadline,
        wait=settings.cache.wait,
        pause=_pause,
        seen=history.record,
        told_later=_told_later,
    )


def _singles(settings: Settings, clock: Clock, book: OrderBook, fetch: Fetch) -> SingleOrders:
    orders: GraceCache[str, Single] = _memory(
        settings, clock, max_entries=SINGLE_ENTRIES, max_bytes=SINGLE_BYTES
    )
    payments: GraceCache[str, Single] = _memory(settings, clock, max_entries=0, max_bytes=0)
    return SingleOrders(
        book,
        orders,
        payments,
        fetch,
        clock,
        deadline=settings.upstream.deadline,
        wait=settings.cache.wait,
        min_age=settings.cache.min_age,
    )


def _pages(
    settings: Settings, api: FastAPI, client: UpstreamClient, hearing: Hearing
) -> Callable[[], dict[str, Any]]:
    """The pages for people; gives what writes the document."""

    def is_sandbox() -> bool:
        return settings.sandbox or client.sandbox_seen

    def openapi() -> dict[str, Any]:
        return describe(api)

    if settings.sandbox:
        api.include_router(dashboard_router())
    api.include_router(
        pages_router(
            docs_enabled=settings.docs.enabled,
            dashboard=settings.sandbox,
            is_sandbox=is_sandbox,
            heard=hearing.now,
        )
    )
    if settings.docs.enabled:
        api.include_router(docs_router(document=openapi, is_sandbox=is_sandbox))
    return openapi


def _limits(settings: Settings) -> Limits:
    knobs = settings.server
    return Limits(
        connections=knobs.max_connections,
        request_timeout=knobs.request_timeout,
        keep_alive=knobs.keep_alive,
        send_timeout=knobs.send_timeout,
        url_bytes=knobs.max_url_bytes,
        header_bytes=knobs.max_header_bytes,
        headers=knobs.max_headers,
        body_bytes=knobs.max_body_bytes,
    )


def _door(settings: Settings, behind: PreparedAnswers, clock: Clock) -> ASGIApp:
    """The middleware in front of FastAPI."""
    callers = Callers(
        behind, key_ring(settings, clock), anonymous_scopes=settings.anonymous_scopes()
    )
    app: ASGIApp = Head(callers)
    app = Cors(app, origins=settings.cors.origins, api_keys=settings.cors.api_keys)
    public = urlsplit(settings.server.public_url or "").netloc
    loopback = is_loopback(settings.server.host)
    return AccessLog(Hosts(app, loopback=loopback, also=public), clock)


def key_ring(settings: Settings, clock: Clock) -> KeyRing:
    """The keys that open the door.

    Raises:
        SettingsError: none of them is good now, and nobody may ask without one.
    """
    ring = KeyRing(
        _keys(settings.callers.api_keys),
        clock,
        file=settings.callers.api_keys_file,
        read=lambda file: _keys(read_entries(file)),
    )
    if not somebody_can_enter(ring, settings.anonymous_scopes()):
        raise settings.no_way_in()
    return ring


def _keys(entries: Sequence[KeyEntry]) -> tuple[Key, ...]:
    return tuple(
        Key(
            entry.name,
            bytes.fromhex(entry.sha256),
            frozenset(entry.scopes),
            entry.expires_at,
        )
        for entry in entries
    )
