"""An operator is told once of each kind of drift."""

import logging

import pytest

from app.upstream.drift import Drift


def test_each_kind_of_drift_is_told_once(caplog: pytest.LogCaptureFixture):
    drift = Drift()
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        for kind in ("few rows", "few rows", "an object", "few rows"):
            drift(kind)
    assert [getattr(line, "facts", None) for line in caplog.records] == [
        {"kind": "few rows"},
        {"kind": "an object"},
    ]
    assert {line.levelno for line in caplog.records} == {logging.WARNING}


def test_another_proxy_in_the_process_tells_its_own_drift(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        Drift()("an object")
        Drift()("an object")
    assert len(caplog.records) == 2
