"""One world: the real rooms between simulated callers and a simulated upstream, and the oracle.

Bugs are planted by giving other `Parts`; nothing is patched.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from pydantic import SecretStr

from app.backoff import BackoffPolicy
from app.cache.freshness import Freshness, Lifetime
from app.cache.grace_cache import GraceCache, Outcome
from app.cache.policy import CacheDirective
from app.orders.blocks import Block
from app.orders.book import OrderBook
from app.orders.mapping import Row
from app.orders.snapshot_cache import SnapshotCache
from app.orders.snapshot_loader import LoadLimits, SnapshotLoader
from app.single_flight import current_flight
from app.upstream.client import UpstreamClient, create_upstream_client
from app.upstream.credential_rotation import CredentialRotation
from app.upstream.credentials import AccessKey
from app.upstream.errors import UpstreamNotFound
from app.upstream.retry import upstream_backoff
from app.upstream.wire import OrderListResponse
from tests.simulation.loop import START, Endless, SimulatedClock, SimulatedLoop, Stuck
from tests.simulation.oracle import BETWEEN_LOOKS, Answer, Oracle, Violation, Visit
from tests.simulation.plan import ALL, Caller, Exchange, Plan, Seam
from tests.simulation.upstream import (
    BLOCK,
    FIRST_KEY,
    SimulatedNetwork,
    SimulatedUpstream,
    fetching,
    order,
)

HEALING = 20.0
"""Seconds in which every flight runs out and every pause ends."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a world is made of."""

    lifetime: Callable[[float, float, float], Lifetime] = Lifetime
    cache: Callable[..., GraceCache[int, Block]] = GraceCache
    book: Callable[..., OrderBook] = OrderBook
    collection: Callable[..., SnapshotCache] = SnapshotCache
    reading: Callable[..., SnapshotLoader] = SnapshotLoader
    client: Callable[..., UpstreamClient] = create_upstream_client
    backoff: BackoffPolicy = upstream_backoff


@dataclass(frozen=True, slots=True)
class Told:
    """How a world went."""

    plan: Plan
    violations: tuple[Violation, ...]
    trace: tuple[str, ...]
    fetches: int
    steps: int


SOUND = Parts()

_visiting: ContextVar[Visit | None] = ContextVar("_visiting", default=None)
"""On whose behalf something runs: a flight has the context of the caller who launched it."""


def run(plan: Plan, parts: Parts = SOUND, *, trace: bool = False) -> Told:
    """Run one world from its beginning to its end."""
    rng = Random(plan.seed)  # noqa: S311  a world, not a secret
    loop = SimulatedLoop(rng, unfair=plan.unfair)  # type: ignore[abstract]  # no sockets here
    oracle = Oracle(plan, loop.time, [] if trace else None)
    world = _World(plan, parts, loop, oracle, rng)
    try:
        loop.live(world.live())
    except (Stuck, Endless) as end:
        oracle.broken("a world ends", type(end).__name__)
    for complaint in loop.complaints:
        oracle.broken("asyncio has nothing to complain of", complaint)
    left_over = loop.left_over()
    if left_over:
        oracle.broken("nothing is left behind", f"{len(left_over)} tasks")
    loop.bury()
    return Told(
        plan,
        tuple(oracle.violations),
        tuple(oracle.trace or ()),
        len(oracle.fetches),
        loop.steps,
    )


