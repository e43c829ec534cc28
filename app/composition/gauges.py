"""Connects metrics with the components whose state they show. All of it is read when requested."""

import platform
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta

from app import __version__
from app.clock import Clock
from app.composition.order_list import OrderList
from app.edge.caller_limits import CallerLimits
from app.operations.schema import StoreState
from app.orders.book import OrderBook
from app.settings import Settings
from app.telemetry.metrics import Labels, Metrics, Values
from app.upstream.calls import CallRecord
from app.upstream.client import ORDERS_PATH, UpstreamClient
from app.upstream.drift import DriftKind
from app.upstream.transport import operation_of


def create_metrics(
    settings: Settings,
    *,
    client: UpstreamClient,
    order_list: OrderList,
    caller_limits: CallerLimits,
    clock: Clock,
    store: Callable[[], StoreState],
    unreadable: Mapping[str, int],
) -> Metrics:
    """Return the metrics of one process, connected with its components."""
    metrics = Metrics()
    book = order_list.book
    client.calls.listeners.append(lambda record: _count_call(metrics, record))
    config = settings.cache

    def cached_bytes() -> float:
        caches = (book.blocks, order_list.single_orders, order_list.responses)
        return sum(cache.usage.bytes for cache in caches)

    sources: dict[str, Callable[[], Values]] = {
        "orders_upstream_last_success_timestamp_seconds": lambda: last_successes(
            client, book, clock
        ),
        "orders_credential_expires_timestamp_seconds": lambda: _credential_expiry(client, clock),
        "orders_circuit_open": lambda: {
            (circuit.operations[0],): circuit.state != "closed"
            for circuit in client.admission.circuits()
        },
        "orders_limiter_rate": lambda: client.admission.limiter_state().rate,
        "orders_cached_blocks": lambda: len(book.blocks),
        "orders_store_up": lambda: _store_up(store()),
        "orders_store_unreadable_values_total": lambda: {
            (kind,): count for kind, count in unreadable.items()
        },
        "orders_cached_bytes": cached_bytes,
        "orders_cached_orders": lambda: sum(
            len(entry.value.rows) for _, entry in book.blocks.items()
        ),
        "orders_cache_ttl_seconds": lambda: book.blocks.ttl,
        "orders_cache_stale_while_revalidate_seconds": lambda: config.stale_while_revalidate,
        "orders_cache_stale_if_error_seconds": lambda: config.stale_if_error,
        "orders_schema_drift_total": lambda: _drift_by_field(client.drift.counts),
        "orders_rate_limited_total": lambda: {
            (limit,): count for limit, count in caller_limits.rejected.items()
        },
        "orders_build_info": lambda: {(__version__, platform.python_version()): 1},
    }
    for name, read in sources.items():
        metrics.add_source(name, read)
    return metrics


def _count_call(metrics: Metrics, record: CallRecord) -> None:
    metrics.calls.observe(record.operation, record.result, record.seconds)


def last_successes(client: UpstreamClient, book: OrderBook, clock: Clock) -> dict[Labels, float]:
    """Return when each endpoint last answered, in seconds since 1970.

    Of the list this includes blocks that another process has fetched.
    """
    times: dict[Labels, float] = {
        (operation,): status.succeeded_at.timestamp()
        for operation, status in client.status.operations().items()
        if status.succeeded_at
    }
    newest = max((entry.fetched_at for _, entry in book.blocks.items()), default=None)
    if newest is not None:
        fetched_at = clock.now().timestamp() - (clock.monotonic() - newest)
        key = (operation_of(ORDERS_PATH),)
        times[key] = max(times.get(key, fetched_at), fetched_at)
    return times


def _credential_expiry(client: UpstreamClient, clock: Clock) -> float | None:
    seconds = client.credential.seconds_to_expiry
    return None if seconds is None else (clock.now() + timedelta(seconds=seconds)).timestamp()


def _drift_by_field(counts: tuple[tuple[DriftKind, int], ...]) -> dict[Labels, float]:
    """Return the counts by field, as `order.discount`; the names have been checked."""
    by_field: Counter[Labels] = Counter()
    for kind, count in counts:
        field = f"{kind.where}.{kind.name}" if kind.name else kind.where
        by_field[(field,)] += count
    return dict(by_field)


def _store_up(state: StoreState) -> Mapping[Labels, float]:
    return {(state["kind"],): state["up"]} if "up" in state else {}
