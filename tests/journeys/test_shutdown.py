"""Graceful shutdown of a process by real signals."""

import json
import signal
import socket

import pytest

from tests.support.process import SERVE, read_responses, read_statuses, serving


def test_sigterm_completes_accepted_requests_and_exits_with_0() -> None:
    """Every upstream call takes a second, so all requests are in progress at the signal."""
    with serving(ORDERS_SERVER__DRAIN_DELAY="0.5", ORDERS_SERVER__DRAIN_TIMEOUT="10") as process:
        process.inject("latency=1,path=get-orders")
        idle = process.send()
        slow = process.send("/v1/orders")
        pipelined = process.send("/v1/orders?page=2", "/v1/orders?page=3", "/livez")
        process.popen.send_signal(signal.SIGTERM)
        rejected = process.send("/readyz", "/v1/orders/no-digit")  # within the drain delay

        assert read_statuses(slow) == [(200, "close")]
        assert read_statuses(pipelined) == [(200, ""), (200, ""), (200, "close")]
        (ready, _, body), (last, *_) = read_responses(rejected)
        assert (ready, json.loads(body)["code"], last) == (503, "shutting_down", 422)
        assert read_statuses(idle) == []
        assert process.wait() == 0

    assert process.errors == ""
    assert process.events() == ["server_starting", "shutdown_started", "shutdown_complete"]


def test_a_request_that_waits_for_a_hanging_upstream_gets_503_after_the_drain_timeout() -> None:
    """By Ctrl-C. The deadline of the upstream call would be a 504."""
    with serving(ORDERS_SERVER__DRAIN_TIMEOUT="0.5") as process:
        process.inject("latency=20,path=get-orders")
        hanging = process.send("/v1/orders")
        process.stop(signal.SIGINT)
        ((status, connection, body),) = read_responses(hanging)

        assert (status, connection, json.loads(body)["code"]) == (503, "close", "shutting_down")
        assert process.wait() == 0

    assert process.errors == ""
    assert process.log[-1]["aborted_requests"] == 1


def test_a_second_signal_terminates_the_process_immediately() -> None:
    with serving(ORDERS_SERVER__DRAIN_TIMEOUT="20") as process:
        process.inject("latency=20,path=get-orders")
        with process.send("/v1/orders"):
            process.popen.send_signal(signal.SIGTERM)
            assert process.popen.stdout is not None
            assert "shutdown_started" in (
                json.loads(line)["event"] for line in process.popen.stdout
            )
            process.popen.send_signal(signal.SIGTERM)

            assert process.wait() == -signal.SIGTERM

    assert process.errors == ""


def test_a_server_whose_standard_output_is_closed_serves_and_stops() -> None:
    """Otherwise the first socket would take its number, and the event loop aborts the process."""
    with serving(("sh", "-c", 'exec "$@" >&-', "sh", *SERVE)) as process:
        with process.send("/v1/orders") as connection:
            connection.shutdown(socket.SHUT_WR)
            assert read_statuses(connection) == [(200, "close")]
        process.stop()
        assert process.wait() == 0
    assert process.errors == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_right_after_the_start_stops_the_server_gracefully(number: signal.Signals) -> None:
    with serving() as process:
        process.stop(number)
        assert process.wait() == 0
    assert process.events() == ["server_starting", "shutdown_started", "shutdown_complete"]
