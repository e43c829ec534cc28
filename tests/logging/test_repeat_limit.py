"""Repeated warnings are bounded, and counted; requests and events of level info are not."""

import logging

from app.logging.repeat_limit import MAX_KINDS, MAX_REPEATS, OTHER, WINDOW_SECONDS, RepeatLimit
from tests.edge.asgi_harness import logging_to
from tests.support.clock import ManualClock

LOGGER = logging.getLogger("orders_bff.test")


async def test_a_repeated_warning_is_written_twenty_times_a_minute_and_then_counted():
    clock = ManualClock()
    with logging_to(clock=clock) as log:
        for _ in range(MAX_REPEATS + 5):
            LOGGER.warning("failed", extra={"fields": {"operation": "get-orders"}})
        assert len(log.lines()) == MAX_REPEATS + 1  # the last one by `flush`
        await clock.advance(WINDOW_SECONDS)
        LOGGER.warning("failed", extra={"fields": {"operation": "get-orders"}})
    last, again = log.lines()[-2:]
    assert last == {
        "time": last["time"],
        "level": "warning",
        "event": "log_lines_suppressed",
        "suppressed": "failed",
        "count": 5,
        "operation": "get-orders",
    }
    assert again["event"] == "failed"


async def test_what_was_suppressed_is_reported_when_the_next_line_is_written():
    clock = ManualClock()
    with logging_to(clock=clock) as log:
        for _ in range(MAX_REPEATS + 3):
            LOGGER.error("failed")
        await clock.advance(WINDOW_SECONDS)
        LOGGER.info("another")
    assert [line["event"] for line in log.lines()][-2:] == ["log_lines_suppressed", "another"]
    assert "operation" not in log.lines()[-2]


def test_operations_are_counted_separately_and_info_is_not_bounded():
    with logging_to() as log:
        for _ in range(MAX_REPEATS):
            LOGGER.warning("failed", extra={"fields": {"operation": "get-orders"}})
            LOGGER.warning("failed", extra={"fields": {"operation": "get-order-detail"}})
        for _ in range(3 * MAX_REPEATS):
            LOGGER.info("audited")
    events = [line["event"] for line in log.lines()]
    assert events.count("failed") == 2 * MAX_REPEATS
    assert events.count("audited") == 3 * MAX_REPEATS


def test_the_number_of_kinds_is_bounded():
    limit = RepeatLimit(ManualClock())
    for number in range(MAX_KINDS):
        assert limit.admit((f"library text {number}", ""))
    admitted = [limit.admit((f"more {number}", "")) for number in range(100)]
    assert sum(admitted) == MAX_REPEATS
    assert limit.end_window(now=True) == [(OTHER, 100 - MAX_REPEATS)]
    assert limit.end_window() == []
