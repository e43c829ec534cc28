"""What the middleware and the routes know about one request, shared through the ASGI scope."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

from starlette.types import Scope

from app.telemetry.spans import RequestSpan


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        name: for people and logs; two callers may have the same.
        kind: how it was authenticated: `key`, `token`, `session` or `anonymous`.
        scopes: what it may do.
        limit_key: what identifies it where its requests are limited: `("key", name)`,
            `("subject", issuer, subject)`, or `("address", address)` of an anonymous caller.
        rate: the limit of its requests, as `6000/minute`; None for that of all callers.
        expires_at: when its credential expires, in seconds since 1970; None for never.
    """

    name: str
    kind: str
    scopes: frozenset[str]
    limit_key: tuple[str, ...]
    rate: str | None = None
    expires_at: float | None = None


class Versioned(Protocol):
    """Data that responses are made of."""

    @property
    def revision(self) -> int:
        """A number that grows with every change, other than that time passes."""


class CurrentHeaders(NamedTuple):
    """The header fields of a response that change with time.

    Attributes:
        fields: names and values.
        until: the monotonic time at which they have to be determined again. Until then they are
            right as long as the data has the same revision.
    """

    fields: list[tuple[bytes, bytes]]
    until: float


@dataclass(frozen=True, slots=True)
class Replayable:
    """How a response can be sent again to the same caller for the same request head.

    Attributes:
        data: what the response is made of.
        refresh: returns the present values of the header fields that change with time, or None if
            the response must not be sent any more. It is given the monotonic time, and records
            Age and the cache outcome in the context.
    """

    data: Versioned
    refresh: Callable[["RequestContext", float], CurrentHeaders | None]


@dataclass(slots=True)
class RequestContext:
    """One request and its response. Each layer adds what it learns; the access log writes it.

    Attributes:
        request_id: the caller's, or generated.
        method: the method as received, also where a HEAD request is handled as GET.
        headers: the last value of each request header, by lower-case name.
        started_at: when the request was received, on the monotonic clock.
        client: the address that the request came from, empty if it is not known.
        route: the path template of the route, never a path chosen by the caller.
        caller: who sent the request; None if not authenticated.
        ignored_credential: why a credential was ignored; for people, empty if none was.
        generation: `CredentialGeneration.value` when the caller was authenticated.
        response_headers: header fields that the response has, whatever part of the proxy sends it.
        status: the status of the response; 0 until it starts.
        cache_outcome: hit, stale_hit, miss, collapsed or stale_if_error; empty if not cacheable.
        freshness: the value of X-Freshness.
        age: the value of Age, in seconds.
        waited_seconds: how long the route waited for its data.
        upstream_request_ids: the ids of the upstream responses that the response is based on.
        problem: the code of the problem that is the response.
        audit_event: the event to log if the request succeeds; empty for none.
        span: the span of the request, if tracing is on.
        replayable: how the response can be sent again for an identical request; None if it cannot.
    """

    request_id: str
    method: str
    headers: dict[bytes, bytes]
    started_at: float
    client: str = ""
    route: str = ""
    caller: Caller | None = None
    ignored_credential: str = ""
    generation: int = 0
    response_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    status: int = 0
    cache_outcome: str = ""
    freshness: str = ""
    age: int | None = None
    waited_seconds: float = 0.0
    upstream_request_ids: tuple[str, ...] = ()
    problem: str = ""
    audit_event: str = ""
    span: RequestSpan | None = None
    replayable: Replayable | None = None


def context_of(scope: Scope) -> RequestContext:
    """Return the context of the request that `scope` belongs to."""
    return cast("RequestContext", scope["context"])


def joined_header(scope: Scope, name: bytes) -> bytes:
    """Return all values of a request header as one list (RFC 9110 section 5.3), empty if absent."""
    headers = context_of(scope).headers
    if len(headers) == len(scope["headers"]):  # each occurs once
        return headers.get(name, b"")
    return b",".join(value for key, value in scope["headers"] if key == name)


def has_repeated_header(scope: Scope, names: Collection[bytes]) -> bool:
    """Return whether the request has one of these headers more than once."""
    if len(context_of(scope).headers) == len(scope["headers"]):
        return False
    counts = Counter(name for name, _ in scope["headers"])
    return any(counts[name] > 1 for name in names)
