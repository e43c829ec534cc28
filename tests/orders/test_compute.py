"""Computations: cooperative loops, each result computed once, one computation at a time."""

import asyncio
from array import array

import pytest

from app.orders.compute import (
    CHUNK_SIZE,
    MAX_QUEUED,
    MAX_RESULT_BYTES,
    MAX_RESULTS,
    ComputeQueue,
    ComputeQueueFull,
    ResultCache,
    Turns,
    cooperative_chunks,
    free_gradually,
)
from app.orders.summary import SummaryResult
from tests.support.callers import start_for
from tests.support.clock import ManualClock, settle

LATER = 1e9


async def test_other_tasks_run_between_two_chunks():
    turns: list[object] = []

    async def other_task() -> None:
        while True:
            turns.append("other")
            await asyncio.sleep(0)

    other = asyncio.ensure_future(other_task())
    async for chunk in cooperative_chunks(range(5), 2):
        turns.append(chunk)  # noqa: PERF401  each at its time, not all at the end
    other.cancel()
    assert turns[:5] == [(0, 1), "other", (2, 3), "other", (4,)]


async def test_a_chunk_ends_with_the_item_that_reaches_its_cost():
    costs = [1, 1, 1, 5, 2, 1, 9]
    chunks = [chunk async for chunk in cooperative_chunks(costs, 3, cost=lambda cost: cost)]
    assert chunks == [[1, 1, 1], [5], [2, 1], [9]]


