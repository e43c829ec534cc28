"""Runs one world in which one thing goes wrong, and checks what its callers get."""

import asyncio
import json
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

from app.cache.freshness import CacheDirective
from app.cache.grace_cache import GraceCache
from app.orders.lookup import OrderLookup
from app.orders.source import FetchedOrder, OrderSource
from app.upstream.credential_rotation import CredentialRotation
from app.upstream.credentials import AccessKey
from app.upstream.errors import UpstreamCredentialRejected
from tests.simulation.components import ORIGINALS, Components, access_key
from tests.simulation.disturbed.plan import Disturbance, DisturbedPlan
from tests.simulation.disturbed.upstream import GOOD_KEY, POOL, WRONG_KEY, DisturbedUpstream
from tests.simulation.history import History
from tests.simulation.loop import START, SimulatedClock, SimulatedLoop
from tests.simulation.plan import BLOCK_SIZE
from tests.simulation.rules import Rule
from tests.simulation.world import Result, run_to_end

MAX_PAUSE = 60.0
REFRESH_SECONDS = 10.0
"""Seconds in which a background refresh has to be done, however many callers there are."""


async def _read_good_key() -> AccessKey:
    return access_key(GOOD_KEY)


def run_disturbed_world(
    plan: DisturbedPlan, components: Components = ORIGINALS, *, trace: bool = False
) -> Result:
    """Run a world from its beginning to its end, and return what happened."""
    rng = Random(plan.seed)  # noqa: S311  not a secret
    loop = SimulatedLoop(rng, unfair=plan.unfair)  # type: ignore[abstract]  # no sockets here
    history = History(plan, loop.time, [] if trace else None)
    world = _DisturbedWorld(plan, history, components, loop, rng)
    run_to_end(world.run(), loop, history)
    violations, trace_lines = tuple(history.violations), tuple(history.trace or ())
    return Result(plan, violations, trace_lines, len(world.upstream.calls), loop.steps)


class _DisturbedWorld:
    def __init__(
        self,
        plan: DisturbedPlan,
        history: History,
        components: Components,
        loop: SimulatedLoop,
        rng: Random,
    ) -> None:
        settings = plan.settings
        self._plan = plan
        self._history = history
        self._loop = loop
        self._rng = rng
        self._clock = SimulatedClock(loop)
        self.upstream = DisturbedUpstream(plan, self._clock, rng)
        self._has_wrong_key = plan.disturbance is Disturbance.WRONG_KEY
        key = access_key(WRONG_KEY if self._has_wrong_key else GOOD_KEY)
        self._client = components.make_client(
            settings, self._clock, rng.random, key, transport=self.upstream, pool_id=None
        )
        self._rotation = CredentialRotation(
            self._client,
            self._clock,
            current=key,
            read=_read_good_key,
            deadline=settings.deadline,
        )
        source = components.source(
            self._client, self._clock, zone=ZoneInfo("UTC"), deadline=settings.deadline
        )
        self._blocks = components.make_block_cache(settings, self._clock)
        self._book = components.book(
            self._blocks, source.fetch_block, self._clock, deadline=settings.deadline
        )
        self._lookup = self._make_lookup(components, source)
        self._number = 0

    def _make_lookup(self, components: Components, source: OrderSource) -> OrderLookup:
        settings = self._plan.settings
        cache: GraceCache[str, FetchedOrder] = components.make_cache(settings, self._clock)
        return OrderLookup(
            self._book,
            cache,
            source,
            self._clock,
            deadline=settings.deadline,
            max_stale_wait=settings.max_stale_wait,
            min_age=settings.no_cache_min_age,
        )

    async def run(self) -> None:
        """Request pages and orders all the time, and check what is answered."""
        plan = self._plan
        starts = range(0, plan.size, BLOCK_SIZE)
        tasks = [self._loop.create_task(self._request_page(start)) for start in starts]
        await self._clock.sleep(plan.starts_at)
        tasks += [self._loop.create_task(self._request_orders()) for _ in range(plan.loops)]
        if self._has_wrong_key:
            self._rotation.reload(requested=False)
        await self._clock.sleep(plan.ends_at - plan.starts_at)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._lookup.close(10.0)
        await self._blocks.close(10.0)
        await self._rotation.close(10.0)
        await self._client.close(10.0)
        self._check_pause()
        if self.upstream.pools - {POOL}:
            self._history.report(Rule.SAME_POOL, "another one was read")

    async def _request_page(self, start: int) -> None:
        while True:
            started_at = self._clock.monotonic()
            try:
                window = await self._book.window(start, start + BLOCK_SIZE)
            except Exception as error:  # noqa: BLE001  it is checked
                self._check_error(started_at, error)
            else:
                expected = self.upstream.order_numbers[start : start + BLOCK_SIZE]
                if [row.order_no for row in window.rows] != expected:
                    self._history.report(Rule.ROWS, f"page at {start}")
                fetched_at = min(lookup.entry.fetched_at for lookup in window.lookups)
                age = started_at - fetched_at
                self._history.log("page", f"at {start}: age {age:g}")
                if age > self._plan.settings.ttl + REFRESH_SECONDS:
                    self._history.report(Rule.REFRESHED, f"age {age:g}")
            await self._clock.sleep(0.5)

    async def _request_orders(self) -> None:
        while True:
            self._number += 1
            # Some orders are requested again and again, like a page that is polled.
            order_no = f"x{self._number if self._rng.random() < 0.7 else self._rng.randrange(5)}"
            try:
                row, _ = await self._lookup.order(order_no, CacheDirective.DEFAULT)
            except Exception as error:  # noqa: BLE001  an error is one of the right answers
                self._history.log("order", f"{order_no}: {error!r}")
            else:
                if row.order_no != order_no or json.loads(row.body)["order_no"] != order_no:
                    self._history.report(Rule.RIGHT_ORDER, f"{row.order_no} for {order_no}")
            await self._clock.sleep(max(self._plan.interval, 0.05))

    def _check_error(self, started_at: float, error: Exception) -> None:
        """Check an error that the caller of a page got."""
        plan, report = self._plan, self._history.report
        self._history.log("page", repr(error))
        seconds = started_at - START - plan.starts_at
        match plan.disturbance:
            case Disturbance.WRONG_KEY:
                # Until the new key is verified, by two calls, the old one is rejected.
                if seconds > 2.0 and isinstance(error, UpstreamCredentialRejected):
                    report(Rule.NEW_KEY, f"{error!r} {seconds:g} s later")
            case Disturbance.OTHER_POOL:
                if not isinstance(error, UpstreamCredentialRejected):
                    report(Rule.SAME_POOL, repr(error))
            case Disturbance.LONG_PAUSE:
                if seconds > MAX_PAUSE + plan.settings.deadline:
                    report(Rule.MAX_PAUSE, f"{error!r} {seconds:g} s later")
            case _:
                report(Rule.OWN_FAILURE, repr(error))

    def _check_pause(self) -> None:
        if self._plan.disturbance is not Disturbance.LONG_PAUSE:
            return
        calls = self.upstream.calls
        longest = max((later - call for call, later in pairwise(calls)), default=0.0)
        if longest > MAX_PAUSE + self._plan.settings.deadline:
            self._history.report(Rule.MAX_PAUSE, f"{longest:g} s without a call")
