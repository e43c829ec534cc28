"""Composition root: the one place that connects all components, hence a long file."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.clock import Clock, SuspendAwareClock, SystemClock
from app.composition.components import (
    create_api_key_store,
    create_caller_limits,
    create_client,
    create_limits,
    create_rotation,
    create_tracing,
    is_sandbox,
    static_facts,
)
from app.composition.gauges import create_metrics
from app.composition.identity import create_identity
from app.composition.order_list import create_order_list
from app.composition.problem_codes import PROBLEM_CODES, problem_code_of
from app.composition.sharing import create_sharing
from app.daemon_thread import RunInThread, run_in_thread
from app.dashboard.router import dashboard_router
from app.edge.access_log import AccessLog, RequestRecorder
from app.edge.api_keys import ApiKeyStore
from app.edge.auth import Authentication, CredentialGeneration, HeaderCredentials
from app.edge.client_address import ClientAddress
from app.edge.cors import CorsHeaders, Preflight
from app.edge.exception_handlers import install_exception_handlers
from app.edge.head import Head
from app.edge.health import health_router
from app.edge.host_check import HostCheck
from app.edge.me import me_router
from app.edge.metrics import MetricsEndpoint, metrics_app, metrics_router
from app.edge.middleware import behind
from app.edge.openapi import DESCRIPTION, LICENSE, TAGS, build_openapi
from app.edge.pages import docs_router, pages_router
from app.edge.rejected_requests import answer_rejected
from app.edge.request_rules import RequestRules
from app.edge.unhandled_errors import UnhandledErrors
from app.file_watcher import FileWatcher
from app.http import AsyncBaseTransport
from app.operations.routes import operations_router
from app.operations.status import StatusReport, StatusSources
from app.orders.dependencies import OrdersDependencies
from app.orders.export_file import ExportSlots
from app.orders.export_routes import export_router
from app.orders.readiness import Readiness
from app.orders.response_cache import ResponseCacheMiddleware
from app.orders.routes import orders_router
from app.orders.snapshot_routes import snapshot_router
from app.server.limits import Limits
from app.server.replay import Replay
from app.server.shutdown import Shutdown
from app.settings import CredentialFiles, Settings, is_loopback
from app.upstream.client import UpstreamClient
from app.upstream.credential_rotation import CredentialRotation
from app.upstream.retry import RandomFloat

if TYPE_CHECKING:
    from app.identity.login import Login

LIST_LOADING_WAIT = 1.5
"""Seconds that a caller waits while the list is loading, before it gets `list_loading`."""

BLOCK_BYTES = 256 * 1024 * 1024
RESPONSE_CACHE_BYTES = 64 * 1024 * 1024
ORDER_CACHE_BYTES = 32 * 1024 * 1024
ORDER_CACHE_ENTRIES = 20_000


@dataclass(frozen=True)
class App:
    """The proxy as an ASGI application, and what the server needs besides.

    `api` has the routes, and `http` is the same behind the middleware. `reload_credential` reads
    the configured credential again. `metrics` is the application of the separate listener for
    metrics.
    """

    api: FastAPI
    http: ASGIApp
    metrics: ASGIApp
    reload_credential: Callable[[], None]
    shutdown: Shutdown
    limits: Limits
    replay: Replay | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.http if scope["type"] == "http" else self.api
        await app(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        return build_openapi(self.api)


def create_app(
    settings: Settings,
    *,
    transport: AsyncBaseTransport | None = None,
    issuer_transport: AsyncBaseTransport | None = None,
    clock: Clock | None = None,
    credential_files: CredentialFiles | None = None,
    random: RandomFloat = random.random,
    run_in_thread: RunInThread = run_in_thread,
) -> App:
    """Build the proxy. It makes no upstream call until a request needs one.

    Args:
        settings: all settings.
        transport: the network to the upstream; the real one by default.
        issuer_transport: the network to issuers; the real one by default.
        clock: the source of time; that of the system by default.
        credential_files: where the credential can change while the proxy runs.
        random: the source of jitter.
        run_in_thread: runs what reads files.

    Raises:
        SettingsError: no caller could be authenticated.
    """
    clock = SuspendAwareClock(clock or SystemClock())
    tracing = create_tracing(settings, clock)
    client = create_client(settings, clock, transport=transport, random=random, tracing=tracing)
    rotation = create_rotation(settings, client, clock, credential_files, run_in_thread)
    generation = CredentialGeneration()
    api_keys = create_api_key_store(settings, clock, run_in_thread, generation.advance)
    caller_limits = create_caller_limits(settings)
    identity = create_identity(
        settings,
        clock,
        generation,
        client=client,
        limits=caller_limits,
        transport=issuer_transport,
    )
    watcher = FileWatcher(clock, run_in_thread)

    _watch_files(watcher, settings, credential_files, rotation, api_keys)
    sharing = create_sharing(settings, client, clock, run_in_thread)
    order_list = create_order_list(settings, clock, client, sharing)
    shutdown = Shutdown(
        clock,
        drain_delay=settings.server.drain_delay,
        drain_timeout=settings.server.drain_timeout,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            sharing.start()
            # Closed in the reverse order: the client last, since the others use it.
            if tracing:
                stack.push_async_callback(_close, tracing.close, shutdown)
            closers = (client.close, sharing.close, identity.close, *order_list.closers)
            for close in (*closers, rotation.close):
                stack.push_async_callback(_close, close, shutdown)
            identity.start()
            if settings.api_keys():
                api_keys.log_loaded()
            stack.callback(asyncio.create_task(watcher.run()).cancel)
            yield

    sharing.share_limits(caller_limits)
    metrics = create_metrics(
        settings,
        client=client,
        order_list=order_list,
        caller_limits=caller_limits,
        clock=clock,
        store=sharing.state,
        unreadable=sharing.unreadable,
    )
    recorder = RequestRecorder(clock, metrics.http, tracing)
    api_routes: list[BaseRoute] = []  # filled below, when what they depend on exists
    public_url = (settings.server.public_url or "").rstrip("/")
    api = FastAPI(
        title=settings.name,
        version=__version__,
        description=DESCRIPTION,
        servers=[{"url": public_url}] if public_url else None,
        openapi_url=None,  # nor FastAPI's own pages
        openapi_tags=TAGS,
        license_info=LICENSE,
        redirect_slashes=False,
        # FastAPI's own would export values that callers chose, as soon as any provider exists.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        lifespan=lifespan,
    )
    install_exception_handlers(api, PROBLEM_CODES)
    origins, can_sign_in = settings.cors.origins, identity.login is not None
    http = behind(
        [
            Middleware(
                AccessLog,
                clock=clock,
                routes=api_routes,
                recorder=recorder,
                client_address=ClientAddress(settings.server.trusted_proxies),
            ),
            Middleware(UnhandledErrors),
            Middleware(
                RequestRules,
                rules=[
                    CorsHeaders(origins=origins, credentials=can_sign_in).add,
                    answer_rejected,
                    HostCheck(
                        loopback=is_loopback(settings.server.host), public_url=public_url
                    ).check,
                    Preflight(
                        origins=origins, api_keys=settings.cors.api_keys, credentials=can_sign_in
                    ).answer,
                ],
            ),
            Middleware(
                Authentication,
                credentials=HeaderCredentials(api_keys, identity.tokens),
                generation=generation,
                sessions=identity.login.sessions if identity.login else None,
                anonymous_scopes=settings.anonymous_scopes(),
                limits=caller_limits,
                login_path=identity.login.path if identity.login else "",
            ),
            Middleware(
                ResponseCacheMiddleware,
                response_cache=order_list.responses,
                clock=clock,
                problem_code=problem_code_of,
            ),
            Middleware(Head),
        ],
        api,
    )
    dependencies = OrdersDependencies(
        book=order_list.book,
        snapshots=order_list.snapshots,
        history=order_list.history,
        compute=order_list.compute,
        lookup=order_list.lookup,
        limits=caller_limits,
        response_cache=order_list.responses,
        clock=clock,
        deadline=settings.upstream.deadline,
        currency=settings.upstream.currency or "",
        public_url=public_url,
        problem_code=problem_code_of,
        export_slots=ExportSlots(clock, settings.server.max_exports),
        min_send_rate=settings.server.min_send_rate,
    )
    status = StatusReport(
        StatusSources(
            facts=static_facts(settings),
            clock=clock,
            client=client,
            book=order_list.book,
            single_orders=order_list.single_orders,
            snapshots=order_list.snapshots,
            responses=order_list.responses,
            purge=order_list.purge,
            store=sharing.state,
            issuers=identity.states,
            is_draining=lambda: shutdown.started,
            problem_code=problem_code_of,
        )
    )
    replay = Replay(
        clock,
        generation,
        recorder,
        caller_limits,
        max_head_bytes=settings.server.max_header_bytes,
    )
    order_list.purge.on_drop = replay.clear
    app = App(
        api,
        http,
        _include_metrics(settings, api, MetricsEndpoint(metrics, run_in_thread), recorder, clock),
        rotation.reload,
        shutdown,
        create_limits(settings),
        replay if settings.server.replay else None,
    )
    for router in (
        snapshot_router(dependencies),
        export_router(dependencies),
        orders_router(dependencies),
        me_router(),
        operations_router(status, order_list.purge),
    ):
        _add_routes(api, router)
        api_routes += router.routes
    if identity.login:
        api_routes += identity.login.router.routes
    _add_routes(
        api,
        health_router(
            check_ready=Readiness(order_list.book).check,
            problem_codes=PROBLEM_CODES,
            is_draining=lambda: shutdown.started,
        ),
    )
    _include_pages(settings, app, client, identity.login)
    return app


def _watch_files(
    watcher: FileWatcher,
    settings: Settings,
    credential_files: CredentialFiles | None,
    rotation: CredentialRotation,
    api_keys: ApiKeyStore,
) -> None:
    """Read the files of the credential and of the API keys again when they change."""

    async def reload_credential() -> bool:
        rotation.reload(requested=False)
        return True  # it tries a credential that is not accepted again by itself

    if credential_files:
        watcher.watch(credential_files.paths, reload_credential)
    if file := settings.callers.api_keys_file:
        watcher.watch([file.path], api_keys.reload)


def _add_routes(api: FastAPI, router: APIRouter) -> None:
    """Add the routes of `router` as they are.

    `include_router` would build each of them again, when a request first matches it, and match
    each request twice. It is of use only if it adds a prefix, tags or dependencies.
    """
    api.router.routes.extend(router.routes)


async def _close(close: Callable[[float], Awaitable[None]], shutdown: Shutdown) -> None:
    await close(shutdown.seconds_left())


def _include_metrics(
    settings: Settings,
    api: FastAPI,
    endpoint: MetricsEndpoint,
    recorder: RequestRecorder,
    clock: Clock,
) -> ASGIApp:
    """Return the application of the listener for metrics; without one, add them to `api`."""
    listen = settings.metrics.listen
    if not listen:
        _add_routes(api, metrics_router(endpoint))
    loopback = listen is not None and is_loopback(listen.host)
    return metrics_app(endpoint, recorder, clock, loopback=loopback)


def _include_pages(
    settings: Settings, app: App, client: UpstreamClient, login: "Login | None"
) -> None:
    can_sign_in = login is not None
    if login:
        _add_routes(app.api, login.router)
    if settings.dashboard.enabled:
        title = _configured_name(settings)
        _add_routes(app.api, dashboard_router(title, can_sign_in=can_sign_in))
    if settings.docs.enabled:
        path = f"{urlsplit(settings.server.public_url or '').path}/docs"
        _add_routes(
            app.api,
            docs_router(
                name=settings.name,
                openapi=app.openapi,
                is_sandbox=partial(is_sandbox, settings, client),
                return_to=path if can_sign_in else "",
            ),
        )
    _add_routes(
        app.api,
        pages_router(
            name=settings.name,
            docs_enabled=settings.docs.enabled,
            dashboard_enabled=settings.dashboard.enabled,
            can_sign_in=can_sign_in,
            is_sandbox=partial(is_sandbox, settings, client),
            last_contact=client.status.last_contact,
            problem_code=problem_code_of,
        ),
    )


def _configured_name(settings: Settings) -> str:
    """Return the name that the operator has chosen, empty if none."""
    return settings.name if "name" in settings.model_fields_set else ""
