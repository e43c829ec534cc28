"""A process that is told to leave, by real signals: whom it still answers, and how it ends."""

import json
import signal

from tests.support.process import read_responses, read_statuses, serving


def test_told_to_leave_it_answers_whom_it_accepted_and_ends_well() -> None:
    """The upstream takes a second for each, so all are under way when the signal comes."""
    with serving(ORDERS_SERVER__DRAIN_DELAY="0.5", ORDERS_SERVER__DRAIN_TIMEOUT="10") as process:
        process.inject("latency=1,path=get-orders")
        idle = process.send()
        slow = process.send("/v1/orders")
        piped = process.send("/v1/orders?page=2", "/v1/orders?page=3", "/livez")
        process.popen.send_signal(signal.SIGTERM)
        refused = process.send("/readyz", "/v1/orders/no-digit")  # it still lets callers in

        assert read_statuses(slow) == [(200, "close")]
        assert read_statuses(piped) == [(200, ""), (200, ""), (200, "close")]
        (ready, _, body), (last, *_) = read_responses(refused)
        assert (ready, json.loads(body)["code"], last) == (503, "overloaded", 422)
        assert read_statuses(idle) == []
        assert process.wait() == 0

    assert process.errors == ""
    assert process.events() == ["shutdown_started", "shutdown_complete"]


def test_whoever_waits_for_an_upstream_that_hangs_is_told_when_the_drain_is_over() -> None:
    """By Ctrl-C, for a change. The upstream's own deadline would be a 504."""
    with serving(ORDERS_SERVER__DRAIN_TIMEOUT="0.5") as process:
        process.inject("latency=20,path=get-orders")
        hanging = process.send("/v1/orders")
        process.stop(signal.SIGINT)
        ((status, ends, body),) = read_responses(hanging)

        assert (status, ends, json.loads(body)["code"]) == (503, "close", "overloaded")
        assert process.wait() == 0

    assert process.errors == ""
    assert process.log[-1]["aborted_requests"] == 1


def test_a_second_signal_ends_it_at_once() -> None:
    with serving(ORDERS_SERVER__DRAIN_TIMEOUT="20") as process:
        process.inject("latency=20,path=get-orders")
        hanging = process.send("/v1/orders")
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.stdout is not None
        assert json.loads(process.popen.stdout.readline())["event"] == "shutdown_started"
        process.popen.send_signal(signal.SIGTERM)

        assert process.wait() == -signal.SIGTERM
        hanging.close()

    assert process.errors == ""
