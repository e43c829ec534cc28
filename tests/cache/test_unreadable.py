"""What in a store was not written by this program is counted, and logged now and then."""

import logging

import pytest

from app.cache.unreadable import LOG_SECONDS, UnreadableValues
from tests.support.clock import ManualClock


async def test_each_kind_is_logged_once_a_minute_and_always_counted(
    caplog: pytest.LogCaptureFixture,
):
    clock = ManualClock()
    unreadable = UnreadableValues(clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            unreadable.report("value")
        unreadable.report("lease")
        await clock.advance(LOG_SECONDS)
        unreadable.report("value")
    assert unreadable.counts == {"value": 4, "lease": 1}
    assert {record.message for record in caplog.records} == {"store_value_unreadable"}
    assert [getattr(record, "fields", {}) for record in caplog.records] == [
        {"kind": "value", "count": 1},
        {"kind": "lease", "count": 1},
        {"kind": "value", "count": 4},
    ]
