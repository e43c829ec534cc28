"""The numbers behind `/metrics`: buckets, bounded labels, copies."""

from app.telemetry.counters import (
    AGE_SECONDS,
    CALL_SECONDS,
    REQUEST_SECONDS,
    CallMetrics,
    Histogram,
    HttpMetrics,
)


def test_a_value_on_a_bound_belongs_to_the_bucket_below():
    histogram = Histogram((1.0, 5.0))
    for value in (0.5, 1.0, 1.1, 5.0, 5.1, 100.0):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 2]
    assert histogram.total == 112.7


def test_bucket_bounds_increase():
    for bounds in (AGE_SECONDS, CALL_SECONDS, REQUEST_SECONDS):
        assert list(bounds) == sorted(set(bounds))


def test_requests_are_counted_by_route_method_status_and_cache_outcome():
    metrics = HttpMetrics()
    for seconds in (0.0004, 0.0004, 0.2):
        metrics.observe("/v1/orders", "GET", 200, "hit", seconds=seconds, age=3)
    metrics.observe("/v1/me", "GET", 401, "", seconds=0.001, age=None)

    series = dict(metrics.series())

    assert sum(series["/v1/orders", "GET", 200, "hit"].counts) == 3
    assert series["/v1/orders", "GET", 200, "hit"].counts[0] == 2
    assert list(series["/v1/me", "GET", 401, "none"].counts)[1] == 1
    assert sum(metrics.answer_age.counts) == 3


def test_methods_chosen_by_callers_add_one_series():
    metrics = HttpMetrics()
    for method in ("BREW", "get", "", "X" * 1000):
        metrics.observe("/v1/orders", method, 405, "", seconds=0.001, age=None)

    ((key, duration),) = metrics.series()

    assert key == ("/v1/orders", "other", 405, "none")
    assert sum(duration.counts) == 4


def test_a_series_that_was_read_does_not_change():
    metrics = HttpMetrics()
    metrics.observe("/v1/orders", "GET", 200, "hit", seconds=0.001, age=0)
    ((_, before),) = metrics.series()
    metrics.observe("/v1/orders", "GET", 200, "hit", seconds=0.001, age=0)
    assert sum(before.counts) == 1


def test_upstream_calls_are_counted_by_operation_and_result():
    calls = CallMetrics()
    calls.observe("list", "success", 0.02)
    calls.observe("list", "timeout", 5.0)
    calls.observe("list", "timeout", 5.0)
    assert calls.counts == {("list", "success"): 1, ("list", "timeout"): 2}
    assert sum(calls.durations["list"].counts) == 3
