"""The last upstream calls are recorded, with what the vendor's support asks for."""

import pytest

from app import request_id
from app.http import Response
from app.upstream.calls import MAX_CALLS, RESULTS, AdmissionState, CallLog
from app.upstream.client import ORDERS_PATH
from app.upstream.errors import (
    OrderNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformed,
)
from tests.edge.asgi_harness import logging_to
from tests.support.clock import ManualClock
from tests.support.upstream import ScriptedUpstream, client_of, success

STATE = AdmissionState("closed", 50.0, 1, 0)


async def test_each_call_is_recorded_with_its_ids_duration_and_state() -> None:
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock)
    request_id.set_current("caller-0001")
    response = await client.list_orders(1, deadline=clock.monotonic() + 8)

    token, listed = client.calls.records
    assert (token.operation, token.error) == ("get-management-token", None)
    assert (listed.operation, listed.error, listed.status_code) == ("get-orders", None, 200)
    assert listed.request_id == response.request_id
    assert listed.caller_request_id == "caller-0001"
    assert listed.started_at == clock.now()
    assert listed.state == STATE


async def test_a_failed_call_is_recorded_with_the_codes_of_the_upstream() -> None:
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock)
    upstream.fail_next(500, 1000, path=ORDERS_PATH)
    with pytest.raises(UpstreamFailed) as raised:
        await client.list_orders(1, deadline=clock.monotonic() + 8)
    with pytest.raises(OrderNotFound):
        await client.get_order("unknown1", deadline=clock.monotonic() + 8)

    _, failed, not_found = client.calls.records
    assert (failed.error, failed.status_code, failed.api_code) == (UpstreamFailed, 500, 1000)
    assert failed.request_id == raised.value.request_id
    assert not_found.operation == "get-order-detail"


async def test_a_successful_call_whose_response_cannot_be_used_is_recorded_as_failed() -> None:
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock)
    await client.list_orders(1, deadline=clock.monotonic() + 8)
    upstream.respond_with(lambda call: success(None) if call.url.path == ORDERS_PATH else None)
    with pytest.raises(UpstreamMalformed):
        await client.list_orders(1, deadline=clock.monotonic() + 8)

    _, before, malformed = client.calls.records
    assert before.error is None
    assert malformed.error is UpstreamMalformed


def test_the_last_calls_are_kept_and_each_is_reported_when_it_has_ended() -> None:
    log = CallLog(ManualClock())
    seen: list[str] = []
    log.listeners.append(lambda record: seen.append(record.operation))
    for number in range(MAX_CALLS + 1):
        with log.recording(str(number), STATE):
            assert len(seen) == number
    assert [record.operation for record in log.records] == seen[1:]


def all_errors(base: type[UpstreamError] = UpstreamError) -> set[type[UpstreamError]]:
    """Return all classes of upstream errors below `base`."""
    return {base}.union(*map(all_errors, base.__subclasses__())) - {UpstreamError}


def test_every_error_has_a_result() -> None:
    assert set(RESULTS) == all_errors() | {None}


async def test_calls_are_logged_at_the_level_debug_without_values_of_callers() -> None:
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock, max_attempts=1)
    order_no = "CHOSEN-BY-A-CALLER-77"
    with logging_to(level="debug") as log:
        with pytest.raises(OrderNotFound):
            await client.get_order(order_no, deadline=clock.monotonic() + 8)
        upstream.respond_with(lambda _: Response(502, text="<html>"))
        with pytest.raises(UpstreamFailed):
            await client.get_order(order_no, deadline=clock.monotonic() + 8)
    token, detail, failed = [line for line in log.lines() if line["event"] == "upstream_call"]
    assert (token["operation"], token["result"]) == ("get-management-token", "success")
    assert (detail["operation"], detail["duration_ms"]) == ("get-order-detail", 0.0)
    assert detail["upstream_request_id"] == client.calls.records[1].request_id
    assert (failed["result"], failed["level"]) == ("failed", "debug")
    assert "upstream_request_id" not in failed
    assert order_no not in log.text()


async def test_an_order_that_a_successful_response_lacks_is_not_found() -> None:
    clock, upstream = ManualClock(), ScriptedUpstream()
    client = client_of(upstream, clock)
    await client.authorize(deadline=clock.monotonic() + 8)
    upstream.respond_with(lambda _: success(None))
    with pytest.raises(OrderNotFound):
        await client.get_order("1", deadline=clock.monotonic() + 8)
    record = client.calls.records[-1]
    assert (record.result, record.status_code) == ("not_found", 200)
    assert record.request_id


async def test_calls_are_not_logged_at_the_level_info() -> None:
    clock, upstream = ManualClock(), ScriptedUpstream()
    with logging_to() as log:
        await client_of(upstream, clock).list_orders(1, deadline=clock.monotonic() + 8)
    assert log.text() == ""
