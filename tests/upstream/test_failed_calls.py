"""A request that fails after all retries is logged, in our own words."""

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
        caplog.set_level(logging.INFO, "orders_bff.upstream")
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client = client_of(self.upstream, self.clock, max_attempts=3)
        self._caplog = caplog

    @property
    def deadline(self) -> float:
        return self.clock.monotonic() + 8

    def logged(self) -> list[tuple[str, dict[str, object]]]:
        records = self._caplog.records
        return [(record.getMessage(), getattr(record, "fields", {})) for record in records]


@pytest.fixture
def bench(caplog: pytest.LogCaptureFixture) -> Bench:
    return Bench(caplog)


async def test_a_request_that_failed_is_logged_once_however_often_it_was_retried(bench: Bench):
    bench.upstream.fail_next(500, 9001, times=3, path=PAYMENT_PATH)
    with pytest.raises(UpstreamError) as failed:
        await bench.client.get_payment("A1", deadline=bench.deadline)
    fields = {
        "operation": "get-order-pay-detail",
        "error": "UpstreamFailed",
        "message": "the upstream failed",
        "status_code": 500,
        "api_code": 9001,
        "upstream_request_id": failed.value.request_id,
    }
    assert bench.logged() == [("upstream_call_failed", fields)]


async def test_a_request_that_succeeds_at_the_second_attempt_is_not_logged(bench: Bench):
    bench.upstream.fail_next(500)
    await bench.client.list_orders(1, deadline=bench.deadline)
    assert bench.logged() == []


async def test_a_request_for_which_there_is_no_token_is_logged(bench: Bench):
    bench.upstream.fail_next(403, 2333, path=TOKEN_PATH)
    with pytest.raises(UpstreamError):
        await bench.client.list_orders(1, deadline=bench.deadline)
    [(_, fields)] = bench.logged()
    assert fields["operation"] == "get-orders"
    assert fields["error"] == "UpstreamCredentialRejected"


async def test_a_missing_order_is_not_logged(bench: Bench):
    with pytest.raises(OrderNotFound):
        await bench.client.get_order("A1", deadline=bench.deadline)
    assert bench.logged() == []


async def test_an_outage_is_logged_when_it_begins_and_when_it_ends(bench: Bench):
    await bench.client.list_orders(1, deadline=bench.deadline)
    bench.upstream.fail_next(500, times=5)
    for _ in range(2):
        with pytest.raises(UpstreamError):
            await bench.client.list_orders(1, deadline=bench.deadline)
    for _ in range(3):
        with pytest.raises(UpstreamUnavailable):
            await bench.client.list_orders(1, deadline=bench.deadline)
    assert [event for event, _ in bench.logged()] == [
        "upstream_call_failed",
        "circuit_opened",
        "upstream_call_failed",
    ]
    await bench.clock.advance(6)
    await bench.client.list_orders(1, deadline=bench.deadline)
    assert bench.logged()[3:] == [("circuit_closed", {"operations": ["list", "token"]})]
