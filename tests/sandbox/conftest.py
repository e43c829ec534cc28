"""A manual clock, and a client that is logged in to a sandbox on that clock."""

import pytest

from app.sandbox.options import Options
from tests.sandbox.client import SandboxClient
from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(clock: ManualClock) -> SandboxClient:
    return await SandboxClient.logged_in(Options(), clock)
