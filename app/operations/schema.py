"""The models of what operators get. Unknown values are omitted."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic supports typing's own only from Python 3.12 on

from app.edge.schema import Count, Int32, described, documented, open_enum
from app.operations.responses import EmptyMeta

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Seconds = Annotated[float, Field(ge=0)]

STATES = {
    "starting": "no part of the list has been fetched yet",
    "ok": "the list is kept fresh",
    "failing": "refreshes of the list fail; what is cached is still served",
    "draining": "the process is shutting down",
}
CIRCUIT_STATES = {
    "closed": "calls are made",
    "open": "calls are rejected, after repeated failures",
    "half_open": "one call at a time probes whether the upstream has recovered",
}
STORE_KINDS = {
    "memory": "this process alone; a restart empties it",
    "sqlite": "a file that the processes of one machine share",
    "redis": "a Redis or Valkey server that processes share",
}


class OperationSuccess(TypedDict):
    """The last success of an operation."""

    at: Timestamp
    request_id: NotRequired[Annotated[str, described("The upstream's id of the response.")]]


class FailureCause(TypedDict):
    """Why a request failed, after all retries."""

    code: Annotated[str, described("The problem code.", "upstream_failed")]
    status_code: NotRequired[Int32]
    api_code: NotRequired[Int32]
    request_id: NotRequired[Annotated[str, described("The upstream's id of the response.")]]


class OperationFailure(FailureCause):
    """The last failure of an operation, after all retries."""

    at: Timestamp


class UpstreamOperation(TypedDict):
    """One endpoint of the upstream, by the last segment of its path."""

    operation: Annotated[str, described("The endpoint.", "get-orders")]
    last_success: NotRequired[OperationSuccess]
    last_failure: NotRequired[OperationFailure]
    failing_since: NotRequired[
        Annotated[
            str,
            described(
                "The first failure since the last success; absent if it does not fail.",
                json_schema_extra={"format": "date-time"},
            ),
        ]
    ]


class Circuit(TypedDict):
    """One circuit breaker."""

    operations: Annotated[list[str], described("What it stops.", ["list", "token"])]
    state: Annotated[str, open_enum("What it does with calls.", CIRCUIT_STATES)]
    retry_in: NotRequired[Annotated[float, described("Seconds until the next probe.", ge=0)]]


class Limiter(TypedDict):
    """The limits of calls to the upstream, and what waits for them."""

    rate: Annotated[float, described("Calls per second that may start at the moment.", 50.0, ge=0)]
    max_rate: Int32
    paused_until: NotRequired[
        Annotated[
            str,
            described(
                "No call starts before, as the upstream has requested.",
                json_schema_extra={"format": "date-time"},
            ),
        ]
    ]
    in_flight: Count
    max_concurrency: Int32
    queued: Annotated[
        dict[str, Count],
        described("Calls that wait, by operation.", {"list": 0, "detail": 0, "token": 0}),
    ]


class Credential(TypedDict):
    """The credential for the upstream."""

    auth: Annotated[str, described("`token` or `signature`.", "token")]
    pool_id: NotRequired[Annotated[str, described("The user pool, as far as it is known.")]]
    expires_at: NotRequired[
        Annotated[
            str,
            described(
                "When the management token expires; it is renewed before.",
                json_schema_extra={"format": "date-time"},
            ),
        ]
    ]


class UpstreamState(TypedDict):
    """The upstream, as far as the proxy knows it without calling it."""

    base_url: str
    operations: list[UpstreamOperation]
    circuits: list[Circuit]
    limiter: Limiter
    credential: Credential


class CacheUsage(TypedDict):
    """How much is cached, and how much can be."""

    entries: Count
    max_entries: Int32
    bytes: Count
    max_bytes: Int32


class SnapshotState(TypedDict):
    """The whole list, as it is cached for filters, totals and exports."""

    orders: Count
    as_of: Annotated[
        str,
        described("When its oldest part was requested.", json_schema_extra={"format": "date-time"}),
    ]
    inconsistent: bool


class CacheState(TypedDict):
    """What is cached, and how long it may be served."""

    ttl: Annotated[float, described("Seconds, as configured.", 60.0)]
    effective_ttl: Annotated[
        float, described("Seconds; longer than `ttl` for a long list (REFRESH_RATE).", 60.0)
    ]
    stale_while_revalidate: Seconds
    stale_if_error: Seconds
    orders: NotRequired[Annotated[Count, described("The total that the upstream states.", 137)]]
    oldest_block_at: NotRequired[
        Annotated[
            str,
            described(
                "When the oldest cached block was requested.",
                json_schema_extra={"format": "date-time"},
            ),
        ]
    ]
    blocks: CacheUsage
    single_orders: CacheUsage
    rendered_responses: CacheUsage
    snapshot: NotRequired[SnapshotState]
    purged_at: NotRequired[Timestamp]


class StoreState(TypedDict):
    """Where blocks are stored."""

    kind: Annotated[str, open_enum("The kind of store.", STORE_KINDS)]
    up: NotRequired[Annotated[bool, described("Whether it answers; absent for `memory`.", True)]]
    processes: NotRequired[Annotated[Count, described("How many share it, as far as is known.", 2)]]


class IssuerState(TypedDict):
    """An issuer, and the keys that its tokens are verified with."""

    issuer: Annotated[str, described("The issuer as configured.", "https://login.example.com/oidc")]
    keys: Annotated[Count, described("The number of keys in use.", 2)]
    loaded_at: NotRequired[
        Annotated[Timestamp, described("When the issuer was reached last; absent if never.")]
    ]
    error: NotRequired[Annotated[str, described("Why it cannot be reached at present.")]]


class RefreshFailure(FailureCause):
    """Since when refreshes of the list fail, and why."""

    since: Timestamp


class Status(TypedDict):
    """The state of this process."""

    name: str
    version: str
    state: Annotated[str, open_enum("The state in one word.", STATES)]
    started_at: Timestamp
    uptime_seconds: Count
    failing: NotRequired[
        Annotated[RefreshFailure, described("Present while refreshes of the list fail.")]
    ]
    upstream: UpstreamState
    cache: CacheState
    store: StoreState
    issuers: Annotated[list[IssuerState], described("The configured issuers.")]
    settings: Annotated[
        dict[str, Any],
        described(
            "The settings that are not at their default; of a secret only that it is set.",
            {"ORDERS_CACHE__TTL": 60},
        ),
    ]


@documented
class StatusResponse(TypedDict):
    """The state of this process."""

    data: Status
    meta: EmptyMeta


class Purge(TypedDict):
    """What was purged, by number."""

    mode: Annotated[str, described("`expire` or `drop`, as requested.", "expire")]
    blocks: Count
    single_orders: Count
    snapshots: Count
    rendered_responses: Count
    warning: NotRequired[Annotated[str, described("Present if the purge is likely to do harm.")]]


@documented
class PurgeResponse(TypedDict):
    """What was purged."""

    data: Purge
    meta: EmptyMeta


STATUS_EXAMPLE: dict[str, Any] = {
    "data": {
        "name": "orders",
        "version": "0.1.0",
        "state": "failing",
        "started_at": "2026-11-23T08:00:00.000Z",
        "uptime_seconds": 3600,
        "failing": {
            "since": "2026-11-23T08:58:10.000Z",
            "code": "upstream_failed",
            "status_code": 500,
            "request_id": "934108e5-9fbf-4d24-8da1-c330328abd6c",
        },
        "upstream": {
            "base_url": "https://api.genauth.ai",
            "operations": [
                {
                    "operation": "get-orders",
                    "last_success": {
                        "at": "2026-11-23T08:57:08.000Z",
                        "request_id": "4b0a7c0e-8f5c-4b73-9b3f-7f3e3cf9a0d1",
                    },
                    "last_failure": {
                        "at": "2026-11-23T08:59:55.000Z",
                        "code": "upstream_failed",
                        "status_code": 500,
                        "request_id": "934108e5-9fbf-4d24-8da1-c330328abd6c",
                    },
                    "failing_since": "2026-11-23T08:58:10.000Z",
                }
            ],
            "circuits": [
                {"operations": ["list", "token"], "state": "open", "retry_in": 3.2},
                {"operations": ["detail"], "state": "closed"},
            ],
            "limiter": {
                "rate": 50.0,
                "max_rate": 50,
                "in_flight": 0,
                "max_concurrency": 8,
                "queued": {"list": 0, "detail": 0, "token": 0},
            },
            "credential": {
                "auth": "token",
                "pool_id": "6250f12d5d0000009bcfc784",
                "expires_at": "2026-11-23T10:00:01.000Z",
            },
        },
        "cache": {
            "ttl": 60.0,
            "effective_ttl": 60.0,
            "stale_while_revalidate": 300.0,
            "stale_if_error": 86400.0,
            "orders": 137,
            "oldest_block_at": "2026-11-23T08:57:08.000Z",
            "blocks": {
                "entries": 3,
                "max_entries": 2000,
                "bytes": 61440,
                "max_bytes": 268435456,
            },
            "single_orders": {
                "entries": 0,
                "max_entries": 20000,
                "bytes": 0,
                "max_bytes": 33554432,
            },
            "rendered_responses": {
                "entries": 12,
                "max_entries": 20000,
                "bytes": 81920,
                "max_bytes": 67108864,
            },
            "snapshot": {
                "orders": 137,
                "as_of": "2026-11-23T08:57:08.000Z",
                "inconsistent": False,
            },
        },
        "store": {"kind": "memory"},
        "issuers": [
            {
                "issuer": "https://login.example.com/oidc",
                "keys": 2,
                "loaded_at": "2026-11-23T08:00:00.000Z",
            }
        ],
        "settings": {"ORDERS_CACHE__TTL": 60, "ORDERS_UPSTREAM__ACCESS_KEY_ID": "(set)"},
    },
    "meta": {},
}

PURGE_EXAMPLE: dict[str, Any] = {
    "data": {
        "mode": "expire",
        "blocks": 3,
        "single_orders": 1,
        "snapshots": 1,
        "rendered_responses": 12,
    },
    "meta": {},
}
