"""Names, types, labels and buckets of the metrics are a contract, which a page documents."""

import re
from pathlib import Path

import pytest

from app.telemetry.counters import METHODS, Histogram
from app.telemetry.metrics import DEFINITIONS, Metrics
from app.upstream.calls import RESULTS

PAGE = Path(__file__).parent.parent.parent / "docs" / "ops" / "metrics.md"
ROW = re.compile(r"\| `(orders_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \|")


def test_the_page_has_every_metric_with_type_labels_and_meaning():
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning.strip())
        for name, kind, labels, meaning in ROW.findall(PAGE.read_text("utf-8"))
    }
    assert documented == {
        definition.name: (definition.kind, definition.labels, definition.help)
        for definition in DEFINITIONS
    }


def test_the_page_has_the_buckets_of_every_histogram():
    text = PAGE.read_text("utf-8")
    histograms = [definition for definition in DEFINITIONS if definition.kind == "histogram"]
    assert len(histograms) == 3
    for definition in histograms:
        bounds = ", ".join(f"{bound:g}" for bound in definition.buckets)
        assert f": {bounds} seconds." in text, definition.name


def test_the_page_has_every_value_of_bounded_labels():
    text = PAGE.read_text("utf-8")
    for value in (*METHODS, *RESULTS.values()):
        assert f"`{value}`" in text


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_names_follow_the_conventions_of_prometheus(definition):
    assert definition.name.startswith("orders_")
    assert definition.name.endswith("_total") == (definition.kind == "counter")
    assert bool(definition.buckets) == (definition.kind == "histogram")
    assert definition.help.endswith(".")


def test_a_collapsed_request_is_counted_as_such():
    metrics = Metrics()
    for cache in ("collapsed", "collapsed", "hit"):
        metrics.http.observe("/v1/orders", "GET", 200, cache, seconds=0.1, age=0)
    values = {family.definition.name: family.values for family in metrics.read().families()}
    assert values["orders_collapsed_total"] == [((), 2)]
    assert values["orders_http_requests_total"] == [
        (("/v1/orders", "GET", "200", "collapsed"), 2),
        (("/v1/orders", "GET", "200", "hit"), 1),
    ]


def test_durations_of_one_route_are_added_over_methods_and_statuses():
    metrics = Metrics()
    for status in (200, 304):
        metrics.http.observe("/v1/orders", "GET", status, "hit", seconds=0.1, age=0)
    values = {family.definition.name: family.values for family in metrics.read().families()}
    ((labels, histogram),) = values["orders_http_request_duration_seconds"]
    assert labels == ("/v1/orders", "hit")
    assert isinstance(histogram, Histogram)
    assert sum(histogram.counts) == 2


def test_a_value_that_does_not_exist_yet_is_absent():
    metrics = Metrics()
    metrics.add_source("orders_credential_expires_timestamp_seconds", lambda: None)
    metrics.add_source("orders_limiter_rate", lambda: 50.0)
    values = {family.definition.name: family.values for family in metrics.read().families()}
    assert "orders_credential_expires_timestamp_seconds" not in values
    assert values["orders_limiter_rate"] == [((), 50.0)]


def test_a_source_of_an_undefined_metric_is_an_error():
    with pytest.raises(KeyError):
        Metrics().add_source("orders_unknown", lambda: 1)
