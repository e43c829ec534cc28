"""Cached responses: which are sent again, to whom, and in which coding."""

import asyncio
import gc
import hashlib
import json
import os
from dataclasses import replace
from typing import Any
from weakref import ref

import pytest

from app.cache.freshness import Freshness
from app.cache.grace_cache import CachedLookup, Entry, Lookup, Outcome
from app.edge.api_keys import generate_key
from app.edge.content_coding import GzipBody
from app.edge.context import Caller, Replayable, RequestContext
from app.orders.blocks import Block
from app.orders.rendering import RenderedResponse
from app.orders.response_cache import ResponseCache, ResponseCacheMiddleware, Validity
from tests.support.clock import ManualClock, settle
from tests.support.proxy import Proxy

PAGE = "/v1/orders?page=1&limit=50"
KEY = ("/v1/orders", b"page=1")
KEY_BYTES = 200


class Data:
    revision = 0


VALIDITY = Validity((), lambda: (), Data())


def rendered(body: bytes) -> RenderedResponse:
    return RenderedResponse(b'W/"1"', 0.0, (), (), body, GzipBody(body))


async def test_concurrent_requests_for_one_page_get_the_same_bytes() -> None:
    proxy = Proxy()

    responses = await asyncio.gather(*(proxy.get(PAGE) for _ in range(20)))

    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1
    assert proxy.calls() == 1


async def test_a_page_that_is_fetched_again_is_rendered_again() -> None:
    proxy = Proxy()
    first = await proxy.get(PAGE)
    await proxy.clock.advance(6)

    second = await proxy.get(PAGE, cache_control="no-cache")

    assert second.json()["meta"]["as_of"] > first.json()["meta"]["as_of"]


async def test_a_compressed_page_is_the_same_for_a_miss_and_a_hit() -> None:
    proxy = Proxy()
    sent = {"accept_encoding": "gzip", "x_request_id": "caller-0001"}
    miss = await proxy.get(PAGE, **sent)
    hit = await proxy.get(PAGE, **sent)
    plain = await proxy.get(PAGE, accept_encoding="identity")
    head = await proxy.get(PAGE, "HEAD", **sent)
    unchanged = await proxy.get(PAGE, if_none_match=plain.headers["etag"], **sent)

    assert [each.headers.get("content-encoding") for each in (miss, hit, head)] == ["gzip"] * 3
    assert "content-encoding" not in plain.headers
    assert miss.content == hit.content == plain.content  # httpx has decoded the first two
    assert len({each.headers["etag"] for each in (miss, hit, plain, head, unchanged)}) == 1
    lengths = [int(each.headers["content-length"]) for each in (miss, hit, head)]
    assert len(set(lengths)) == 1
    assert lengths[0] < int(plain.headers["content-length"]) // 4
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert "content-encoding" not in unchanged.headers


async def test_a_payment_is_never_compressed() -> None:
    proxy = Proxy(environ={"ORDERS_CALLERS__ANONYMOUS": "true"})
    number = (await proxy.get("/v1/orders?limit=1")).json()["data"][0]["order_no"]
    order = await proxy.get(f"/v1/orders/{number}", accept_encoding="gzip, identity;q=0")

    assert order.headers["content-encoding"] == "gzip"
    with_scope = Proxy(sandbox=True)
    payment = await with_scope.get(
        f"/v1/orders/{number}/payment", accept_encoding="gzip, identity;q=0"
    )
    assert payment.status_code == 200
    assert "content-encoding" not in payment.headers


async def test_compressed_bodies_count_towards_the_size_of_the_cache() -> None:
    response = rendered(os.urandom(2000))
    cache = ResponseCache(max_bytes=response.size + KEY_BYTES)
    cache.get_or_render(KEY, VALIDITY, lambda: response)
    cache.update_size(KEY)
    assert cache.get(KEY) is not None

    await response.gzip.get()
    cache.update_size(KEY)

    assert cache.get(KEY) is None
    cache.update_size(KEY)
    assert cache.get(KEY) is None


def test_a_response_is_rendered_again_only_for_other_data() -> None:
    cache = ResponseCache(max_bytes=10_000)
    rendered_bodies: list[bytes] = []

    def get_or_render(data: str) -> RenderedResponse:
        def render() -> RenderedResponse:
            rendered_bodies.append(data.encode())
            return rendered(data.encode())

        return cache.get_or_render(KEY, replace(VALIDITY, key=(data,)), render)

    first = get_or_render("first")
    assert get_or_render("first") is first
    assert get_or_render("second") is not first
    assert rendered_bodies == [b"first", b"second"]


