"""What a response says to one caller: ETag match, content coding, Age, Cache-Status, X-Freshness.

Everything else about a response is the same for all callers and is rendered once, in `rendering`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.cache.freshness import Freshness
from app.cache.grace_cache import Lookup, Outcome
from app.edge.context import RequestContext
from app.edge.entity_tags import etag_matches
from app.orders.rendering import RenderedResponse, ResponseHead

_BY_SEVERITY = list(Freshness)

HeaderList = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class CacheOutcome:
    """How the lookups behind one response went, taken together.

    Attributes:
        cache_status: the value of Cache-Status (RFC 9211 section 2).
        freshness: the freshness of the least fresh part.
        name: the word in the access log: hit, stale_hit, miss, collapsed or stale_if_error.
    """

    cache_status: str
    freshness: Freshness
    name: str


def fresh_hit(seconds_left: float) -> CacheOutcome:
    """Return the outcome of a hit that stays fresh for `seconds_left`."""
    status = f"orders-bff; hit; ttl={math.floor(seconds_left)}"
    return CacheOutcome(status, Freshness.FRESH, "hit")


def combine_lookups(
    lookups: Sequence[Lookup[Any]],
    *,
    now: float,
    problem_code: Callable[[BaseException], str],
    stored: bool = True,
) -> CacheOutcome:
    """Return the outcome of at least one lookup: the greatest `Outcome` counts for all of them.

    Why the last fetch of a part failed is a part of the outcome as long as that part is stale.
    `now` is on the monotonic clock, and `stored` says whether what was fetched is cached.
    """
    dominant = max(lookups, key=lambda lookup: lookup.outcome)
    freshness = max((lookup.freshness for lookup in lookups), key=_BY_SEVERITY.index)
    ttl = math.floor(min(_seconds_left(lookup, now) for lookup in lookups))
    forwarded = f"orders-bff; fwd={dominant.forward_reason}"
    error = dominant.error or next((lookup.error for lookup in lookups if lookup.error), None)
    detail = f"; detail={problem_code(error)}" if error else ""
    match dominant.outcome:
        case Outcome.HIT:
            return fresh_hit(ttl)
        case Outcome.STALE_HIT:
            name = "stale_if_error" if freshness is Freshness.STALE_IF_ERROR else "stale_hit"
            return CacheOutcome(f"orders-bff; hit; ttl={ttl}{detail}", freshness, name)
        case Outcome.MISS:
            status = f"{forwarded}; stored" if stored else forwarded
            return CacheOutcome(status + detail, freshness, "miss")
        case Outcome.COLLAPSED:
            return CacheOutcome(f"{forwarded}; collapsed{detail}", freshness, "collapsed")
        case _:  # STALE_IF_ERROR
            status = f"{forwarded}; ttl={ttl}{detail}"
            return CacheOutcome(status, freshness, "stale_if_error")


def _seconds_left(lookup: Lookup[Any], now: float) -> float:
    seconds = lookup.ttl - (now - lookup.entry.fetched_at)
    return seconds if lookup.freshness is Freshness.FRESH else min(seconds, 0)


class CacheHeaders(NamedTuple):
    """What a response says about its freshness in one second, to callers and in the access log.

    Attributes:
        fields: Age, X-Freshness and Cache-Status.
    """

    outcome: CacheOutcome
    age: int
    upstream_request_ids: tuple[str, ...]
    fields: HeaderList

    def record(self, context: RequestContext) -> None:
        """Record in `context` that a response has these headers."""
        context.cache_outcome = self.outcome.name
        context.freshness = self.outcome.freshness.value
        context.age = self.age
        context.upstream_request_ids = self.upstream_request_ids


def cache_headers(head: ResponseHead, outcome: CacheOutcome, now: float) -> CacheHeaders:
    """Return what a response says that is sent at `now`, on the monotonic clock."""
    age = max(0, int(now - head.fetched_at))
    fields = [
        (b"age", b"%d" % age),
        (b"x-freshness", outcome.freshness.value.encode()),
        (b"cache-status", outcome.cache_status.encode()),
    ]
    return CacheHeaders(outcome, age, head.upstream_request_ids, fields)


def build_response(
    rendered: RenderedResponse,
    per_caller: HeaderList,
    *,
    if_none_match: bytes,
    compressed: bytes | None,
) -> tuple[int, HeaderList, bytes]:
    """Return status, headers and body of the response for one caller.

    Args:
        rendered: the response, as rendered for all callers.
        per_caller: its headers that `per_caller_headers` returns.
        if_none_match: all values of the request header, joined; a match makes it a 304.
        compressed: the body compressed with gzip, or None if the plain one is sent.
    """
    headers = [*rendered.headers, *per_caller]
    if etag_matches(if_none_match, rendered.etag):
        return 304, headers, b""
    headers.append((b"content-type", b"application/json"))
    body = rendered.body if compressed is None else compressed
    if compressed is not None:
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", b"%d" % len(body)))
    return 200, headers, body


def per_caller_headers(
    context: RequestContext, head: ResponseHead, outcome: CacheOutcome, now: float
) -> HeaderList:
    """Return Age, X-Freshness and Cache-Status, and record them in `context`."""
    headers = cache_headers(head, outcome, now)
    headers.record(context)
    return headers.fields
