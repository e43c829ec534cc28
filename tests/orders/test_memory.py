"""The size that a cache counts for a value is the memory that the value takes."""

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.mapping import map_order
from app.orders.rendering import RenderedResponse, render_page
from app.orders.response_cache import ResponseCache, Validity
from app.orders.source import FetchedOrder
from tests.support.upstream import wire_order

pytestmark = pytest.mark.without_coverage

ZONE = ZoneInfo("Asia/Shanghai")

ROWS: dict[str, Callable[[int], Any]] = {
    "ordinary": wire_order,
    "ascii names": lambda at: wire_order(at) | {"goodsName": f"{at:0900d}"},
    "emoji names": lambda at: wire_order(at) | {"goodsName": "\U0001f600" * 400 + str(at)},
    "one emoji": lambda at: wire_order(at) | {"goodsNameEn": "\U0001f600" + f"{at:0999d}"},
    "Chinese names": lambda at: wire_order(at) | {"goodsName": "企业版" * 300 + str(at)},
    "large objects": lambda at: wire_order(at) | {f"field{n}": f"{at}" * 9 for n in range(200)},
    "nothing readable": lambda at: {key: ["\U0001f600" * 200, at] for key in wire_order(at)},
    "no object": lambda at: [f"\U0001f600{at}"] * 100,
    "no values": lambda _: {},
}


@pytest.fixture(autouse=True, scope="module")
def frozen_heap() -> Iterator[None]:
    """Let garbage collections skip what the tests before have left, which takes long."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def traced(make: Callable[[], Any]) -> tuple[Any, int]:
    """Return what `make` returns, and the memory in bytes that it takes."""
    make()  # fills the caches of shared values
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    value = make()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return value, after - before


@pytest.mark.parametrize("kind", ROWS)
def test_the_size_of_a_block_is_its_memory(kind: str):
    sent = json.dumps([ROWS[kind](at) for at in range(50)], ensure_ascii=False)

    def make() -> Entry[Block]:
        rows = tuple(map_order(wire, ZONE) for wire in json.loads(sent))
        block = Block(0, rows, 50, as_of=f"{0:024d}", request_id=f"{0:036d}", sandbox=False)
        return Entry(block, 1.5, 1000)

    entry, memory = traced(make)
    # The size includes the index of order numbers, and the overhead of an ordinary row.
    assert memory * 0.9 <= entry.value.size <= memory * 2 + 50 * 150, memory


@pytest.mark.parametrize("kind", ROWS)
def test_the_size_of_a_single_order_is_its_memory(kind: str):
    sent = json.dumps(ROWS[kind](1))

    def make() -> Entry[FetchedOrder]:
        row = map_order(json.loads(sent), ZONE)
        order = FetchedOrder(row, as_of=f"{0:024d}", request_id=f"{0:036d}", sandbox=False)
        return Entry(order, 1.5, 1000)

    entry, memory = traced(make)
    assert memory * 0.9 <= entry.value.size <= memory * 2 + 1000, memory


@pytest.mark.parametrize("rows", [0, 50])
@pytest.mark.parametrize("sources", [1, 2000])
@pytest.mark.parametrize("query", [b"", b"q=" + b"%41" * 2700])
def test_the_size_of_a_cached_response_is_its_memory(rows: int, sources: int, query: bytes):
    entries = [
        Entry(Block(at, (), 0, as_of="", request_id=None, sandbox=False), 0.0, at)
        for at in range(sources)
    ]
    row = map_order(wire_order(1), ZONE)
    data = SimpleNamespace(revision=0)

    def render() -> RenderedResponse:
        named = [
            structs.replace(entry, value=replace(entry.value, request_id=f"{entry.sequence:0128d}"))
            for entry in entries
        ]
        return render_page(
            [row] * rows,
            [entries[0].value] * rows,
            named,
            page=1,
            limit=50,
            total=137,
            inconsistent=False,
            currency="",
            link="<x>" * 100,
        )

    def make() -> ResponseCache:
        cache = ResponseCache(max_bytes=10**9)
        for at in range(5):
            validity = Validity((((1, at), (2, at)), 137 * at), lambda *_: (), data)
            cache.get_or_render(("/v1/orders", b"limit=%d&%b" % (at, query)), validity, render)
        return cache

    cache, memory = traced(make)
    assert memory * 0.9 <= cache.usage.bytes <= memory * 1.5, memory
