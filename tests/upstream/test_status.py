"""What is known of the other side without asking it."""

import pytest

from app.upstream.status import LastContact, UpstreamStatus
from tests.support.clock import ManualClock


class FailedError(Exception):
    """The other side failed."""


class OtherError(Exception):
    """Something else went wrong."""


async def call(outcome: str | Exception) -> str:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def test_the_last_answer_and_the_last_failure_are_remembered_by_their_age() -> None:
    clock = ManualClock()
    hearing = UpstreamStatus(clock, FailedError, lambda error: f"code of {error}")
    listened_to = hearing.observe(call)
    assert hearing.snapshot() == LastContact(None, None, None)

    assert await listened_to("answer") == "answer"
    await clock.advance(60)
    with pytest.raises(FailedError):
        await listened_to(FailedError("it"))
    await clock.advance(5)
    assert hearing.snapshot() == LastContact(65, 5, "code of it")

    await listened_to("answer")
    assert hearing.snapshot() == LastContact(0, 5, None)


async def test_an_error_of_ours_says_nothing_of_the_other_side() -> None:
    hearing = UpstreamStatus(ManualClock(), FailedError, str)
    with pytest.raises(OtherError):
        await hearing.observe(call)(OtherError())
    assert hearing.snapshot() == LastContact(None, None, None)
