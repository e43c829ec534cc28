"""Spans of requests and upstream calls, as a collector receives them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

from app.edge.access_log import RequestRecorder
from app.edge.context import RequestContext
from app.telemetry.counters import HttpMetrics
from app.telemetry.tracing import OpenTelemetryTracing, _ReportingExporter, open_exporter
from tests.edge.asgi_harness import logging_to
from tests.support.clock import NOON, ManualClock
from tests.support.otlp import Collector, attributes_of, collecting
from tests.support.proxy import LIST, Proxy

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
SECRET = "CHOSEN-BY-A-CALLER-77"


@asynccontextmanager
async def traced_proxy(endpoint: str, **groups: Any) -> AsyncIterator[Proxy]:
    """Run a proxy that sends its spans when it is closed."""
    proxy = Proxy(None, None, sandbox=True, tracing={"endpoint": endpoint}, **groups)
    async with proxy.app.api.router.lifespan_context(proxy.app.api):
        yield proxy


async def trace(*paths: str, **headers: str) -> tuple[Collector, Proxy]:
    """Request `paths`; return the collector with all spans."""
    with collecting() as collector:
        async with traced_proxy(collector.url) as proxy:
            for path in paths:
                await proxy.get(path, **headers)
    return collector, proxy


async def test_a_request_and_its_calls_are_one_trace():
    collector, proxy = await trace("/v1/orders")

    spans = collector.by_name()
    assert set(spans) == {"GET /v1/orders", "get-management-token", "get-orders"}
    request, call = spans["GET /v1/orders"], spans["get-orders"]
    assert request.kind == Span.SPAN_KIND_SERVER
    assert call.kind == Span.SPAN_KIND_CLIENT
    assert {span.trace_id for span in collector.spans} == {request.trace_id}
    assert call.parent_span_id == request.span_id
    assert not request.parent_span_id
    assert attributes_of(request) == {
        "http.request.method": "GET",
        "http.route": "/v1/orders",
        "http.response.status_code": 200,
        "orders.request_id": attributes_of(request)["orders.request_id"],
        "orders.cache": "miss",
    }
    assert attributes_of(call)["orders.result"] == "success"
    assert attributes_of(call)["orders.upstream_request_id"]
    assert attributes_of(call)["orders.upstream_status_code"] == 200
    assert request.start_time_unix_nano == NOON.timestamp() * 1e9
    assert collector.resource["service.name"] == "orders"
    assert collector.paths == ["/v1/traces"]
    assert proxy.calls() == 1


async def test_the_trace_context_of_the_caller_is_the_parent():
    collector, _ = await trace("/v1/orders", Traceparent=PARENT, Tracestate="vendor=value")
    request = collector.by_name()["GET /v1/orders"]
    assert request.trace_id.hex() == PARENT.split("-")[1]
    assert request.parent_span_id.hex() == PARENT.split("-")[2]


async def test_nothing_is_recorded_if_the_caller_has_decided_so():
    collector, _ = await trace("/v1/orders", Traceparent=UNSAMPLED)
    assert collector.spans == []


@pytest.mark.parametrize("traceparent", ["garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_an_invalid_trace_context_is_ignored(traceparent: str):
    collector, _ = await trace("/v1/orders", Traceparent=traceparent)
    assert not collector.by_name()["GET /v1/orders"].parent_span_id


async def test_names_have_the_route_and_attributes_no_value_of_a_caller():
    collector, _ = await trace(
        f"/v1/orders/{SECRET}?x={SECRET}",
        f"/v1/orders?q={SECRET}",
        f"/{SECRET}",
        Traceparent=PARENT,
        Tracestate=f"vendor={SECRET}",
        User_Agent=SECRET,
    )
    names = {span.name for span in collector.spans}
    assert {"GET /v1/orders/{order_no}", "GET /v1/orders", "GET unmatched"} <= names
    without_state = collector.raw.replace(f"vendor={SECRET}".encode(), b"")
    assert SECRET.encode() not in without_state


async def test_a_problem_and_a_failed_call_are_errors():
    with collecting() as collector:
        async with traced_proxy(collector.url) as proxy:
            proxy.sandbox.inject("status=402,path=get-orders")
            await proxy.get("/v1/orders")
            await proxy.get("/v1/orders?limit=0")
    errors = {
        span.name: attributes_of(span)
        for span in collector.spans
        if span.status.code == Status.STATUS_CODE_ERROR
    }
    assert errors["GET /v1/orders"]["error.type"] == "upstream_plan_required"
    assert errors["get-orders"]["orders.result"] == "plan_required"
    (refused,) = [
        span
        for span in collector.spans
        if attributes_of(span).get("error.type") == "invalid_request"
    ]
    assert refused.status.code == Status.STATUS_CODE_UNSET


async def test_a_call_without_an_answer_has_no_id_and_no_status():
    with collecting() as collector:
        async with traced_proxy(collector.url) as proxy:
            proxy.transport.connected = False
            assert (await proxy.get("/v1/orders")).status_code == 502
    call = collector.by_name()["get-management-token"]
    assert attributes_of(call) == {"peer.service": "genauth", "orders.result": "unreachable"}
    assert call.status.code == Status.STATUS_CODE_ERROR


async def test_probes_and_scrapes_are_not_recorded():
    collector, _ = await trace("/livez", "/metrics", "/livez")
    assert collector.spans == []


async def test_a_call_carries_its_own_trace_context_and_nothing_of_the_caller():
    sent: list[httpx.Request] = []

    with collecting() as collector:
        async with traced_proxy(collector.url) as proxy:
            send = proxy.transport.handle_async_request

            async def record(request: httpx.Request) -> httpx.Response:
                sent.append(request)
                return await send(request)

            proxy.transport.handle_async_request = record  # type: ignore[method-assign]
            await proxy.get("/v1/orders", Traceparent=PARENT, Tracestate="vendor=value")
    call = collector.by_name()["get-orders"]
    (request,) = [request for request in sent if request.url.path == LIST]
    assert request.headers["traceparent"] == f"00-{call.trace_id.hex()}-{call.span_id.hex()}-01"
    assert "tracestate" not in request.headers
    assert PARENT.split("-")[2] not in str(request.headers)


async def test_without_an_endpoint_calls_carry_no_trace_context():
    proxy = Proxy()
    sent: list[httpx.Request] = []
    send = proxy.transport.handle_async_request

    async def record(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return await send(request)

    proxy.transport.handle_async_request = record  # type: ignore[method-assign]
    await proxy.get("/v1/orders", Traceparent=PARENT)
    assert [request for request in sent if "traceparent" in request.headers] == []


async def test_a_request_that_is_only_recorded_when_it_has_ended_has_a_span():
    clock = ManualClock()
    with collecting() as collector:
        exporter = open_exporter(f"{collector.url}/v1/traces")
        tracing = OpenTelemetryTracing(exporter, clock, name="orders", version="1")
        headers = {b"traceparent": PARENT.encode()}
        context = RequestContext("request-0001", "GET", headers, clock.monotonic())
        context.route, context.status = "/v1/orders", 200
        await clock.advance(0.25)
        RequestRecorder(clock, HttpMetrics(), tracing).record(context, "")
        await tracing.close(5)
    (span,) = collector.spans
    assert span.name == "GET /v1/orders"
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000
    assert span.parent_span_id.hex() == PARENT.split("-")[2]


class ScriptedExporter(SpanExporter):
    """Returns `result`, once `released` is set."""

    def __init__(self, result: SpanExportResult = SpanExportResult.FAILURE) -> None:
        self.result = result
        self.released = Event()

    def export(self, _: object) -> SpanExportResult:
        self.released.wait()
        return self.result


async def test_a_collector_that_does_not_answer_delays_the_shutdown_by_two_seconds_at_most():
    clock, exporter = ManualClock(), ScriptedExporter()
    tracing = OpenTelemetryTracing(exporter, clock, name="orders", version="1")
    tracing.start_request("GET", {}).end(route="/", attributes={}, failed=False)
    closing = asyncio.ensure_future(tracing.close(60))
    await clock.advance(1.9)
    assert not closing.done()
    await clock.advance(0.1)
    await closing
    exporter.released.set()


async def test_a_failing_collector_and_its_recovery_are_each_logged_once():
    exporter = ScriptedExporter()
    exporter.released.set()
    reporting = _ReportingExporter(exporter)
    with logging_to() as log:
        reporting.export([])
        reporting.export([])
        exporter.result = SpanExportResult.SUCCESS
        reporting.export([])
        reporting.export([])
    assert [line["event"] for line in log.lines()] == [
        "trace_export_failed",
        "trace_export_recovered",
    ]


def test_there_is_no_global_provider():
    assert isinstance(get_tracer_provider(), ProxyTracerProvider)


def test_optional_libraries_are_imported_only_when_they_are_configured():
    code = """
import sys
from app.main import create_app
from app.settings import load
create_app(load({"ORDERS_CALLERS__ANONYMOUS": "true"},
    upstream={"access_key_id": "a", "access_key_secret": "b"}))
print([name for name in ("prometheus_client", "opentelemetry.sdk", "requests", "google.protobuf",
    "joserfc", "cryptography", "rich") if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
