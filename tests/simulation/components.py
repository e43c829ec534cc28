"""The real components of a world, and how they are built. A mutant replaces one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import SecretStr

from app.backoff import BackoffPolicy
from app.cache.freshness import Lifetime
from app.cache.grace_cache import GraceCache
from app.clock import Clock
from app.http import AsyncBaseTransport
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.changes import History
from app.orders.snapshot_cache import SnapshotCache
from app.orders.snapshot_loader import SnapshotLoader
from app.orders.source import OrderSource
from app.orders.totals import TotalConfirmation
from app.upstream.client import UpstreamClient, create_upstream_client
from app.upstream.credentials import AccessKey
from app.upstream.errors import UpstreamNotFound
from app.upstream.retry import upstream_backoff
from tests.simulation.plan import Settings


@dataclass(frozen=True, slots=True)
class Components:
    """What a world is made of: the classes and functions of the proxy, or a mutant of one."""

    lifetime: Callable[[float, float, float], Lifetime] = Lifetime
    block_cache: Callable[..., GraceCache[int, Block]] = GraceCache
    book: Callable[..., OrderBook] = OrderBook
    snapshot_cache: Callable[..., SnapshotCache] = SnapshotCache
    snapshot_loader: Callable[..., SnapshotLoader] = SnapshotLoader
    confirmation: Callable[..., TotalConfirmation] = TotalConfirmation
    source: Callable[..., OrderSource] = OrderSource
    change_history: Callable[[], History] = History
    client: Callable[..., UpstreamClient] = create_upstream_client
    backoff: BackoffPolicy = upstream_backoff

    def make_block_cache(self, settings: Settings, clock: Clock) -> GraceCache[int, Block]:
        """Return the cache of an order book."""
        return self.make_cache(settings, clock)

    def make_cache(self, settings: Settings, clock: Clock) -> GraceCache[Any, Any]:
        """Return a cache of blocks or of single orders."""
        lifetime = self.lifetime(
            settings.ttl, settings.stale_while_revalidate, settings.stale_if_error
        )
        return self.block_cache(
            lifetime,
            clock,
            min_age=settings.no_cache_min_age,
            max_stale_wait=settings.max_stale_wait,
            max_entries=settings.max_blocks,
            max_bytes=10**9,
            size_of=lambda _: 1,
            backoff=self.backoff,
            negative_errors=(UpstreamNotFound,),
        )

    def make_snapshot_cache(
        self, settings: Settings, clock: Clock, book: OrderBook, **options: Any
    ) -> SnapshotCache:
        """Return the snapshot cache of an order book."""
        return self.snapshot_cache(
            book,
            clock,
            partial(
                self.snapshot_loader,
                book,
                clock,
                concurrency=2,
                max_orders=100_000,
                max_bytes=10**9,
            ),
            deadline=settings.deadline,
            max_stale_wait=settings.max_stale_wait,
            backoff=self.backoff,
            **options,
        )

    def make_client(
        self,
        settings: Settings,
        clock: Clock,
        random: Callable[[], float],
        key: AccessKey,
        *,
        transport: AsyncBaseTransport,
        pool_id: str | None = "pool",
    ) -> UpstreamClient:
        """Return an upstream client with that access key."""
        return self.client(
            base_url="https://upstream.example",
            access_key_id=key.id,
            access_key_secret=key.secret,
            scheme="token",
            brand="genauth",
            pool_id=pool_id,
            ca_file=None,
            proxy=None,
            connect_timeout=2.0,
            read_timeout=5.0,
            deadline=settings.deadline,
            max_concurrency=settings.max_concurrency,
            max_rate=settings.max_rate,
            breaker_open_seconds=settings.breaker_open_seconds,
            clock=clock,
            random=random,
            transport=transport,
        )


ORIGINALS = Components()


def access_key(name: str) -> AccessKey:
    """Return an access key whose id is `name`."""
    return AccessKey(SecretStr(name), SecretStr("secret"))
