"""The last success and the last failure are known without a call."""

import pytest

from app.upstream.errors import OrderNotFound, UpstreamError, UpstreamFailed
from app.upstream.status import TOKEN_OPERATION, LastContact, UpstreamStatus
from tests.support.clock import ManualClock
from tests.support.upstream import ScriptedUpstream, client_of


async def test_the_last_success_and_the_last_failure_are_remembered_with_their_age():
    clock = ManualClock()
    status = UpstreamStatus(clock)
    assert status.last_contact() == LastContact(None, None, None)

    status.on_success("get-orders")
    await clock.advance(60)
    status.on_failure("get-orders", UpstreamFailed("it failed"))
    await clock.advance(5)
    last = status.last_contact()
    assert (last.seconds_since_success, last.seconds_since_failure) == (65, 5)
    assert str(last.error) == "it failed"

    status.on_success("get-orders")
    assert status.last_contact() == LastContact(0, 5, None)


async def test_the_error_is_remembered_without_its_traceback():
    status = UpstreamStatus(ManualClock())
    with pytest.raises(UpstreamFailed) as raised:
        raise UpstreamFailed("x")
    status.on_failure("get-orders", raised.value)
    error = status.last_contact().error
    assert error
    assert error.__traceback__ is None


async def test_the_client_records_successes_and_failures_and_a_missing_order_as_a_success():
    clock = ManualClock()
    upstream = ScriptedUpstream()
    client = client_of(upstream, clock)
    assert client.status.last_contact() == LastContact(None, None, None)
    upstream.fail_next(500)
    with pytest.raises(UpstreamError):
        await client.list_orders(1, deadline=clock.monotonic() + 8)
    assert isinstance(client.status.last_contact().error, UpstreamFailed)
    with pytest.raises(OrderNotFound):
        await client.get_order("unknown", deadline=clock.monotonic() + 8)
    assert client.status.last_contact() == LastContact(0, 0, None)
    await clock.advance(7)
    await client.list_orders(1, deadline=clock.monotonic() + 8)
    assert client.status.last_contact() == LastContact(0, 7, None)


async def test_each_operation_has_its_last_results_and_the_start_of_its_failures():
    clock = ManualClock()
    status = UpstreamStatus(clock)
    status.on_success("get-orders", "r-1")
    succeeded_at = clock.now()
    await clock.advance(60)
    status.on_failure("get-orders", UpstreamFailed("", request_id="r-2"))
    failing_since = clock.now()
    await clock.advance(60)
    status.on_failure("get-orders", UpstreamFailed("", request_id="r-3"))
    status.on_success("get-order-detail", "r-4")

    listed = status.operation("get-orders")
    assert (listed.succeeded_at, listed.request_id) == (succeeded_at, "r-1")
    assert listed.error
    assert (listed.failed_at, listed.error.request_id) == (clock.now(), "r-3")
    assert listed.failing_since == failing_since
    assert status.operation("get-order-detail").failing_since is None
    status.on_success("get-orders", "r-5")
    assert status.operation("get-orders").failing_since is None


async def test_a_token_alone_is_no_contact():
    status = UpstreamStatus(ManualClock())
    status.on_failure("get-orders", UpstreamFailed("it failed"))
    status.on_success(TOKEN_OPERATION)
    assert str(status.last_contact().error) == "it failed"
    status.on_failure(TOKEN_OPERATION, UpstreamFailed("no token"))
    assert str(status.last_contact().error) == "it failed"
    assert status.operation(TOKEN_OPERATION).failing_since
