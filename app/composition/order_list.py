"""Builds the components of the order list: the caches, and what is computed from them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from zoneinfo import ZoneInfo

from app.cache.grace_cache import GraceCache
from app.clock import Clock
from app.composition.components import create_cache
from app.composition.sharing import NoSharing
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.changes import History
from app.orders.compute import ComputeQueue
from app.orders.lookup import OrderLookup
from app.orders.purge import CachePurge
from app.orders.response_cache import ResponseCache
from app.orders.snapshot_cache import SnapshotCache
from app.orders.snapshot_loader import SnapshotLoader
from app.orders.source import FetchedOrder, OrderSource
from app.orders.totals import TotalConfirmation
from app.settings import Settings
from app.upstream.client import UpstreamClient
from app.upstream.retry import upstream_backoff
from app.upstream.wire import BLOCK_SIZE

LIST_LOADING_WAIT = 1.5
"""Seconds that a caller waits while the list is loading, before it gets `list_loading`."""

BLOCK_BYTES = 256 * 1024 * 1024
RESPONSE_CACHE_BYTES = 64 * 1024 * 1024
ORDER_CACHE_BYTES = 32 * 1024 * 1024
ORDER_CACHE_ENTRIES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderList:
    """The components of the order list.

    Attributes:
        book: the blocks of the list.
        single_orders: orders that were looked up by number.
        lookup: finds single orders, and payments.
        snapshots: the whole list.
        history: its earlier states.
        compute: computations over the whole list.
        responses: rendered responses.
        purge: purges all of these caches.
    """

    book: OrderBook
    single_orders: GraceCache[str, FetchedOrder]
    lookup: OrderLookup
    snapshots: SnapshotCache
    history: History
    compute: ComputeQueue
    responses: ResponseCache
    purge: CachePurge

    @property
    def closers(self) -> tuple[Callable[[float], Awaitable[None]], ...]:
        """Functions that close a component within a number of seconds, the first one last."""
        components = (self.lookup, self.book.blocks, self.snapshots, self.compute)
        return tuple(component.close for component in components)


def create_order_list(
    settings: Settings, clock: Clock, client: UpstreamClient, sharing: NoSharing
) -> OrderList:
    """Build the components, connected with those of other processes by `sharing`."""
    deadline = settings.upstream.deadline
    source = OrderSource(
        client, clock, zone=ZoneInfo(settings.upstream.timezone), deadline=deadline
    )
    book = _create_book(settings, clock, client, source, sharing)
    single_orders: GraceCache[str, FetchedOrder] = create_cache(
        settings, clock, max_entries=ORDER_CACHE_ENTRIES, max_bytes=ORDER_CACHE_BYTES
    )
    lookup = OrderLookup(
        book,
        single_orders,
        source,
        clock,
        deadline=deadline,
        max_stale_wait=min(settings.cache.max_stale_wait, deadline),
        min_age=settings.cache.no_cache_min_age,
    )
    snapshots = _create_snapshots(settings, clock, book, sharing)
    responses = ResponseCache(max_bytes=RESPONSE_CACHE_BYTES)
    purge = CachePurge(
        book.blocks,
        single_orders,
        snapshots,
        responses,
        clock,
        min_interval=settings.cache.no_cache_min_age,
        on_purge=sharing.purge,
    )
    sharing.on_purge = lambda drop: purge.apply(drop=drop)
    return OrderList(
        book=book,
        single_orders=single_orders,
        lookup=lookup,
        snapshots=snapshots,
        history=sharing.history,
        compute=ComputeQueue(clock),
        responses=responses,
        purge=purge,
    )


def _create_book(
    settings: Settings,
    clock: Clock,
    client: UpstreamClient,
    source: OrderSource,
    sharing: NoSharing,
) -> OrderBook:
    max_orders = settings.cache.max_orders
    blocks: GraceCache[int, Block] = create_cache(
        settings,
        clock,
        max_entries=-(-max_orders // BLOCK_SIZE),
        max_bytes=BLOCK_BYTES,
        new_cache=sharing.new_cache,
    )
    confirmed = TotalConfirmation(source.fetch_block, client.report_drift, max_orders=max_orders)
    book = OrderBook(
        blocks,
        confirmed.fetch_block,
        clock,
        deadline=settings.upstream.deadline,
        refresh_rate=min(settings.upstream.refresh_rate, settings.upstream.max_rate),
        max_orders=max_orders,
    )
    sharing.connect(book, confirmed)
    return book


def _create_snapshots(
    settings: Settings, clock: Clock, book: OrderBook, sharing: NoSharing
) -> SnapshotCache:
    deadline = settings.upstream.deadline
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
        deadline=min(deadline, LIST_LOADING_WAIT),
        max_stale_wait=min(settings.cache.max_stale_wait, deadline),
        backoff=upstream_backoff,
        on_loaded=sharing.history.record,
        restore=sharing.restore,
    )
