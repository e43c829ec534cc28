"""The state of a running proxy, gathered without calling the upstream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.cache.grace_cache import GraceCache
from app.cache.lru import Usage
from app.clock import Clock
from app.operations.responses import known
from app.operations.schema import (
    CacheState,
    CacheUsage,
    Circuit,
    Credential,
    IssuerState,
    Limiter,
    OperationFailure,
    OperationSuccess,
    SnapshotState,
    Status,
    StoreState,
    UpstreamOperation,
    UpstreamState,
)
from app.orders.book import OrderBook
from app.orders.purge import CachePurge
from app.orders.response_cache import ResponseCache
from app.orders.snapshot_cache import SnapshotCache
from app.upstream.client import ORDER_PATH, ORDERS_PATH, PAYMENT_PATH, UpstreamClient
from app.upstream.errors import UpstreamError
from app.upstream.status import TOKEN_OPERATION
from app.upstream.transport import operation_of

LIST_OPERATION = operation_of(ORDERS_PATH)
OPERATIONS = (
    LIST_OPERATION,
    operation_of(ORDER_PATH),
    operation_of(PAYMENT_PATH),
    TOKEN_OPERATION,
)


@dataclass(frozen=True, slots=True)
class StaticFacts:
    """What does not change while the process runs.

    Attributes:
        settings: those that are not at their default, without secrets.
        all_settings: all of them, without secrets.
    """

    name: str
    version: str
    base_url: str
    auth: str
    ttl: float
    stale_while_revalidate: float
    stale_if_error: float
    settings: Mapping[str, Any]
    all_settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StatusSources:
    """Where the state is read from.

    Attributes:
        single_orders: the cache of orders that were looked up by number.
        store: returns the state of the store.
        issuers: returns the state of each issuer.
        is_draining: whether the process is shutting down.
        problem_code: returns the problem code of an error.
    """

    facts: StaticFacts
    clock: Clock
    client: UpstreamClient
    book: OrderBook
    single_orders: GraceCache[Any, Any]
    snapshots: SnapshotCache
    responses: ResponseCache
    purge: CachePurge
    store: Callable[[], StoreState]
    issuers: Callable[[], list[IssuerState]]
    is_draining: Callable[[], bool]
    problem_code: Callable[[BaseException], str]


class StatusReport:
    """Describes the state of the process, which began with this object.

    Attributes:
        sources: where it is read from.
    """

    def __init__(self, sources: StatusSources) -> None:
        self.sources = sources
        self._started_at = sources.clock.now()

    def status(self) -> Status:
        """Return the present state."""
        sources = self.sources
        facts = sources.facts
        uptime = sources.clock.now() - self._started_at
        status = Status(
            name=facts.name,
            version=facts.version,
            state=self._state(),
            started_at=rfc3339(self._started_at),
            uptime_seconds=max(int(uptime.total_seconds()), 0),
            upstream=self._upstream(),
            cache=self._cache(),
            store=sources.store(),
            issuers=sources.issuers(),
            settings=dict(facts.settings),
        )
        listed = sources.client.status.operation(LIST_OPERATION)
        if listed.failing_since and listed.error:
            status["failing"] = self._failure(listed.error, since=_text(listed.failing_since))
        return status

    def is_failing(self) -> bool:
        """Return whether refreshes of the list fail."""
        return self.sources.client.status.operation(LIST_OPERATION).failing_since is not None

    def _state(self) -> str:
        if self.sources.is_draining():
            return "draining"
        if self.is_failing():
            return "failing"
        return "ok" if len(self.sources.book.blocks) else "starting"

    def _upstream(self) -> UpstreamState:
        sources = self.sources
        circuits: list[Circuit] = [
            known(
                operations=list(one.operations),
                state=one.state,
                retry_in=None if one.retry_in is None else round(one.retry_in, 1),
            )
            for one in sources.client.admission.circuits()
        ]
        return UpstreamState(
            base_url=sources.facts.base_url,
            operations=[self._operation(name) for name in OPERATIONS],
            circuits=circuits,
            limiter=self._limiter(),
            credential=self._credential(),
        )

    def _operation(self, name: str) -> UpstreamOperation:
        found = self.sources.client.status.operation(name)
        success: OperationSuccess = known(at=_text(found.succeeded_at), request_id=found.request_id)
        failure: OperationFailure | None = None
        if found.error:
            failure = self._failure(found.error, at=_text(found.failed_at))
        operation: UpstreamOperation = known(
            operation=name,
            last_success=success or None,
            last_failure=failure,
            failing_since=_text(found.failing_since),
        )
        return operation

    def _failure(self, error: UpstreamError, **time: str | None) -> Any:
        """Return the time and the cause of a failure."""
        return known(
            **time,
            code=self.sources.problem_code(error),
            status_code=error.status_code,
            api_code=error.api_code,
            request_id=error.request_id,
        )

    def _limiter(self) -> Limiter:
        state = self.sources.client.admission.limiter_state()
        limiter = Limiter(
            rate=round(state.rate, 1),
            max_rate=state.max_rate,
            in_flight=state.in_flight,
            max_concurrency=state.max_concurrency,
            queued={operation.value: count for operation, count in state.queued.items()},
        )
        if state.paused_seconds > 0:
            limiter["paused_until"] = self._in_seconds(state.paused_seconds)
        return limiter

    def _credential(self) -> Credential:
        found = self.sources.client.credential
        credential = Credential(auth=self.sources.facts.auth)
        if found.pool_id:
            credential["pool_id"] = found.pool_id
        if found.seconds_to_expiry is not None:
            credential["expires_at"] = self._in_seconds(found.seconds_to_expiry)
        return credential

    def _cache(self) -> CacheState:
        sources, facts = self.sources, self.sources.facts
        state = CacheState(
            ttl=facts.ttl,
            effective_ttl=sources.book.blocks.ttl,
            stale_while_revalidate=facts.stale_while_revalidate,
            stale_if_error=facts.stale_if_error,
            blocks=_usage(sources.book.blocks.usage),
            single_orders=_usage(sources.single_orders.usage),
            rendered_responses=_usage(sources.responses.usage),
        )
        if sources.book.total is not None:
            state["orders"] = sources.book.total
        entries = [entry for _, entry in sources.book.blocks.items()]
        if entries:
            oldest = min(entries, key=lambda entry: entry.fetched_at)
            state["oldest_block_at"] = oldest.value.as_of
        snapshot = sources.snapshots.latest
        if snapshot:
            state["snapshot"] = SnapshotState(
                orders=len(snapshot.content.rows),
                as_of=snapshot.oldest_block.value.as_of,
                inconsistent=snapshot.inconsistent,
            )
        if sources.purge.purged_at:
            state["purged_at"] = rfc3339(sources.purge.purged_at)
        return state

    def _in_seconds(self, seconds: float) -> str:
        return rfc3339(self.sources.clock.now() + timedelta(seconds=seconds))


def _usage(usage: Usage) -> CacheUsage:
    return CacheUsage(
        entries=usage.entries,
        max_entries=usage.max_entries,
        bytes=usage.bytes,
        max_bytes=usage.max_bytes,
    )


def rfc3339(time: datetime) -> str:
    """Return a UTC time as RFC 3339 text with milliseconds."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _text(time: datetime | None) -> str | None:
    return rfc3339(time) if time else None
