"""Runs one world: the real components between simulated callers and a simulated upstream."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from app.cache.freshness import CacheDirective
from app.cache.grace_cache import Outcome
from app.orders.mapping import Row
from app.upstream.client import UpstreamClient
from app.upstream.credential_rotation import CredentialRotation
from app.upstream.credentials import AccessKey
from tests.simulation.answer_oracle import CHECK_INTERVAL, AnswerOracle
from tests.simulation.call_oracle import CallOracle
from tests.simulation.components import ORIGINALS, Components, access_key
from tests.simulation.fetch_oracle import FetchOracle
from tests.simulation.fetcher import BlockFetcher, current_request
from tests.simulation.history import Answer, CallerRequest, History, Violation
from tests.simulation.loop import START, Deadlock, SimulatedClock, SimulatedLoop, TooManySteps
from tests.simulation.plan import ALL_ORDERS, BLOCK_SIZE, Caller, KeyRotation, Plan, Seam
from tests.simulation.rules import Rule
from tests.simulation.upstream import (
    FIRST_KEY,
    SimulatedNetwork,
    SimulatedUpstream,
)

RECOVERY_SECONDS = 20.0
"""Seconds in which every fetch ends and every backoff passes."""


@dataclass(frozen=True, slots=True)
class Result:
    """What happened in a world."""

    plan: Plan
    violations: tuple[Violation, ...]
    trace: tuple[str, ...]
    fetches: int
    steps: int


def run_world(plan: Plan, components: Components = ORIGINALS, *, trace: bool = False) -> Result:
    """Run a world from its beginning to its end, and return what happened."""
    rng = Random(plan.seed)  # noqa: S311  not a secret
    loop = SimulatedLoop(rng, unfair=plan.unfair)  # type: ignore[abstract]  # no sockets here
    history = History(plan, loop.time, [] if trace else None)
    world = _World(history, components, loop, rng)
    run_to_end(world.run(), loop, history)
    violations, trace_lines = tuple(history.violations), tuple(history.trace or ())
    return Result(plan, violations, trace_lines, len(history.fetches), loop.steps)


def run_to_end(work: Coroutine[Any, Any, None], loop: SimulatedLoop, history: History) -> None:
    """Run a world, and report whether it ends, and what it leaves behind."""
    try:
        loop.run(work)
    except (Deadlock, TooManySteps) as error:
        history.report(Rule.TERMINATION, type(error).__name__)
    for error_text in loop.errors:
        history.report(Rule.NO_ASYNCIO_ERROR, error_text)
    if pending := loop.pending_tasks():
        history.report(Rule.NOTHING_LEFT, f"{len(pending)} tasks")
    loop.cancel_pending_tasks()


class _World:
    def __init__(
        self, history: History, components: Components, loop: SimulatedLoop, rng: Random
    ) -> None:
        plan = history.plan
        self._history = history
        self._plan = plan
        self._loop = loop
        self._clock = SimulatedClock(loop)
        self._answers = AnswerOracle(history)
        self._fetches = FetchOracle(history)
        calls = CallOracle(history)
        self._upstream = SimulatedUpstream(plan, self._clock, rng, calls)
        self._client = None
        self._rotation = None
        if plan.seam is Seam.TRANSPORT:
            network = SimulatedNetwork(self._upstream, calls)
            self._client = components.make_client(
                plan.settings, self._clock, rng.random, access_key(FIRST_KEY), transport=network
            )
            self._rotation = self._make_rotation(self._client) if plan.rotation else None
        self._block_cache = components.make_block_cache(plan.settings, self._clock)
        fetcher = BlockFetcher(history, self._clock, self._fetches, self._upstream, self._client)
        self._book = components.book(
            self._block_cache, fetcher.fetch_block, self._clock, deadline=plan.settings.deadline
        )
        self._snapshot_cache = components.make_snapshot_cache(
            plan.settings, self._clock, self._book
        )
        self._requests: list[asyncio.Task[None]] = []
        self._responses: dict[tuple[int, int], Answer] = {}

    def _make_rotation(self, client: UpstreamClient) -> CredentialRotation:
        return CredentialRotation(
            client,
            self._clock,
            current=access_key(FIRST_KEY),
            read=self._read_access_key,
            deadline=self._plan.settings.deadline,
        )

    async def _read_access_key(self) -> AccessKey:
        return access_key(self._upstream.configured_key)

    async def run(self) -> None:
        """Do all that is planned; then let the upstream recover, and check the answers again."""
        plan = self._plan
        for change in plan.changes:
            self._loop.call_at(START + change.at, self._upstream.change_list, change)
        if plan.seam is Seam.TRANSPORT:
            for at in plan.revocations:
                self._loop.call_at(START + at, self._upstream.revoke_tokens)
        self._schedule_rotation()
        for number, caller in enumerate(plan.callers):
            self._loop.call_at(START + caller.at, self._start_request, number, caller)
        await self._clock.sleep(plan.ends_at)
        self._upstream.recover()
        await self._clock.sleep(RECOVERY_SECONDS)
        if plan.checks_recovery:
            # All but the last round start refreshes of what is stale. One of them is a TTL after
            # the first, because a later reading has to confirm that orders were removed.
            interval = CHECK_INTERVAL if plan.settings.has_low_limits else 0.5
            for seconds in (interval, plan.settings.ttl, interval, interval):
                await self._request_everything(check=False)
                await self._clock.sleep(seconds)
            await self._request_everything(check=True)
        await self._close()
        await self._clock.sleep(0.5)  # cancelled tasks run once more
        self._fetches.check_fetch_count()

    def _schedule_rotation(self) -> None:
        rotation = self._plan.rotation
        if rotation is None or self._rotation is None:
            return
        self._loop.call_at(START + rotation.at, self._rotate_key, self._rotation, rotation)
        if rotation.old_deleted_after is not None:
            deleted_at = rotation.at + rotation.old_deleted_after
            self._loop.call_at(START + deleted_at, self._upstream.delete_old_key)

    def _rotate_key(self, credential_rotation: CredentialRotation, rotation: KeyRotation) -> None:
        self._upstream.rotate_key(rotation)
        credential_rotation.reload(requested=False)

    def _start_request(self, number: int, caller: Caller) -> None:
        request = CallerRequest(number, caller, self._clock.monotonic())
        task = self._loop.create_task(self._run_request(request))
        self._requests.append(task)
        if caller.disconnects_after is not None:
            self._loop.call_later(caller.disconnects_after, task.cancel)

    async def _run_request(self, request: CallerRequest) -> None:
        current_request.set(request)
        self._answers.request_started(request, self._book.total)
        try:
            answer = await self._answer(request.caller)
        except asyncio.CancelledError:
            self._answers.request_cancelled(request)
        except Exception as error:  # noqa: BLE001  the oracle checks it
            self._answers.request_failed(request, error)
        else:
            self._answers.request_answered(request, answer)

    async def _answer(self, caller: Caller) -> Answer:
        if caller.requests_all:
            return await self._answer_all(caller.directive)
        range_ = caller.start, caller.stop
        # An answer is sent again while it is current, as the response cache does.
        cached = self._responses.get(range_)
        is_plain = caller.directive == CacheDirective.DEFAULT
        if is_plain and cached:
            blocks = [(entry.value.index, entry.sequence) for entry in cached.entries]
            current = self._book.lookups_without_fetch(blocks, cached.total)
            if current is not None:
                freshness = tuple(each.lookup.freshness for each in current)
                return replace(cached, freshness=freshness, is_fallback=False)
        window = await self._book.window(*range_, caller.directive)
        answer = Answer(
            window.rows,
            window.total,
            window.inconsistent,
            entries=tuple(lookup.entry for lookup in window.lookups),
            freshness=tuple(lookup.freshness for lookup in window.lookups),
            keeps_duplicates=self._book.epochs.contradicts_for_good,
            is_fallback=any(lookup.outcome is Outcome.STALE_IF_ERROR for lookup in window.lookups),
        )
        if not answer.inconsistent:
            self._responses[range_] = answer
        return answer

    async def _answer_all(self, directive: CacheDirective) -> Answer:
        snapshot, lookup = await self._snapshot_cache.get(directive)
        return Answer(
            snapshot.content.rows,
            max(snapshot.blocks, key=lambda entry: entry.sequence).value.total,
            snapshot.inconsistent,
            entries=snapshot.blocks,
            freshness=(lookup.freshness,) * len(snapshot.blocks),
            keeps_duplicates=snapshot.content.keeps_duplicates,
        )

    async def _request_everything(self, *, check: bool) -> None:
        """Request each block, and the snapshot if some caller did; with `check`, check answers."""
        orders = self._upstream.orders
        ranges = [(start, start + BLOCK_SIZE) for start in range(0, len(orders) + 1, BLOCK_SIZE)]
        if any(caller.requests_all for caller in self._plan.callers):
            ranges.append(ALL_ORDERS)
        callers = (Caller(0.0, start, stop) for start, stop in ranges)
        await asyncio.gather(*(self._request_again(each, orders, check=check) for each in callers))

    async def _request_again(self, caller: Caller, orders: tuple[Row, ...], *, check: bool) -> None:
        request = CallerRequest(900 + caller.start, caller, self._clock.monotonic())
        self._answers.request_started(request, self._book.total)
        try:
            answer = await self._answer(caller)
        except Exception as error:  # noqa: BLE001  no error is expected
            self._history.report(Rule.RECOVERY, repr(error))
            return
        self._answers.request_answered(request, answer)
        if check:
            self._answers.check_recovery(request, answer, orders)

    async def _close(self) -> None:
        """Close the components, and check that nothing is left in progress."""
        self._fetches.is_closing = True
        await self._snapshot_cache.close(5.0)
        await self._book.blocks.close(5.0)
        if len(self._block_cache._flights):
            self._history.report(Rule.NOTHING_LEFT, "a flight")
        if self._rotation:
            await self._rotation.close(5.0)
        if self._client is not None:
            limiter = self._client._transport._admission._limiter
            if limiter._queue or limiter._in_flight:
                self._history.report(Rule.NOTHING_LEFT, "a slot of the limiter")
            await self._client.close(5.0)
        for task in self._requests:
            if not task.done():
                self._history.report(Rule.EVERY_CALLER, "a caller still waits")
