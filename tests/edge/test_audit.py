"""Sensitive requests and refusals are logged as events of their own, without any value."""

from typing import Any

import pytest

from app.edge.audit import (
    MAX_REFUSALS_PER_SECOND,
    ORDERS_EXPORTED,
    PAYMENT_READ,
    REFUSALS,
    Audit,
)
from app.edge.context import Caller, RequestContext
from tests.edge.asgi_harness import LogOutput, logging_to
from tests.support.clock import ManualClock
from tests.support.proxy import Proxy

SECRET = "Z9-of-the-caller"


def context(status: int, event: str = "") -> RequestContext:
    who = Caller("dashboard", "key", frozenset(), ("key", "dashboard"))
    made = RequestContext("request-1", "GET", {}, 0.0, "192.0.2.7", "/v1/route", who)
    made.status, made.audit_event = status, event
    return made


def events(log: LogOutput) -> list[dict[str, Any]]:
    return [line for line in log.lines() if line["event"] != "request"]


def test_an_event_has_the_caller_its_address_the_route_and_the_request_id() -> None:
    with logging_to() as log:
        Audit(ManualClock()).record(context(200, PAYMENT_READ), "192.0.2.7")
    (event,) = events(log)
    del event["time"]
    assert event == {
        "level": "info",
        "event": "payment_read",
        "request_id": "request-1",
        "caller": "dashboard",
        "client": "192.0.2.7",
        "route": "/v1/route",
        "status": 200,
        "kind": "key",
    }


def test_people_with_the_same_name_are_distinguished_by_their_subject() -> None:
    made = context(200, PAYMENT_READ)
    made.caller = Caller(
        "dashboard", "session", frozenset(), ("subject", "https://login.example.com", "id-7")
    )
    with logging_to() as log:
        Audit(ManualClock()).record(made, "192.0.2.7")
    (event,) = events(log)
    assert (event["caller"], event["kind"], event["subject"]) == ("dashboard", "session", "id-7")


@pytest.mark.parametrize(("status", "name"), REFUSALS.items())
def test_a_refusal_is_an_event_in_place_of_what_was_intended(status: int, name: str) -> None:
    with logging_to() as log:
        Audit(ManualClock()).record(context(status, PAYMENT_READ), "")
    assert [event["event"] for event in events(log)] == [name]


def test_what_has_failed_or_has_not_changed_is_no_event() -> None:
    with logging_to() as log:
        for status in (304, 404, 503):
            Audit(ManualClock()).record(context(status, ORDERS_EXPORTED), "")
    assert events(log) == []


async def test_repeated_refusals_are_logged_a_few_times_a_second_and_counted() -> None:
    clock = ManualClock()
    audit = Audit(clock)
    with logging_to() as log:
        for _ in range(100):
            audit.record(context(401), "")
        audit.record(context(403), "")
        await clock.advance(1)
        audit.record(context(401), "")
        audit.record(context(401), "")
    names = [event["event"] for event in events(log)]
    assert names.count("authentication_refused") == MAX_REFUSALS_PER_SECOND + 2
    assert names.count("access_refused") == 1
    assert [event.get("omitted") for event in events(log)][-2:] == [
        100 - MAX_REFUSALS_PER_SECOND,
        None,
    ]


async def test_payments_exports_and_refusals_are_audited_without_any_value() -> None:
    proxy = Proxy(environ={"ORDERS_CALLERS__ANONYMOUS": "true"})
    numbers = [row["orderNo"] for row in proxy.sandbox.orders.rows(0, 50)]
    export = f"/v1/orders/export?format=csv&q={SECRET}"
    with logging_to(clock=proxy.clock) as log:
        etag = (await proxy.get(export)).headers["etag"]
        await proxy.get(export, if_none_match=etag)
        await proxy.get(export, "HEAD")
        await proxy.get(f"/v1/orders/{numbers[0]}/payment")
        await proxy.get("/v1/orders", x_api_key=SECRET)
        await proxy.get("/v1/orders")
    audited = [(event["event"], event["route"]) for event in events(log)]
    assert audited == [
        ("orders_exported", "/v1/orders/export"),
        ("access_refused", "/v1/orders/{order_no}/payment"),
        ("authentication_refused", "/v1/orders"),
    ]
    assert {event["client"] for event in events(log)} == {"127.0.0.1"}
    assert SECRET not in log.text()
    assert numbers[0] not in log.text()


async def test_a_payment_that_is_read_is_audited() -> None:
    proxy = Proxy(sandbox=True)
    orders = proxy.sandbox.orders
    numbers = [row["orderNo"] for row in orders.rows(0, 50)]
    order_no = next(number for number in numbers if orders.find_payment(number))
    with logging_to(clock=proxy.clock) as log:
        assert (await proxy.get(f"/v1/orders/{order_no}/payment")).status_code == 200
        assert (await proxy.get("/v1/orders/0/payment")).status_code == 404
    assert [event["event"] for event in events(log)] == ["payment_read"]
