"""The one place that constructs, hence a long file: settings in, the whole proxy out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.cache.freshness import Lifetime
from app.cache.grace_cache import GraceCache, NotInCache, WaitTimeout
from app.clock import Clock, SystemClock
from app.dashboard.router import dashboard_router
from app.edge.access_log import AccessLog
from app.edge.auth import ApiKey, ApiKeyAuthentication, ApiKeyStore, has_any_access
from app.edge.cors import cors_middleware
from app.edge.exception_handlers import install_exception_handlers, problem_code
from app.edge.head import Head
from app.edge.health import Readiness, health_router
from app.edge.host_check import HostCheck
from app.edge.me import me_router
from app.edge.openapi import build_openapi
from app.edge.openapi_components import DESCRIPTION, LICENSE, TAGS
from app.edge.pages import docs_router, pages_router
from app.file_watcher import FileWatcher
from app.http import AsyncBaseTransport
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.changes import CursorExpired, History
from app.orders.collection_routes import collection_router
from app.orders.compute import ComputeQueue, ComputeQueueFull
from app.orders.dependencies import OrdersDependencies
from app.orders.lookup import OrderLookup
from app.orders.response_cache import ResponseCache, ResponseCacheMiddleware
from app.orders.routes import orders_router
from app.orders.snapshot_cache import ListLoading, SnapshotCache
from app.orders.snapshot_loader import ListTooLarge, SnapshotLoader
from app.orders.source import FetchedOrder, OrderSource
from app.server.limits import Limits
from app.server.server import Shutdown
from app.settings import (
    ApiKeyConfig,
    CredentialFiles,
    Settings,
    SettingsError,
    is_loopback,
    load_api_keys,
)
from app.single_flight import TooManyWaiters
from app.upstream import errors as upstream
from app.upstream.client import UpstreamClient, create_upstream_client
from app.upstream.credential_rotation import CredentialRotation
from app.upstream.credentials import AccessKey
from app.upstream.retry import RandomFloat, upstream_backoff
from app.upstream.wire import BLOCK_SIZE

PROBLEM_CODES: dict[type[Exception], str] = {
    ListLoading: "list_loading",
    ListTooLarge: "list_too_large",
    CursorExpired: "cursor_expired",
    NotInCache: "not_in_cache",
    TooManyWaiters: "overloaded",
    ComputeQueueFull: "overloaded",
    WaitTimeout: "upstream_timeout",
    upstream.StaleConnection: "upstream_unreachable",
    upstream.OrderNotFound: "order_not_found",
    upstream.DeadlineExceeded: "upstream_timeout",
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


BREAKER_OPEN_SECONDS = 5.0
"""Seconds an ill upstream is left in peace at most; the ttl where that is less."""

BLOCK_BYTES = 256 * 1024 * 1024
RESPONSE_CACHE_BYTES = 64 * 1024 * 1024
ORDER_CACHE_BYTES = 32 * 1024 * 1024
ORDER_CACHE_ENTRIES = 20_000

V = TypeVar("V", Block, FetchedOrder)


class App:
    """The proxy: the layers in front of the framework, and the framework behind them."""

    def __init__(
        self,
        api: FastAPI,
        door: ASGIApp,
        *,
        openapi: Callable[[], dict[str, Any]],
        reload_credential: Callable[[], None],
        shutdown: Shutdown,
        limits: Limits,
    ) -> None:
        self.api = api
        self.openapi = openapi
        self.reload_credential = reload_credential
        self.shutdown = shutdown
        self.limits = limits
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    transport: AsyncBaseTransport | None = None,
    clock: Clock | None = None,
    credential_sources: CredentialFiles | None = None,
    chance: RandomFloat | None = None,
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
    watcher = FileWatcher(clock)
    rotation = _rotation(settings, client, clock, credential_sources)
    if credential_sources:
        watcher.watch(credential_sources.paths, lambda: rotation.reload(requested=False))
    keys = api_key_store(settings, clock)
    if file := settings.callers.api_keys_file:
        watcher.watch([file], keys.reload)
    fetch = OrderSource(
        client,
        clock,
        zone=ZoneInfo(settings.upstream.timezone),
        deadline=settings.upstream.deadline,
    )
    book = OrderBook(
        _block_cache(settings, clock),
        fetch.fetch_block,
        clock,
        deadline=settings.upstream.deadline,
        refresh_rate=settings.upstream.refresh_rate,
        max_orders=settings.cache.max_orders,
    )
    singles = _singles(settings, clock, book, fetch)
    history = History()
    collection = _collection(settings, clock, book, history)
    workings = ComputeQueue(clock)
    prepared = ResponseCache(max_bytes=RESPONSE_CACHE_BYTES)
    config = settings.server
    public_url = (config.public_url or "").rstrip("/")
    shutdown = Shutdown(clock, drain_delay=config.drain_delay, drain_timeout=config.drain_timeout)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(watcher.run())
        yield
        watching.cancel()
        await rotation.close(shutdown.seconds_left())
        await workings.close(shutdown.seconds_left())
        await collection.close(shutdown.seconds_left())
        await book.blocks.close(shutdown.seconds_left())
        await singles.close(shutdown.seconds_left())
        await client.aclose(shutdown.seconds_left())

    api = FastAPI(
        title="orders-bff",
        version=__version__,
        description=DESCRIPTION,
        servers=[{"url": public_url}] if public_url else None,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        openapi_tags=TAGS,
        license_info=LICENSE,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    install_exception_handlers(api, PROBLEM_CODES)
    desk = OrdersDependencies(
        book=book,
        snapshots=collection,
        history=history,
        compute=workings,
        lookup=singles,
        response_cache=prepared,
        clock=clock,
        deadline=settings.upstream.deadline,
        currency=settings.upstream.currency or "",
        public_url=public_url,
        problem_code=lambda error: problem_code(error, PROBLEM_CODES),
    )
    api.include_router(collection_router(desk))
    api.include_router(orders_router(desk))
    api.include_router(me_router())
    api.include_router(
        health_router(
            check_ready=Readiness(lambda: book.window(0, 1)),
            problem_codes=PROBLEM_CODES,
            is_draining=lambda: shutdown.started,
        )
    )
    openapi = _pages(settings, api, client)
    behind = ResponseCacheMiddleware(api, prepared, book, clock)
    limits = _limits(settings)
    door = _door(settings, keys, behind, clock)
    return App(
        api,
        door,
        openapi=openapi,
        reload_credential=rotation.reload,
        shutdown=shutdown,
        limits=limits,
    )


def _client(
    settings: Settings, transport: AsyncBaseTransport | None, clock: Clock, chance: RandomFloat
) -> UpstreamClient:
    config = settings.upstream
    return create_upstream_client(
        base_url=config.base_url,
        access_key_id=config.access_key_id,
        access_key_secret=config.access_key_secret,
        scheme=config.auth,
        brand=config.brand,
        pool_id=config.pool_id,
        ca_file=config.ca_file,
        proxy=config.proxy.get_secret_value() if config.proxy else None,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        deadline=config.deadline,
        max_concurrency=config.max_concurrency,
        max_rate=config.max_rate,
        breaker_open_seconds=min(settings.cache.ttl, BREAKER_OPEN_SECONDS),
        clock=clock,
        random=chance,
        transport=transport,
    )


def _rotation(
    settings: Settings, client: UpstreamClient, clock: Clock, sources: CredentialFiles | None
) -> CredentialRotation:
    in_use = AccessKey(settings.upstream.access_key_id, settings.upstream.access_key_secret)

    def read() -> AccessKey:
        try:
            return AccessKey(*sources.read()) if sources else in_use
        except SettingsError as error:
            raise ValueError("; ".join(error.messages)) from None

    return CredentialRotation(
        client,
        clock,
        current=in_use,
        read=read,
        deadline=settings.upstream.deadline,
    )


def _make_cache(
    settings: Settings, clock: Clock, *, max_entries: int, max_bytes: int
) -> GraceCache[Any, V]:
    config = settings.cache
    return GraceCache(
        Lifetime(config.ttl, config.stale_while_revalidate, config.stale_if_error),
        clock,
        min_age=config.no_cache_min_age,
        max_stale_wait=config.max_stale_wait,
        max_entries=max_entries,
        max_bytes=max_bytes,
        size_of=lambda value: value.size,
        backoff=upstream_backoff,
        negative_errors=(upstream.UpstreamNotFound,),
    )


def _block_cache(settings: Settings, clock: Clock) -> GraceCache[int, Block]:
    max_entries = -(-settings.cache.max_orders // BLOCK_SIZE)
    return _make_cache(settings, clock, max_entries=max_entries, max_bytes=BLOCK_BYTES)


def _collection(
    settings: Settings, clock: Clock, book: OrderBook, history: History
) -> SnapshotCache:
    return SnapshotCache(
        book,
        clock,
        partial(
            SnapshotLoader,
            book,
            clock,
            concurrency=settings.upstream.max_concurrency,
            max_orders=settings.cache.max_orders,
            max_bytes=BLOCK_BYTES,
        ),
        deadline=settings.upstream.deadline,
        max_stale_wait=settings.cache.max_stale_wait,
        backoff=upstream_backoff,
        on_loaded=history.record,
    )


def _singles(settings: Settings, clock: Clock, book: OrderBook, fetch: OrderSource) -> OrderLookup:
    orders: GraceCache[str, FetchedOrder] = _make_cache(
        settings, clock, max_entries=ORDER_CACHE_ENTRIES, max_bytes=ORDER_CACHE_BYTES
    )
    return OrderLookup(
        book,
        orders,
        fetch,
        clock,
        deadline=settings.upstream.deadline,
        max_stale_wait=settings.cache.max_stale_wait,
        min_age=settings.cache.no_cache_min_age,
    )


def _pages(
    settings: Settings, api: FastAPI, client: UpstreamClient
) -> Callable[[], dict[str, Any]]:
    """The pages for people; gives what writes the document."""

    def is_sandbox() -> bool:
        return settings.sandbox or client.sandbox_seen

    def openapi() -> dict[str, Any]:
        return build_openapi(api)

    if settings.sandbox:
        api.include_router(dashboard_router())
    api.include_router(
        pages_router(
            docs_enabled=settings.docs.enabled,
            dashboard_enabled=settings.sandbox,
            is_sandbox=is_sandbox,
            last_contact=client.status.snapshot,
            problem_code=lambda error: problem_code(error, PROBLEM_CODES),
        )
    )
    if settings.docs.enabled:
        api.include_router(docs_router(openapi=openapi, is_sandbox=is_sandbox))
    return openapi


def _limits(settings: Settings) -> Limits:
    config = settings.server
    return Limits(
        max_connections=config.max_connections,
        request_timeout=config.request_timeout,
        keep_alive_timeout=config.keep_alive_timeout,
        send_timeout=config.send_timeout,
        max_url_bytes=config.max_url_bytes,
        max_header_bytes=config.max_header_bytes,
        max_headers=config.max_headers,
        max_body_bytes=config.max_body_bytes,
    )


def _door(
    settings: Settings, keys: ApiKeyStore, behind: ResponseCacheMiddleware, clock: Clock
) -> ASGIApp:
    """The middleware in front of FastAPI."""
    app: ASGIApp = ApiKeyAuthentication(behind, keys, anonymous_scopes=settings.anonymous_scopes())
    app = Head(app)
    app = cors_middleware(app, origins=settings.cors.origins, api_keys=settings.cors.api_keys)
    public = urlsplit(settings.server.public_url or "").netloc
    loopback = is_loopback(settings.server.host)
    return AccessLog(HostCheck(app, loopback=loopback, extra_host=public), clock)


def api_key_store(settings: Settings, clock: Clock) -> ApiKeyStore:
    """Return the API keys.

    Raises:
        SettingsError: no caller could be authenticated.
    """
    file = settings.callers.api_keys_file
    keys = ApiKeyStore(
        _keys(settings.callers.api_keys),
        clock,
        read_file=(lambda: _keys(load_api_keys(file))) if file else None,
    )
    if not has_any_access(keys, settings.anonymous_scopes()):
        raise settings.no_valid_key_error()
    return keys


def _keys(entries: Sequence[ApiKeyConfig]) -> tuple[ApiKey, ...]:
    return tuple(
        ApiKey(
            entry.name,
            bytes.fromhex(entry.sha256),
            frozenset(entry.scopes),
            entry.expires_at,
        )
        for entry in entries
    )