class QueueHarness:
    """A queue whose computations run until the gate is opened."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.queue = ComputeQueue(self.clock)
        self.results = ResultCache()
        self.gate = asyncio.Event()
        self.started: list[str] = []

    def request(
        self, key: str, deadline: float = LATER, kind: str = "kind", caller: str = ""
    ) -> asyncio.Future[str]:
        async def compute() -> str:
            self.started.append(key)
            await self.gate.wait()
            return f"result of {key}"

        return start_for(
            caller,
            self.queue.get_or_compute(self.results, key, compute, kind=kind, deadline=deadline),
        )


async def test_concurrent_requests_for_one_result_share_its_computation():
    harness = QueueHarness()
    requests = [harness.request("a") for _ in range(10)]
    await settle()
    harness.gate.set()
    assert set(await asyncio.gather(*requests)) == {"result of a"}
    assert await harness.request("a") == "result of a"
    assert harness.started == ["a"]


async def test_computations_run_one_at_a_time():
    harness = QueueHarness()
    requests = [harness.request(key) for key in "abc"]
    await settle()
    assert harness.started == ["a"]
    harness.gate.set()
    await asyncio.gather(*requests)
    assert harness.started == ["a", "b", "c"]


async def test_a_request_past_its_deadline_fails_and_the_computation_goes_on():
    harness = QueueHarness()
    request = harness.request("a", deadline=harness.clock.monotonic() + 8)
    await harness.clock.advance(8)
    with pytest.raises(ComputeQueueFull):
        await request
    harness.gate.set()
    await settle()
    assert await harness.request("a", deadline=0) == "result of a"


async def test_a_full_queue_refuses_further_computations():
    harness = QueueHarness()
    requests = [harness.request(str(at)) for at in range(MAX_QUEUED)]
    await settle()
    with pytest.raises(ComputeQueueFull):
        await harness.request("one more")
    harness.gate.set()
    await asyncio.gather(*requests)


async def test_kinds_take_turns_and_the_queue_of_one_is_not_full_for_another():
    harness = QueueHarness()
    requests = [harness.request(f"filter {at}", kind="filter") for at in range(MAX_QUEUED)]
    await settle()
    requests += [harness.request(f"summary {at}", kind="summary") for at in range(2)]
    await settle()
    harness.gate.set()
    await asyncio.gather(*requests)
    assert harness.started[:6] == [
        "filter 0",
        "filter 1",
        "summary 0",
        "filter 2",
        "summary 1",
        "filter 3",
    ]


async def test_the_computations_of_one_caller_do_not_delay_those_of_another():
    harness = QueueHarness()
    requests = [harness.request(f"greedy {at}", caller="greedy") for at in range(MAX_QUEUED // 2)]
    await settle()
    requests += [harness.request(f"polite {at}", caller="polite") for at in range(2)]
    requests += [harness.request("greedy 40", caller="other")]  # now it belongs to both
    await settle()
    harness.gate.set()
    await asyncio.gather(*requests)
    assert {harness.started.index(key) for key in ("polite 0", "greedy 40")} <= {1, 2, 3}
    assert harness.started.index("polite 1") <= 5


async def test_one_caller_has_at_most_half_of_the_queue():
    harness = QueueHarness()
    requests = [harness.request(f"greedy {at}", caller="greedy") for at in range(MAX_QUEUED // 2)]
    await settle()
    with pytest.raises(ComputeQueueFull):
        await harness.request("one more", caller="greedy")
    requests += [harness.request("polite", caller="polite")]
    await settle()
    harness.gate.set()
    await asyncio.gather(*requests)


async def test_in_a_full_queue_the_last_computation_of_the_caller_with_the_most_is_rejected():
    harness = QueueHarness()
    requests = [
        harness.request(f"{caller} {at}", caller=caller)
        for caller in ("first", "second")
        for at in range(MAX_QUEUED // 2)
    ]
    await settle()
    polite = harness.request("polite", caller="polite")
    await settle()
    with pytest.raises(ComputeQueueFull):
        await requests.pop()
    assert not any(request.done() for request in requests)
    harness.gate.set()
    await asyncio.gather(*requests, polite)


async def test_a_rejected_computation_that_is_cancelled_at_the_same_moment_takes_no_turn():
    turns = Turns()

    async def run() -> None:
        async with turns.take("kind"):
            raise AssertionError

    async with turns.take("kind"):
        tasks = [start_for("greedy", run()) for _ in range(2)]
        await settle()
        assert turns.reject_for("kind", ("polite",))
        tasks[1].cancel()
        await settle()
        assert not turns.reject_for("kind", ("polite",)), "one is not too many"
        tasks[0].cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_a_computation_that_nobody_waits_for_any_more_is_not_begun():
    harness = QueueHarness()
    first = harness.request("a")
    unwanted = [harness.request("b"), harness.request("c", deadline=harness.clock.monotonic() + 8)]
    last = harness.request("d")
    await settle()
    unwanted[0].cancel()
    await harness.clock.advance(8)
    harness.gate.set()
    assert [await first, await last] == ["result of a", "result of d"]
    assert harness.started == ["a", "d"]
    with pytest.raises(ComputeQueueFull):
        await unwanted[1]


@pytest.mark.parametrize("has_its_turn", [True, False])
async def test_a_queued_computation_that_is_cancelled_blocks_no_other(*, has_its_turn: bool):
    turns = Turns()
    order: list[str] = []

    async def run(name: str) -> None:
        async with turns.take("kind"):
            order.append(name)

    async with turns.take("kind"):
        tasks = [asyncio.ensure_future(run(name)) for name in "ab"]
        await settle()
        if not has_its_turn:
            tasks[0].cancel()
            await settle()
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert order == ["b"]
    assert tasks[0].cancelled()


async def test_the_memory_of_the_cached_results_is_bounded():
    results = ResultCache()
    results.put("first", SummaryResult(b"x" * (MAX_RESULT_BYTES // 2), has_amount=False))
    results.put("second", array("I", bytes(MAX_RESULT_BYTES // 2)))
    assert results.get("first") is None
    assert results.get("second") is not None
    assert results.size <= MAX_RESULT_BYTES


async def test_only_the_latest_results_of_a_list_are_cached():
    harness = QueueHarness()
    harness.gate.set()
    for at in range(MAX_RESULTS + 1):
        await harness.request(str(at))
    assert harness.results.get("0") is None
    assert harness.results.get("1") == "result of 1"


async def test_closing_cancels_a_computation_that_takes_too_long():
    harness = QueueHarness()
    request = harness.request("a")
    await settle()
    closing = asyncio.ensure_future(harness.queue.close(1))
    await harness.clock.advance(1)
    await closing
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_a_long_list_is_freed_in_parts():
    items: list[object] = list(range(2 * CHUNK_SIZE + 1))
    freeing = asyncio.create_task(free_gradually(items))
    left = []
    while not freeing.done():
        await asyncio.sleep(0)
        left.append(len(items))
    assert left == [CHUNK_SIZE + 1, 1, 0, 0]
