"""A sandbox on a clock that stands still, and one who may ask it."""

import pytest

from app.sandbox import Options
from tests.sandbox.asker import Asker
from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def asker(clock: ManualClock) -> Asker:
    return await Asker.admitted(Options(), clock)
