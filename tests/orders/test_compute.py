"""Work on a list is done once a question, one at a time; who waits for it waits not for ever."""

import asyncio

import pytest

from app.orders.compute import MAX_QUEUED, MAX_RESULTS, ComputeQueue, ComputeQueueFull, ResultCache
from tests.support.clock import ManualClock, settle

LATER = 1e9


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.workings = ComputeQueue(self.clock)
        self.worked = ResultCache()
        self.gate = asyncio.Event()
        self.begun: list[str] = []

    def ask(self, question: str, until: float = LATER) -> asyncio.Future[str]:
        async def work() -> str:
            self.begun.append(question)
            await self.gate.wait()
            return f"answer to {question}"

        return asyncio.ensure_future(
            self.workings.get_or_compute(self.worked, question, work, until=until)
        )


async def test_the_same_question_is_worked_on_once_also_when_all_ask_at_once():
    bench = Bench()
    asking = [bench.ask("a") for _ in range(10)]
    await settle()
    bench.gate.set()
    assert set(await asyncio.gather(*asking)) == {"answer to a"}
    assert await bench.ask("a") == "answer to a"
    assert bench.begun == ["a"]


async def test_questions_are_worked_on_one_at_a_time():
    bench = Bench()
    asking = [bench.ask(question) for question in "abc"]
    await settle()
    assert bench.begun == ["a"]
    bench.gate.set()
    await asyncio.gather(*asking)
    assert bench.begun == ["a", "b", "c"]


async def test_who_waited_for_long_enough_is_told_so_and_the_work_goes_on():
    bench = Bench()
    asking = bench.ask("a", until=bench.clock.monotonic() + 8)
    await bench.clock.advance(8)
    with pytest.raises(ComputeQueueFull):
        await asking
    bench.gate.set()
    await settle()
    assert await bench.ask("a", until=0) == "answer to a"


async def test_more_questions_than_can_be_worked_on_are_refused():
    bench = Bench()
    asking = [bench.ask(str(at)) for at in range(MAX_QUEUED)]
    await settle()
    with pytest.raises(ComputeQueueFull):
        await bench.ask("one more")
    bench.gate.set()
    await asyncio.gather(*asking)


async def test_a_list_remembers_the_answers_to_the_last_questions_alone():
    bench = Bench()
    bench.gate.set()
    for at in range(MAX_RESULTS + 1):
        await bench.ask(str(at))
    assert bench.worked.get("0") is None
    assert bench.worked.get("1") == "answer to 1"


async def test_closing_ends_what_is_under_way():
    bench = Bench()
    asking = bench.ask("a")
    await settle()
    closing = asyncio.ensure_future(bench.workings.close(1))
    await bench.clock.advance(1)
    await closing
    with pytest.raises(asyncio.CancelledError):
        await asking