class _World:
    def __init__(
        self, plan: Plan, parts: Parts, loop: SimulatedLoop, oracle: Oracle, rng: Random
    ) -> None:
        self._plan = plan
        self._loop = loop
        self._oracle = oracle
        self._clock = SimulatedClock(loop)
        self._upstream = SimulatedUpstream(plan, self._clock, rng, oracle)
        self._client = self._open(parts, rng) if plan.seam is Seam.TRANSPORT else None
        self._rotation = self._rotate(self._client) if self._client and plan.context else None
        self._cache = self._make_cache(parts)
        self._book = parts.book(
            self._cache, self._fetch, self._clock, deadline=plan.config.deadline
        )
        self._collection = parts.collection(
            self._book,
            self._clock,
            LoadLimits(concurrency=2, max_orders=100_000, max_bytes=10**9),
            deadline=plan.config.deadline,
            max_stale_wait=plan.config.wait,
            backoff=parts.backoff,
            make_loader=parts.reading,
        )
        self._callers: list[asyncio.Task[None]] = []
        self._prepared: dict[tuple[int, int], Answer] = {}

    def _open(self, parts: Parts, rng: Random) -> UpstreamClient:
        config = self._plan.config
        return parts.client(
            base_url="https://upstream.example",
            access_key_id=_key(FIRST_KEY).id,
            access_key_secret=_key(FIRST_KEY).secret,
            scheme="token",
            brand="genauth",
            pool_id="pool",
            ca_file=None,
            proxy=None,
            connect_timeout=2.0,
            read_timeout=5.0,
            deadline=config.deadline,
            max_concurrency=config.max_concurrency,
            max_rate=config.max_rate,
            breaker_open_seconds=config.breaker_pause,
            clock=self._clock,
            random=rng.random,
            transport=SimulatedNetwork(self._upstream, self._oracle),
        )

    def _rotate(self, client: UpstreamClient) -> CredentialRotation:
        return CredentialRotation(
            client,
            self._clock,
            current=_key(FIRST_KEY),
            read=lambda: _key(self._upstream.configured),
            deadline=self._plan.config.deadline,
        )

    def _rotate_to(self, rotation: CredentialRotation, context: Exchange) -> None:
        """Another credential is configured, and the change is noticed."""
        self._upstream.context(context)
        rotation.reload(requested=False)

    def _make_cache(self, parts: Parts) -> GraceCache[int, Block]:
        config = self._plan.config
        return parts.cache(
            parts.lifetime(config.ttl, config.grace, config.grace + config.keep),
            self._clock,
            min_age=config.min_age,
            max_stale_wait=config.wait,
            max_entries=config.max_blocks,
            max_bytes=10**9,
            size_of=lambda block: len(block.rows),
            backoff=parts.backoff,
            negative_errors=(UpstreamNotFound,),
        )

    async def _fetch(self, index: int) -> Block:
        """What the book asks: told to the oracle, then asked at the seam."""
        flight = current_flight()
        has_waiters = flight.has_waiters if flight else lambda: True
        fetch = self._oracle.asked(index, _visiting.get(), has_waiters)
        fetching.set(fetch)
        try:
            if self._client is None:
                state, _ = await self._upstream.block(index)
                orders = state.block(index)
                total = len(state.orders)
            else:
                deadline = self._clock.monotonic() + self._plan.config.deadline
                answer = await self._client.list_orders(index + 1, deadline=deadline)
                state = self._upstream.states[int((answer.request_id or "").removeprefix("s"))]
                orders, total = _orders(answer), answer.total
        except asyncio.CancelledError:
            self._oracle.called_off(fetch)
            raise
        except Exception as error:
            self._oracle.crashed(fetch, error)
            raise
        self._oracle.landed(fetch, state)
        return Block(index, orders, total, str(fetch.serial), None, sandbox=False)

    async def live(self) -> None:
        """All that is planned; then the upstream is well and still, and what is held heals."""
        plan = self._plan
        for shift in plan.shifts:
            self._loop.call_at(START + shift.at, self._upstream.shift, shift)
        if plan.seam is Seam.TRANSPORT:
            for at in plan.revoked:
                self._loop.call_at(START + at, self._upstream.revoke)
        if plan.context and self._rotation:
            self._loop.call_at(
                START + plan.context.at, self._rotate_to, self._rotation, plan.context
            )
            if plan.context.old_ends_after is not None:
                ends = plan.context.at + plan.context.old_ends_after
                self._loop.call_at(START + ends, self._upstream.end_old_key)
        for number, caller in enumerate(plan.callers):
            self._loop.call_at(START + caller.at, self._comes, number, caller)
        await self._clock.sleep(plan.ends)
        self._upstream.heal()
        await self._clock.sleep(HEALING)
        if plan.heals:
            for judged in (False, False, True):
                await self._heal(judged=judged)
                await self._clock.sleep(BETWEEN_LOOKS if plan.config.tight else 0.5)
        await self._close()
        await self._clock.sleep(0.5)  # what was ended has its last turn
        self._oracle.over()

    def _comes(self, number: int, caller: Caller) -> None:
        task = self._loop.create_task(self._visit(Visit(number, caller, self._loop.time())))
        self._callers.append(task)
        if caller.leaves_after is not None:
            self._loop.call_later(caller.leaves_after, task.cancel)

    async def _visit(self, visit: Visit) -> None:
        _visiting.set(visit)
        oracle, caller = self._oracle, visit.caller
        oracle.came(visit, self._book.total)
        try:
            answer = await (self._whole(caller.ask) if caller.all else self._page(caller))
        except asyncio.CancelledError:
            oracle.left(visit)
        except Exception as error:  # noqa: BLE001  whatever it is, the oracle judges it
            oracle.refused_caller(visit, error)
        else:
            oracle.answered(visit, answer)

    async def _page(self, caller: Caller) -> Answer:
        """A window; sent again as it was composed before, as long as that is good."""
        asked = (caller.start, caller.stop)
        prepared = self._prepared.get(asked)
        plain = caller.ask is CacheDirective.DEFAULT
        if plain and prepared and self._book.is_current(prepared.entries, prepared.total):
            return replace(prepared, claims=(Freshness.FRESH,) * len(prepared.entries))
        window = await self._book.window(*asked, caller.ask)
        answer = Answer(
            window.rows,
            window.total,
            window.inconsistent,
            tuple(served.entry for served in window.lookups),
            tuple(served.freshness for served in window.lookups),
            any(served.outcome is Outcome.STALE_IF_ERROR for served in window.lookups),
        )
        if not answer.inconsistent:
            self._prepared[asked] = answer
        return answer

    async def _whole(self, ask: CacheDirective) -> Answer:
        """The whole list, which is as good as its oldest block."""
        whole, served = await self._collection.get(ask)
        total = max(whole.blocks, key=lambda entry: entry.sequence).value.total
        claims = (served.freshness,) * len(whole.blocks)
        return Answer(whole.content.rows, total, whole.inconsistent, whole.blocks, claims)

    async def _heal(self, *, judged: bool) -> None:
        truth = self._upstream.now.orders
        starts = range(0, len(truth) + 1, BLOCK)
        windows = [(start, start + BLOCK) for start in starts]
        if any(caller.all for caller in self._plan.callers):
            windows.append(ALL)
        looks = (Caller(0.0, *window) for window in windows)
        await asyncio.gather(*(self._look(caller, truth, judged=judged) for caller in looks))

    async def _look(self, caller: Caller, truth: tuple[Row, ...], *, judged: bool) -> None:
        visit = Visit(900 + caller.start, caller, self._loop.time())
        self._oracle.came(visit, self._book.total)
        try:
            answer = await (self._whole(caller.ask) if caller.all else self._page(caller))
        except Exception as error:  # noqa: BLE001  whatever it is, it should not be
            self._oracle.broken("it heals", repr(error))
            return
        self._oracle.answered(visit, answer)
        if judged:
            self._oracle.converged(visit, answer, truth)

    async def _close(self) -> None:
        """Leave, and look whether anything stays."""
        self._oracle.calling_off = True
        await self._collection.close(5.0)
        await self._book.close(5.0)
        if len(self._cache._flights):
            self._oracle.broken("nothing is left behind", "a flight")
        if self._rotation:
            await self._rotation.close(5.0)
        if self._client is not None:
            limiter = self._client._transport._admission._limiter
            if limiter._queue or limiter._in_flight:
                self._oracle.broken("nothing is left behind", "a slot of the limiter")
            await self._client.aclose(5.0)
        for task in self._callers:
            if not task.done():
                self._oracle.broken("no one waits for ever", "a caller")


def _key(name: str) -> AccessKey:
    return AccessKey(SecretStr(name), SecretStr("secret"))


def _orders(answer: OrderListResponse) -> tuple[Row, ...]:
    sent: list[Any] = list(answer.rows)
    return tuple(order(str(row["orderNo"]), int(row["quantity"])) for row in sent)