async def test_a_response_with_raw_objects_is_rendered_once_and_only_for_callers_with_the_scope():
    keys = {name: generate_key() for name in ("raw", "plain")}
    entries = [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "scopes": scopes}
        for (name, key), scopes in zip(
            keys.items(), (["orders:read", "orders:raw"], ["orders:read"]), strict=True
        )
    ]
    proxy = Proxy(environ={"ORDERS_CALLERS__API_KEYS": json.dumps(entries)})
    raw_page = f"{PAGE}&include=raw"
    first = await proxy.get(raw_page, x_api_key=keys["raw"])
    assert "raw" in first.json()["data"][0]
    assert (await proxy.get(raw_page, x_api_key=keys["plain"])).status_code == 403
    second = await proxy.get(raw_page, x_api_key=keys["raw"])
    assert second.content == first.content
    assert second.headers["cache-status"] == "orders-bff; hit; ttl=60"


def test_a_response_that_is_never_current_is_rendered_once_for_the_same_data() -> None:
    cache = ResponseCache(max_bytes=10_000)
    validity = VALIDITY.never_current()

    first = cache.get_or_render(KEY, validity, lambda: rendered(b"first"))

    assert VALIDITY.current_lookups() is not None
    assert validity.current_lookups() is None
    assert cache.get_or_render(KEY, validity, lambda: rendered(b"second")) is first


def block_count() -> int:
    gc.collect()
    return sum(isinstance(each, Block) for each in gc.get_objects())


@pytest.mark.without_coverage
async def test_a_cached_page_does_not_keep_the_blocks_alive_that_it_was_rendered_from() -> None:
    proxy = Proxy()
    await proxy.get(PAGE)
    before = block_count()
    await proxy.clock.advance(6)
    await proxy.get("/v1/orders?limit=7", cache_control="no-cache")
    await settle()
    assert block_count() == before


async def replayable(
    cache: ResponseCache,
    clock: ManualClock,
    query: bytes,
    header: tuple[bytes, bytes] = (b"if-none-match", b"*"),
) -> Replayable:
    """Return how a page can be sent again, after it was cached and sent."""
    lookup: Lookup[Any] = Lookup(Entry(None, 0.0, 1), Freshness.FRESH, Outcome.HIT, ttl=60.0)
    validity = Validity((), lambda: (CachedLookup(lookup, 60.0),), Data())
    cache.get_or_render(("/v1/orders", query), validity, lambda: rendered(b"x" * 5000))
    context = RequestContext("id", "GET", {}, 0.0)
    context.caller = Caller("caller", "key", frozenset({"orders:read"}), ("key", "caller"))

    async def ignore(*_: Any) -> Any:
        pass

    middleware = ResponseCacheMiddleware(ignore, cache, clock, str)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/orders",
        "query_string": query,
        "headers": [header],
        "context": context,
    }
    await middleware(scope, ignore, ignore)
    assert context.replayable
    return context.replayable


async def test_a_body_that_is_compressed_for_a_hit_counts_towards_the_size_of_the_cache() -> None:
    cache, clock = ResponseCache(max_bytes=15_000), ManualClock()
    sizes = []
    for coding in (b"identity", b"gzip", b"gzip"):
        await replayable(cache, clock, b"page=1", (b"accept-encoding", coding))
        sizes.append(cache.usage.bytes)

    cached = cache.get(("/v1/orders", b"page=1"))
    assert cached
    compressed = cached.rendered.gzip.size
    assert compressed > 0
    assert sizes == [sizes[0], sizes[0] + compressed, sizes[0] + compressed]


async def test_a_response_that_can_be_sent_again_is_kept_only_as_long_as_it_is_cached() -> None:
    cache, clock = ResponseCache(max_bytes=15_000), ManualClock()
    context = RequestContext("id", "GET", {}, 0.0)
    first, second = [await replayable(cache, clock, query) for query in (b"page=1", b"page=2")]
    evicted = ref(cache.get(("/v1/orders", b"page=2")) or cache)
    assert first.refresh(context, 0.0)  # a use, so that the other one is evicted
    await replayable(cache, clock, b"page=3")

    assert first.refresh(context, 0.0)
    assert second.refresh(context, 0.0) is None
    assert evicted() is None
    cache.clear()
    await replayable(cache, clock, b"page=1")
    assert first.refresh(context, 0.0) is None  # another response may have another body
