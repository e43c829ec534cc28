"""What cannot be parsed in an upstream response is reported as drift."""

import asyncio
import gc
import weakref
from dataclasses import replace
from zoneinfo import ZoneInfo

import httpx

from app.orders.mapping import MAX_TEXT_CHARS
from app.orders.source import CHUNK_BYTES, OrderSource
from app.upstream.client import ORDER_PATH, ORDERS_PATH, PAYMENT_PATH
from tests.support.clock import ManualClock
from tests.support.upstream import ScriptedUpstream, client_of, success, wire_order, wire_payment


async def test_unparsed_values_of_every_kind_of_response_are_counted():
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock)
    source = OrderSource(client, clock, zone=ZoneInfo("UTC"), deadline=8)
    odd = {
        ORDERS_PATH: {"totalCount": "1", "list": [wire_order(1) | {"status": "9"}]},
        ORDER_PATH: wire_order(1) | {"quantity": "many"},
        PAYMENT_PATH: wire_payment("1") | {"paidTime": "yesterday"},
    }

    def script(request: httpx.Request) -> httpx.Response | None:
        data = odd.get(request.url.path)
        return success(data) if data else None

    upstream.respond_with(script)
    for _ in range(2):
        await source.fetch_block(0)
        await source.fetch_order(wire_order(1)["orderNo"])
        await source.fetch_payment("1")
    assert [(str(kind), count) for kind, count in client.drift.counts] == [
        ("unknown value (order): status", 2),
        ("unparsed value (order): quantity", 2),
        ("unparsed value (payment): paid_at", 2),
    ]


async def fetch_turns(name: str) -> int:
    """Return in how many turns of the event loop a block of orders with that name is fetched."""
    clock, upstream = ManualClock(), ScriptedUpstream()
    upstream.orders = [wire_order(at) | {"goodsName": name} for at in range(50)]
    source = OrderSource(client_of(upstream, clock), clock, zone=ZoneInfo("UTC"), deadline=8)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    block = await source.fetch_block(0)
    counting.cancel()
    assert len(block.rows) == 50
    return turns


async def test_orders_with_long_names_are_mapped_a_few_at_a_time():
    size = MAX_TEXT_CHARS * len("\ufdfa".encode())
    turns = 50 * size / (CHUNK_BYTES + size)
    assert await fetch_turns("\ufdfa" * MAX_TEXT_CHARS) - await fetch_turns("x") >= turns - 1


async def test_orders_of_one_answer_that_share_a_number_are_all_mapped_with_a_warning():
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock)
    source = OrderSource(client, clock, zone=ZoneInfo("UTC"), deadline=8)
    first = wire_order(1)
    wires = [first, wire_order(2), first | {"quantity": "7"}, {}, {}]
    data = {"totalCount": "5", "list": wires}
    upstream.respond_with(
        lambda request: success(data) if request.url.path == ORDERS_PATH else None
    )
    block = await source.fetch_block(0)
    number = first["orderNo"]
    warnings = [[(one.field, one.raw) for one in row.unparsed] for row in block.rows]
    assert warnings == [[], [], [("order_no", number)], [("order_no", None)], [("order_no", None)]]
    assert [row.order_no for row in block.rows] == [
        number,
        wire_order(2)["orderNo"],
        number,
        "",
        "",
    ]
    kinds = [str(kind) for kind, _ in client.drift.counts]
    assert "repeated order number (list)" in kinds


async def test_a_block_that_is_fetched_again_unchanged_has_the_same_rows():
    clock, upstream = ManualClock(), ScriptedUpstream(60)
    source = OrderSource(client_of(upstream, clock), clock, zone=ZoneInfo("UTC"), deadline=8)
    first = await source.fetch_block(1)
    await clock.advance(1)
    second = await source.fetch_block(1)
    assert second.rows is first.rows
    assert second == replace(first, as_of=second.as_of, request_id=second.request_id)
    assert (second.as_of, second.request_id) != (first.as_of, first.request_id)
    upstream.orders = upstream.orders[1:]
    third = await source.fetch_block(1)
    assert (third.rows, third.total) == (first.rows[1:], 59)


async def test_a_block_with_drift_is_parsed_and_reported_each_time():
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock)
    source = OrderSource(client, clock, zone=ZoneInfo("UTC"), deadline=8)
    upstream.orders = [wire_order(1) | {"status": "9"}]
    blocks = [await source.fetch_block(0) for _ in range(3)]
    upstream.orders = [wire_order(1) | {"more": "x"}]
    blocks += [await source.fetch_block(0) for _ in range(3)]
    assert all(block.rows for block in blocks)
    assert [count for _, count in client.drift.counts] == [3, 3]


async def test_rows_that_nobody_uses_any_more_are_freed():
    clock, upstream = ManualClock(), ScriptedUpstream(60)
    source = OrderSource(client_of(upstream, clock), clock, zone=ZoneInfo("UTC"), deadline=8)
    block = weakref.ref(await source.fetch_block(0))
    gc.collect()
    assert block() is None
    assert len((await source.fetch_block(0)).rows) == 50
