"""Builds single components from the settings; `app.main` connects them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar

from app import __version__
from app.cache.freshness import Lifetime
from app.cache.grace_cache import GraceCache
from app.clock import Clock
from app.daemon_thread import RunInThread, run_in_thread
from app.edge.api_keys import ApiKey, ApiKeyStore
from app.edge.caller_limits import CallerLimits
from app.operations.status import StaticFacts
from app.orders.blocks import Block
from app.orders.source import FetchedOrder
from app.server.limits import Limits
from app.settings import (
    ApiKeyConfig,
    CredentialFiles,
    Settings,
    SettingsError,
    load_api_keys,
    public_settings,
    require_unique,
)
from app.telemetry.spans import Tracing
from app.upstream.client import UpstreamClient, create_upstream_client
from app.upstream.credential_rotation import CredentialRotation
from app.upstream.credentials import AccessKey
from app.upstream.errors import UpstreamNotFound
from app.upstream.retry import upstream_backoff

BREAKER_OPEN_SECONDS = 5.0
"""Longest time that the circuit breaker stays open before a probe."""

V = TypeVar("V", Block, FetchedOrder)


def create_client(settings: Settings, clock: Clock, **overrides: Any) -> UpstreamClient:
    """Build the upstream client. `overrides` are arguments of `create_upstream_client`."""
    config = settings.upstream
    create = partial(
        create_upstream_client,
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
        max_connection_age=config.max_connection_age,
        breaker_open_seconds=min(settings.cache.ttl, BREAKER_OPEN_SECONDS),
        clock=clock,
        random=random.random,
    )
    return create(**overrides)


def create_rotation(
    settings: Settings,
    client: UpstreamClient,
    clock: Clock,
    files: CredentialFiles | None,
    run_in_thread: RunInThread,
) -> CredentialRotation:
    current = AccessKey(settings.upstream.access_key_id, settings.upstream.access_key_secret)

    async def read() -> AccessKey:
        try:
            return AccessKey(*await run_in_thread(files.read)) if files else current
        except SettingsError as error:
            raise ValueError("; ".join(error.messages)) from None

    return CredentialRotation(
        client, clock, current=current, read=read, deadline=settings.upstream.deadline
    )


def create_cache(
    settings: Settings,
    clock: Clock,
    *,
    max_entries: int,
    max_bytes: int,
    new_cache: Callable[..., GraceCache[Any, V]] = GraceCache,
) -> GraceCache[Any, V]:
    config = settings.cache
    return new_cache(
        Lifetime(config.ttl, config.stale_while_revalidate, config.stale_if_error),
        clock,
        min_age=config.no_cache_min_age,
        max_stale_wait=min(config.max_stale_wait, settings.upstream.deadline),
        max_entries=max_entries,
        max_bytes=max_bytes,
        size_of=lambda value: value.size,
        backoff=upstream_backoff,
        negative_errors=(UpstreamNotFound,),
    )


def create_tracing(settings: Settings, clock: Clock) -> Tracing | None:
    """Return what records spans, or None if no endpoint is configured."""
    if settings.tracing.endpoint is None:
        return None
    from app.telemetry.tracing import OpenTelemetryTracing, open_exporter  # noqa: PLC0415  optional

    return OpenTelemetryTracing(
        open_exporter(settings.tracing.endpoint), clock, name=settings.name, version=__version__
    )


def static_facts(settings: Settings) -> StaticFacts:
    """Return what `/v1/status` says of the settings."""
    return StaticFacts(
        name=settings.name,
        version=__version__,
        base_url=settings.upstream.base_url,
        auth=settings.upstream.auth,
        ttl=settings.cache.ttl,
        stale_while_revalidate=settings.cache.stale_while_revalidate,
        stale_if_error=settings.cache.stale_if_error,
        settings=public_settings(settings, only_changed=True),
        all_settings=public_settings(settings),
    )


def create_limits(settings: Settings) -> Limits:
    return Limits(**{field.name: getattr(settings.server, field.name) for field in fields(Limits)})


def create_caller_limits(settings: Settings) -> CallerLimits:
    callers = settings.callers
    return CallerLimits(
        rate=callers.rate,
        scan_rate=callers.scan_rate,
        detail_rate=callers.detail_rate,
        send_headers=callers.rate_headers,
    )


def create_api_key_store(
    settings: Settings,
    clock: Clock,
    run_in_thread: RunInThread = run_in_thread,
    on_change: Callable[[], None] = lambda: None,
) -> ApiKeyStore:
    """Build the store of the callers' API keys; `on_change` is called when others are in use.

    Raises:
        SettingsError: no caller could be authenticated.
    """
    file = settings.callers.api_keys_file

    async def read_file() -> tuple[ApiKey, ...]:
        entries = await run_in_thread(partial(load_api_keys, file.path)) if file else ()
        require_unique((*settings.callers.api_keys, *entries))
        return _api_keys(entries)

    store = ApiKeyStore(
        _api_keys(settings.callers.api_keys),
        clock,
        file_keys=_api_keys(file.entries if file else ()),
        read_file=read_file if file else None,
        on_change=on_change,
    )
    if not (settings.anonymous_scopes() or settings.issuers() or store.has_valid_key()):
        raise settings.no_valid_key_error()
    return store


def is_sandbox(settings: Settings, client: UpstreamClient) -> bool:
    """Return whether the orders are invented; only the upstream's responses say so."""
    return settings.sandbox or client.sandbox_seen


def _api_keys(configs: Sequence[ApiKeyConfig]) -> tuple[ApiKey, ...]:
    return tuple(
        ApiKey(
            config.name,
            bytes.fromhex(config.sha256),
            frozenset(config.scopes),
            config.expires_at,
            config.rate,
        )
        for config in configs
    )
