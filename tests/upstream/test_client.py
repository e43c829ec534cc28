"""Each request is sent as the vendor documents it, and each failure has its error class."""

import asyncio
import gzip
import traceback
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from app.http import current_call
from app.upstream.client import ORDER_PATH, ORDERS_PATH, PAYMENT_PATH
from app.upstream.credentials import TOKEN_PATH
from app.upstream.errors import (
    DeadlineExceeded,
    OrderNotFound,
    PaymentNotFound,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from tests.support.clock import ManualClock, settle
from tests.support.upstream import (
    KEY_SECRET,
    ScriptedUpstream,
    client_of,
    success,
    wire_order,
    wire_payment,
)

KNOWN = "202209250000007"


class Bench:
    """A client, its upstream and its clock."""

    def __init__(self, **config: object) -> None:
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client = client_of(self.upstream, self.clock, **config)

    @property
    def deadline(self) -> float:
        return self.clock.monotonic() + 8

    async def failure(self) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await self.client.list_orders(1, deadline=self.deadline)
        return raised.value


async def test_a_list_call_requests_fifty_rows_of_a_page():
    bench = Bench()
    response = await bench.client.list_orders(3, deadline=bench.deadline)
    assert response.total == 137
    assert msgspec.to_builtins(response.rows) == tuple(bench.upstream.orders[100:])
    assert response.request_id
    assert bench.upstream.requests_to(ORDERS_PATH)[0].params == {"page": "3", "limit": "50"}


async def test_an_order_and_its_payment_are_requested_by_number():
    bench = Bench()
    order = await bench.client.get_order(KNOWN, deadline=bench.deadline)
    payment = await bench.client.get_payment(KNOWN, deadline=bench.deadline)
    assert order.data == wire_order(7)
    assert payment.data == wire_payment(KNOWN)
    for path in (ORDER_PATH, PAYMENT_PATH):
        assert bench.upstream.requests_to(path)[0].params == {"orderNo": KNOWN}


async def test_an_unknown_order_is_not_found_in_each_of_its_three_forms():
    bench = Bench()
    for fault in (None, (404, None), (422, 4004)):
        for method, error_class in (
            (bench.client.get_order, OrderNotFound),
            (bench.client.get_payment, PaymentNotFound),
        ):
            if fault:
                bench.upstream.fail_next(*fault)
            with pytest.raises(error_class):
                await method("404", deadline=bench.deadline)


async def test_a_list_that_is_not_found_is_a_rejected_request():
    bench = Bench()
    bench.upstream.fail_next(404)
    assert type(await bench.failure()) is UpstreamRejected


async def test_no_other_headers_are_sent():
    bench = Bench()
    await bench.client.list_orders(1, deadline=bench.deadline)
    for request in bench.upstream.requests:
        assert request.headers["user-agent"] == "orders-bff"
        assert request.headers["accept-encoding"] == "gzip"
    assert set(bench.upstream.requests_to(ORDERS_PATH)[0].headers) == {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
        "authorization",
        "x-authing-userpool-id",
        "x-genauth-userpool-id",
    }


async def test_a_cookie_of_the_upstream_is_not_sent_back():
    bench = Bench()
    bench.upstream.respond_with(
        lambda request: (
            httpx.Response(
                200,
                json={"statusCode": 200, "data": {"totalCount": 0}},
                headers={"set-cookie": "session=1; Path=/"},
            )
            if request.url.path == ORDERS_PATH
            else None
        )
    )
    for _ in range(2):
        await bench.client.list_orders(1, deadline=bench.deadline)
    assert "cookie" not in bench.upstream.requests[-1].headers


@pytest.mark.parametrize("location", ["https://elsewhere.example/", "http://[", "", "x" * 70_000])
async def test_a_redirect_is_not_followed_wherever_it_points(location: str):
    bench = Bench()
    await bench.client.list_orders(1, deadline=bench.deadline)
    bench.upstream.respond_with(lambda _: httpx.Response(302, headers={"location": location}))
    assert type(await bench.failure()) is UpstreamMalformed
    assert len(bench.upstream.requests_to(ORDERS_PATH)) == 2
    assert len(bench.upstream.requests) == 3


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (httpx.ConnectTimeout("x"), UpstreamTimeout),
        (httpx.ReadTimeout("x"), UpstreamTimeout),
        (httpx.WriteTimeout("x"), UpstreamTimeout),
        (httpx.PoolTimeout("x"), DeadlineExceeded),
        (httpx.ConnectError("x"), UpstreamUnreachable),
        (httpx.ReadError("x"), UpstreamUnreachable),
        (httpx.RemoteProtocolError("x"), UpstreamUnreachable),
        (httpx.LocalProtocolError("x"), UpstreamUnreachable),
        (httpx.ProxyError("x"), UpstreamUnreachable),
        (httpx.DecodingError("x"), UpstreamUnreachable),
        (httpx.StreamClosed(), UpstreamUnreachable),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_each_network_failure_has_its_error_class(
    error: Exception, error_class: type[UpstreamError]
):
    bench = Bench()
    bench.upstream.fail_next(error=error)
    raised = await bench.failure()
    assert type(raised) is error_class
    # The library's error may quote the request, so no traceback may show it.
    assert raised.__cause__ is None
    assert raised.__suppress_context__


async def test_a_response_that_breaks_off_is_unreachable():
    async def breaking() -> AsyncIterator[bytes]:
        yield b'{"statusCode": 200,'
        raise httpx.ReadError("reset")

    bench = Bench()
    await bench.client.list_orders(1, deadline=bench.deadline)
    bench.upstream.respond_with(lambda _: httpx.Response(200, content=breaking()))
    assert type(await bench.failure()) is UpstreamUnreachable


async def test_a_gzip_response_is_decoded():
    bench = Bench()
    await bench.client.list_orders(1, deadline=bench.deadline)
    compressed = gzip.compress(success({"totalCount": 0, "list": []}).content)
    bench.upstream.respond_with(
        lambda _: httpx.Response(
            200, stream=httpx.ByteStream(compressed), headers={"content-encoding": "GZIP "}
        )
    )
    assert (await bench.client.list_orders(1, deadline=bench.deadline)).total == 0


async def test_each_timeout_of_a_call_is_at_most_the_time_left():
    seen: list[dict[str, float]] = []
    bench = Bench(connect_timeout=2, read_timeout=5)
    bench.upstream.respond_with(lambda request: seen.append(request.extensions["timeout"]))
    await bench.client.list_orders(1, deadline=bench.clock.monotonic() + 8)
    await bench.client.list_orders(1, deadline=bench.clock.monotonic() + 3)
    await bench.client.list_orders(1, deadline=bench.clock.monotonic() + 1)
    assert seen[1:] == [
        {"connect": 2, "read": 5, "write": 5, "pool": 8},
        {"connect": 2, "read": 3, "write": 3, "pool": 3},
        {"connect": 1, "read": 1, "write": 1, "pool": 1},
    ]


async def test_a_timeout_says_nothing_about_the_upstream_if_our_deadline_left_too_little_time():
    bench = Bench(read_timeout=5)
    await bench.client.list_orders(1, deadline=bench.deadline)
    for seconds, error_class in ((2, DeadlineExceeded), (3, UpstreamTimeout), (8, UpstreamTimeout)):
        bench.upstream.fail_next(error=httpx.ReadTimeout("x"))
        with pytest.raises(UpstreamTimeout) as raised:
            await bench.client.list_orders(1, deadline=bench.clock.monotonic() + seconds)
        assert type(raised.value) is error_class


async def test_a_silent_upstream_times_out_however_short_our_deadline_is():
    bench = Bench(read_timeout=5, deadline=2)
    await bench.client.list_orders(1, deadline=bench.deadline)
    bench.upstream.fail_next(error=httpx.ReadTimeout("x"), times=9)
    classes = []
    for _ in range(6):
        with pytest.raises(UpstreamError) as raised:
            await bench.client.list_orders(1, deadline=bench.clock.monotonic() + 2)
        classes.append(type(raised.value))
    assert classes == [UpstreamTimeout] * 5 + [UpstreamUnavailable]


async def test_no_call_is_made_when_no_time_is_left():
    bench = Bench()
    await bench.client.list_orders(1, deadline=bench.deadline)
    with pytest.raises(UpstreamTimeout):
        await bench.client.list_orders(1, deadline=bench.clock.monotonic())
    assert len(bench.upstream.requests_to(ORDERS_PATH)) == 1


async def test_no_call_is_made_when_the_queue_took_all_the_time():
    bench = Bench(max_rate=1)
    first = asyncio.create_task(bench.client.list_orders(1, deadline=bench.deadline))
    await bench.clock.advance(1)
    await first
    late = asyncio.create_task(bench.client.list_orders(1, deadline=bench.clock.monotonic() + 1.5))
    await bench.clock.advance(0.5)
    # On a busy machine the timer fires late, so the turn comes after the deadline.
    bench.clock._elapsed = 2.6
    await bench.clock.advance(0)
    with pytest.raises(UpstreamTimeout):
        await late
    assert len(bench.upstream.requests_to(ORDERS_PATH)) == 1


class EmptyStream:
    """A network stream whose end has been received."""

    async def read(self, _max_bytes: int, _timeout: float) -> bytes:
        await asyncio.sleep(0)
        return b""


async def test_a_call_counts_towards_the_rate_from_when_it_was_sent():
    bench = Bench()
    sent: list[float] = []

    async def connecting(request: httpx.Request) -> httpx.Response:
        if not sent:
            await bench.clock.sleep(0.6)
        call = current_call()
        call.before_write(is_reused=bool(sent))
        await call.read(EmptyStream(), None)
        sent.append(bench.clock.monotonic() - 1000)
        response: httpx.Response = await bench.upstream.transport.handler(request)  # type: ignore[misc]
        return response

    config = {"scheme": "signature", "transport": httpx.MockTransport(connecting), "max_rate": 1}
    client = client_of(bench.upstream, bench.clock, **config)
    calls = [asyncio.create_task(client.list_orders(1, deadline=bench.deadline)) for _ in range(2)]
    await bench.clock.advance(1.5)
    assert sent == pytest.approx([0.6])
    await bench.clock.advance(0.5)
    await asyncio.gather(*calls)
    assert sent == pytest.approx([0.6, 1.6])


async def test_no_more_calls_are_in_flight_than_allowed():
    bench = Bench(max_concurrency=2)
    await bench.client.list_orders(1, deadline=bench.deadline)
    gate = bench.upstream.hold()
    deadline = bench.deadline
    calls = [asyncio.create_task(bench.client.list_orders(1, deadline=deadline)) for _ in range(5)]
    await settle()
    assert gate.waiting == 2
    gate.release()
    await asyncio.gather(*calls)
    assert len(bench.upstream.requests_to(ORDERS_PATH)) == 6


async def test_a_sandbox_is_recognized_by_its_first_response():
    bench = Bench()
    await bench.client.list_orders(1, deadline=bench.deadline)
    assert not bench.client.sandbox_seen
    response = success({"totalCount": 0})
    response.headers["x-sandbox"] = "true"
    scripted = iter([response])
    bench.upstream.respond_with(lambda _: next(scripted, None))
    assert (await bench.client.list_orders(1, deadline=bench.deadline)).sandbox
    assert not (await bench.client.list_orders(1, deadline=bench.deadline)).sandbox
    assert bench.client.sandbox_seen


@pytest.mark.parametrize("scheme", ["token", "signature"])
async def test_no_traceback_and_no_log_line_contains_a_secret(
    scheme: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(0)
    secrets = {KEY_SECRET, "duplicate key value", "canary"}
    bench = Bench(scheme=scheme, proxy="http://user:canary@proxy.example")
    await bench.client.get_order(KNOWN, deadline=bench.deadline)
    secrets.add(KNOWN)
    output = ""

    def leaking(request: httpx.Request) -> None:
        if header := request.headers.get("authorization"):
            secrets.add(header.split(" ")[1])
        if bench.upstream.requests_to(ORDERS_PATH):
            raise httpx.ConnectError(f"cannot send {request.headers} canary", request=request)

    for arm in (
        lambda: bench.upstream.fail_next(500),
        lambda: bench.upstream.fail_next(401, 2020, times=2 if scheme == "token" else 1),
        lambda: bench.upstream.respond_with(leaking),
    ):
        arm()
        output += "".join(traceback.format_exception(await bench.failure()))
    wrong = Bench(access_key_secret=SecretStr("canary"))
    output += "".join(traceback.format_exception(await wrong.failure()))
    assert wrong.upstream.requests_to(TOKEN_PATH)
    output += caplog.text
    assert "UpstreamUnreachable" in output
    assert not [secret for secret in secrets if secret in output]


async def test_a_call_with_a_valid_token_creates_no_task():
    bench = Bench()
    await bench.client.list_orders(1, deadline=bench.deadline)
    before = asyncio.all_tasks()
    gate = bench.upstream.hold()
    call = asyncio.create_task(bench.client.list_orders(1, deadline=bench.deadline))
    await settle()
    assert gate.waiting == 1
    assert asyncio.all_tasks() - before == {call}
    gate.release()
    await call
    assert bench.clock.pending_timers == 0
