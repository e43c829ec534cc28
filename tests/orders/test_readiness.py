"""Readiness: not before the first block is cached, and whatever the upstream does afterwards."""

import asyncio

import pytest

from app.orders.readiness import MAX_PROBE_WAIT, Readiness, Starting
from app.upstream.errors import UpstreamFailed
from tests.support.book import BookHarness


async def test_the_first_check_fetches_one_block_and_no_other_check_fetches_any() -> None:
    harness = BookHarness(500)
    readiness = Readiness(harness.book)
    await readiness.check()
    harness.list.down = True
    await harness.clock.advance(10**6)  # everything has expired

    await readiness.check()
    assert harness.list.calls == [0]


async def test_a_block_that_a_request_has_cached_makes_the_proxy_ready() -> None:
    harness = BookHarness(500)
    await harness.book.window(300, 310)
    calls = list(harness.list.calls)

    await Readiness(harness.book).check()
    assert harness.list.calls == calls


async def test_a_proxy_that_has_served_stays_ready_when_its_cache_is_dropped_in_an_outage() -> None:
    harness = BookHarness(500)
    readiness = Readiness(harness.book)
    await harness.book.window(0, 10)
    harness.list.down = True
    harness.book.blocks.purge(drop=True)

    await readiness.check()
    assert harness.list.calls == [0]


async def test_checks_report_a_start_while_the_first_fetch_runs_and_share_it() -> None:
    harness = BookHarness(10)
    gate = harness.hold_back(0)
    readiness = Readiness(harness.book)
    checks = [asyncio.ensure_future(readiness.check()) for _ in range(3)]
    await harness.clock.advance(MAX_PROBE_WAIT)
    for check in checks:
        with pytest.raises(Starting):
            await check
    gate.set()

    await readiness.check()
    assert harness.list.calls == [0]


async def test_after_a_failure_checks_report_its_cause_also_while_the_next_fetch_runs() -> None:
    harness = BookHarness(10)
    harness.list.down = True
    readiness = Readiness(harness.book)
    with pytest.raises(UpstreamFailed):
        await readiness.check()
    gate = harness.hold_back(0)
    await harness.clock.advance(1)  # the backoff
    check = asyncio.ensure_future(readiness.check())
    await harness.clock.advance(MAX_PROBE_WAIT)
    with pytest.raises(UpstreamFailed):
        await check
    harness.list.down = False
    gate.set()

    await readiness.check()
