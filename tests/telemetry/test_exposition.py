"""The text of the metrics, as the parser of the library reads it."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.exposition import render
from app.telemetry.metrics import Metrics


def observed() -> Metrics:
    metrics = Metrics()
    for seconds in (0.0004, 0.3, 99.0):
        metrics.http.observe("/v1/orders", "GET", 200, "hit", seconds=seconds, age=2)
    metrics.calls.observe("get-orders", "success", 0.05)
    metrics.add_source("orders_circuit_open", lambda: {("list",): True, ("detail",): False})
    return metrics


def test_the_text_format_has_all_values():
    content_type, text = render(observed().read().families(), openmetrics=False)
    assert content_type.startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert families["orders_http_requests"].type == "counter"
    (requests,) = families["orders_http_requests"].samples
    assert requests.name == "orders_http_requests_total"
    assert requests.value == 3
    assert requests.labels == {
        "route": "/v1/orders",
        "method": "GET",
        "status": "200",
        "cache": "hit",
    }
    circuits = families["orders_circuit_open"].samples
    assert {sample.labels["circuit"]: sample.value for sample in circuits} == {
        "list": 1,
        "detail": 0,
    }


def test_a_histogram_is_cumulative_and_ends_with_infinity():
    _, text = render(observed().read().families(), openmetrics=False)
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    samples = families["orders_http_request_duration_seconds"].samples
    buckets = {
        sample.labels["le"]: sample.value for sample in samples if sample.name.endswith("_bucket")
    }
    assert buckets["0.0005"] == 1
    assert buckets["0.5"] == buckets["30.0"] == 2
    assert buckets["+Inf"] == 3
    by_name = {sample.name.rpartition("_")[2]: sample.value for sample in samples}
    assert by_name["count"] == 3
    assert by_name["sum"] == 99.3004


def test_openmetrics_is_valid():
    content_type, text = render(observed().read().families(), openmetrics=True)
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(text.decode())}
    assert {"orders_http_requests", "orders_answer_age_seconds"} <= names


def test_it_has_the_metrics_of_the_process():
    _, text = render([], openmetrics=False)
    assert b"process_start_time_seconds " in text
