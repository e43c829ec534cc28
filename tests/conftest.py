"""Fixtures of all tests, and how their coverage is measured."""

import os
import sys
from collections.abc import Generator

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

# Time says more about the machine than about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio only, as the server does."""
    return "asyncio"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test marked `without_coverage`, its fixtures and its subprocesses at full speed.

    Before Python 3.14, coverage is measured by a trace function, which makes Python code two to
    five times slower. From 3.14 on there is none, and only subprocesses are not measured.
    """
    if Coverage.current() is None or item.get_closest_marker("without_coverage") is None:
        return (yield)
    names = [name for name in os.environ if name.startswith("COVERAGE_PROCESS_")]
    for_subprocesses = {name: os.environ.pop(name) for name in names}
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        os.environ.update(for_subprocesses)
