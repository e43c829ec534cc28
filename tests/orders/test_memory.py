"""The size that a cache counts for a value is the memory that the value takes."""

import gc
import json
import tracemalloc
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.mapping import map_order
from app.orders.source import FetchedOrder
from tests.support.upstream import wire_order

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
    assert memory * 0.9 <= entry.value.size <= memory * 2, memory


@pytest.mark.parametrize("kind", ROWS)
def test_the_size_of_a_single_order_is_its_memory(kind: str):
    sent = json.dumps(ROWS[kind](1))

    def make() -> Entry[FetchedOrder]:
        row = map_order(json.loads(sent), ZONE)
        order = FetchedOrder(row, as_of=f"{0:024d}", request_id=f"{0:036d}", sandbox=False)
        return Entry(order, 1.5, 1000)

    entry, memory = traced(make)
    assert memory * 0.9 <= entry.value.size <= memory * 2, memory
