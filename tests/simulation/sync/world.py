"""Runs one world whose list is read as a whole while it changes."""

import asyncio
from dataclasses import dataclass
from random import Random

from tests.simulation.call_oracle import CallOracle
from tests.simulation.components import ORIGINALS, Components, access_key
from tests.simulation.fetch_oracle import FetchOracle
from tests.simulation.fetcher import BlockFetcher
from tests.simulation.history import History
from tests.simulation.loop import START, SimulatedClock, SimulatedLoop
from tests.simulation.plan import ALL_ORDERS, BLOCK_SIZE, Caller, Seam
from tests.simulation.sync import plan as plans
from tests.simulation.sync.figures import Figures
from tests.simulation.sync.follower import Follower
from tests.simulation.sync.oracle import SyncOracle
from tests.simulation.sync.plan import SyncPlan
from tests.simulation.sync.proxy import Proxy
from tests.simulation.sync.upstream import ChangingUpstream
from tests.simulation.upstream import FIRST_KEY, SimulatedNetwork
from tests.simulation.world import Result, run_to_end


@dataclass(frozen=True, slots=True)
class SyncResult(Result):
    """What happened in a world, and how many orders were missing."""

    figures: Figures


def run_sync_world(
    plan: SyncPlan, components: Components = ORIGINALS, *, trace: bool = False
) -> SyncResult:
    """Run a world from its beginning to its end, and return what happened."""
    rng = Random(plan.seed)  # noqa: S311  not a secret
    loop = SimulatedLoop(rng, unfair=plan.unfair)  # type: ignore[abstract]  # no sockets here
    history = History(plan, loop.time, [] if trace else None)
    world = _SyncWorld(plan, history, components, loop, rng)
    run_to_end(world.run(), loop, history)
    return SyncResult(
        plan,
        tuple(history.violations),
        tuple(history.trace or ()),
        len(history.fetches),
        loop.steps,
        world.oracle.figures,
    )


class _SyncWorld:
    def __init__(
        self,
        plan: SyncPlan,
        history: History,
        components: Components,
        loop: SimulatedLoop,
        rng: Random,
    ) -> None:
        self._plan = plan
        self._loop = loop
        self._clock = SimulatedClock(loop)
        self._fetches = FetchOracle(history)
        calls = CallOracle(history)
        self._upstream = ChangingUpstream(plan, self._clock, rng, calls)
        self._client = None
        if plan.seam is Seam.TRANSPORT:
            network = SimulatedNetwork(self._upstream, calls)
            self._client = components.make_client(
                plan.settings, self._clock, rng.random, access_key(FIRST_KEY), transport=network
            )
        fetcher = BlockFetcher(history, self._clock, self._fetches, self._upstream, self._client)
        self._proxy = Proxy(plan.settings, components, self._clock, fetcher.fetch_block)
        self.oracle = SyncOracle(plan, history, self._upstream)
        self._tasks: list[asyncio.Task[None]] = []
        self._followers: list[Follower] = []

    async def run(self) -> None:
        """Do all that is planned, let the list rest, and check it."""
        plan = self._plan
        for change in plan.changes:
            self._loop.call_at(START + change.at, self._upstream.change_list, change)
        for number, caller in enumerate(plan.callers):
            self._loop.call_at(START + caller.at, self._start_reading, f"caller {number}", caller)
        for purge in plan.purges:
            self._loop.call_at(START + purge.at, self._purge, purge)
        for follower in plan.followers:
            self._loop.call_at(START + follower.at, self._start_following, follower)
        await self._clock.sleep(plan.ends_at)
        self._upstream.recover()
        await self._clock.sleep(plan.rest_seconds)
        for client in self._followers:
            self.oracle.check_follower(client.copy)
        await self._read_at_rest()
        await self._close()
        self.oracle.check_fetch_count()

    def _purge(self, purge: plans.Purge) -> None:
        self.oracle.purged(purge)
        self._fetches.purged()
        self._proxy.purge(drop=purge.drop)

    def _start_reading(self, name: str, caller: Caller) -> None:
        self._tasks.append(self._loop.create_task(self._read(name, caller)))

    def _start_following(self, follower: plans.Follower) -> None:
        client = Follower(
            f"follower {len(self._followers)}",
            follower,
            self._proxy,
            self._clock,
            self.oracle,
            takes_inconsistent=self._plan.is_wrong_for_good,
        )
        self._followers.append(client)
        self._tasks.append(self._loop.create_task(client.run()))

    async def _read(self, name: str, caller: Caller, *, at_rest: bool = False) -> None:
        started_at = self._clock.monotonic()
        try:
            if caller.requests_all:
                reading = await self._proxy.export()
                self.oracle.export_read(name, started_at, reading)
            else:
                reading = await self._proxy.page(caller.start, caller.stop)
                self.oracle.page_read(name, started_at, caller.start, caller.stop, reading)
        except Exception as error:  # noqa: BLE001  the oracle checks it
            self.oracle.read_failed(name, started_at, error)
            return
        self.oracle.check_ttl(self._proxy.blocks.ttl)
        if at_rest:
            self.oracle.check_at_rest(name, caller.start, caller.stop, reading)

    async def _read_at_rest(self) -> None:
        """Read everything, twice before the time that is checked: what is stale is refreshed."""
        starts = range(0, len(self._upstream.orders), BLOCK_SIZE)
        ranges = [*((start, start + BLOCK_SIZE) for start in starts), ALL_ORDERS]
        for at_rest in (False, False, True):
            for start, stop in ranges:
                await self._read("at rest", Caller(0.0, start, stop), at_rest=at_rest)
            await self._clock.sleep(0.5)

    async def _close(self) -> None:
        self._fetches.is_closing = True
        for task in self._tasks:
            task.cancel()
        await self._proxy.close()
        if self._client is not None:
            await self._client.close(5.0)
        await self._clock.sleep(0.5)  # cancelled tasks run once more
