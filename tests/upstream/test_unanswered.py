"""An operator is told of each question that was not answered, in our own words."""

import logging

import pytest

from app.upstream.client import PAYMENT_PATH
from app.upstream.credentials import TOKEN_PATH
from app.upstream.errors import OrderNotFound, UpstreamError, UpstreamUnavailable
from tests.support.clock import ManualClock
from tests.support.upstream import ScriptedUpstream, client_of


class Bench:
    """A client, its upstream and what was logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "orders_bff.upstream")
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client = client_of(self.upstream, self.clock, tries=3)
        self._caplog = caplog

    @property
    def deadline(self) -> float:
        return self.clock.monotonic() + 8

    def told(self) -> list[tuple[str, dict[str, object]]]:
        records = self._caplog.records
        return [(record.getMessage(), getattr(record, "fields", {})) for record in records]


@pytest.fixture
def bench(caplog: pytest.LogCaptureFixture) -> Bench:
    return Bench(caplog)


async def test_a_question_that_failed_for_good_has_a_line_however_often_it_was_tried(bench: Bench):
    bench.upstream.fail_next(500, 9001, times=3, path=PAYMENT_PATH)
    with pytest.raises(UpstreamError) as failed:
        await bench.client.get_payment("A1", deadline=bench.deadline)
    facts = {
        "question": "get-order-pay-detail",
        "kind": "UpstreamFailed",
        "reason": "the upstream failed",
        "status_code": 500,
        "api_code": 9001,
        "upstream_request_id": failed.value.request_id,
    }
    assert bench.told() == [("unanswered", facts)]


async def test_a_question_that_was_answered_at_the_second_try_has_none(bench: Bench):
    bench.upstream.fail_next(500)
    await bench.client.list_orders(1, deadline=bench.deadline)
    assert bench.told() == []


async def test_a_question_for_which_there_is_no_token_has_a_line(bench: Bench):
    bench.upstream.fail_next(403, 2333, path=TOKEN_PATH)
    with pytest.raises(UpstreamError):
        await bench.client.list_orders(1, deadline=bench.deadline)
    [(_, facts)] = bench.told()
    assert facts["question"] == "get-orders"
    assert facts["kind"] == "UpstreamCredentialRejected"


async def test_an_order_that_is_not_there_has_none(bench: Bench):
    with pytest.raises(OrderNotFound):
        await bench.client.get_order("A1", deadline=bench.deadline)
    assert bench.told() == []


async def test_an_outage_has_a_line_when_it_begins_and_one_when_it_is_over(bench: Bench):
    await bench.client.list_orders(1, deadline=bench.deadline)
    bench.upstream.fail_next(500, times=5)
    for _ in range(2):
        with pytest.raises(UpstreamError):
            await bench.client.list_orders(1, deadline=bench.deadline)
    for _ in range(3):
        with pytest.raises(UpstreamUnavailable):
            await bench.client.list_orders(1, deadline=bench.deadline)
    assert [event for event, _ in bench.told()] == ["unanswered", "upstream_ill", "unanswered"]
    await bench.clock.advance(6)
    await bench.client.list_orders(1, deadline=bench.deadline)
    assert bench.told()[3:] == [("upstream_well", {})]
