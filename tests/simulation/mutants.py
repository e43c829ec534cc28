"""Bugs on purpose, each by a part that is wrong: the simulation has to find every one of them.

Longer than most: it is a list.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from app.cache.freshness import Freshness, Lifetime
from app.cache.grace_cache import Entry, GraceCache, Lookup
from app.cache.policy import Action, CacheDirective
from app.orders.blocks import Block, blocks_for_range, slice_rows
from app.orders.book import OrderBook, Window
from app.orders.snapshot import Snapshot
from app.orders.snapshot_cache import SnapshotCache
from app.orders.snapshot_loader import SnapshotLoader
from app.single_flight import Flight, SingleFlight
from app.upstream.breaker import Breaker, CallResult
from app.upstream.client import UpstreamClient, create_upstream_client
from app.upstream.credentials import AccessKey, CallAuth, TokenCredential
from app.upstream.errors import DeadlineExceeded
from app.upstream.limiter import CallLimiter
from app.upstream.rate import CallStart
from app.upstream.token import Token
from tests.simulation.plan import Seam
from tests.simulation.world import Parts

WITHIN = 6000
"""Worlds in which each has to be found; most are in the first hundred."""


class Planted:
    """One bug: what it is, the parts that have it, and the rules of which one has to tell.

    It is looked for in worlds of the shortest seam that shows it, unless `seam` says where, and
    from seed `near` on: that saves the worlds that did not show it when this was written.
    """

    def __init__(
        self, what: str, parts: Parts, *rules: str, seam: Seam | None = None, near: int = 0
    ) -> None:
        self.what = what
        self.parts = parts
        self.rules = frozenset(rules)
        self.seam = seam or (
            Seam.FETCH if parts.client is create_upstream_client else Seam.TRANSPORT
        )
        self.near = near


# Freshness.


class FreshAtTheTtl(Lifetime):
    def freshness(self, age: float) -> Freshness:
        return Freshness.FRESH if age == self.ttl else super().freshness(age)


class NeverGone(Lifetime):
    def freshness(self, age: float) -> Freshness:
        found = super().freshness(age)
        return Freshness.STALE_IF_ERROR if found is Freshness.EXPIRED else found


# The memory.

Cache = GraceCache[int, Block]


class AgeFromTheLanding(Cache):
    async def _run_fetch(
        self, key: int, fetch: Any, fetched_at: float, sequence: int
    ) -> Entry[Block]:
        entry = await super()._run_fetch(key, fetch, fetched_at, sequence)
        late = replace(entry, fetched_at=self._clock.monotonic())
        self._entries.put(key, late)
        return late


class ErrorsForget(Cache):
    def _record_failure(self, key: int, error: Exception) -> None:
        super()._record_failure(key, error)
        self._entries.remove(key)


class ErrorsLengthenLife(Cache):
    def _record_failure(self, key: int, error: Exception) -> None:
        super()._record_failure(key, error)
        entry = self._entries.get(key)
        if entry:
            self._entries.put(key, replace(entry, fetched_at=self._clock.monotonic()))


class EarlyWheneverItLags(Cache):
    def _decide(self, directive: Any, entry: Any, *state: Any, backing_off: bool) -> Action:
        entry = replace(entry, refetched_early=False) if entry else None
        return super()._decide(directive, entry, *state, backing_off=backing_off)


class RenewsWhatFailed(Cache):
    def _decide(self, directive: Any, *state: Any, backing_off: bool) -> Action:
        if directive is CacheDirective.REFETCH:
            backing_off = False
        return super()._decide(directive, *state, backing_off=backing_off)


class EveryLookWaitsAnew(Cache):
    async def get_or_fetch(
        self, *args: Any, wait_started: float | None = None, **named: Any
    ) -> Lookup[Block]:
        if named.get("outdated"):
            wait_started = None
        return await super().get_or_fetch(*args, wait_started=wait_started, **named)


class WaitsAsLongAsItTakes(Cache):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named | {"max_stale_wait": 3600.0})


class DeafToNoCache(Cache):
    def _decide(self, directive: CacheDirective, *state: Any, backing_off: bool) -> Action:
        if directive is CacheDirective.NO_CACHE:
            directive = CacheDirective.DEFAULT
        return super()._decide(directive, *state, backing_off=backing_off)


class DeafToOnlyIfCached(Cache):
    def _decide(self, directive: CacheDirective, *state: Any, backing_off: bool) -> Action:
        if directive is CacheDirective.ONLY_IF_CACHED:
            directive = CacheDirective.DEFAULT
        return super()._decide(directive, *state, backing_off=backing_off)


class NeverRefreshes(Cache):
    def _decide(self, *state: Any, backing_off: bool) -> Action:
        action = super()._decide(*state, backing_off=backing_off)
        return Action.SERVE if action is Action.REFRESH else action


# Flights.


class _Owned(Flight[Entry[Block]]):
    async def wait(self, timeout: float | None = None) -> bool:
        try:
            return await super().wait(timeout)
        except asyncio.CancelledError:
            self.task.cancel()
            raise


class _OwnedByEachCaller(SingleFlight[int, Entry[Block]]):
    def launch(self, key: int, work: Any) -> Flight[Entry[Block]]:
        flight = super().launch(key, work)
        flight.__class__ = _Owned
        return flight


class FlightsEndWithACaller(Cache):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._flights = _OwnedByEachCaller(self._clock)


class _EveryoneFlies(SingleFlight[int, Entry[Block]]):
    def get(self, key: int) -> None:
        del key


class NobodyJoins(Cache):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._flights = _EveryoneFlies(self._clock)


class _NeverForgets(SingleFlight[int, Entry[Block]]):
    def _remove(self, key: int, task: "asyncio.Task[Entry[Block]]") -> None:
        if task.cancelled() or task.exception():
            return
        super()._remove(key, task)


class FailedFlightsStay(Cache):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._flights = _NeverForgets(self._clock)


# The book.


class NoProbe(OrderBook):
    @staticmethod
    def _needed_blocks(start: int, stop: int, total_entry: Entry[Block] | None) -> list[int]:
        if total_entry is None:
            return list(blocks_for_range(start, stop, 10**6))
        return OrderBook._needed_blocks(start, stop, total_entry)


class LastComeTells(OrderBook):
    def _on_block_stored(self, _index: int, entry: Entry[Block]) -> None:
        self._total_entry = entry


class TrustsNeighbours(OrderBook):
    @staticmethod
    def _outdated(*_: Any) -> list[int]:
        return []


class LooksAtTotalsOnly(OrderBook):
    @staticmethod
    def _outdated(basis: Sequence[Lookup[Block]], *named: Any) -> list[int]:
        total = basis[0].entry.value.total
        if all(served.entry.value.total == total for served in basis):
            return []
        return OrderBook._outdated(basis, *named)


class StopsAtTheTotalThatCounts(OrderBook):
    @staticmethod
    def _outdated(
        basis: Sequence[Lookup[Block]], start: int, stop: int, total_entry: Entry[Block] | None
    ) -> list[int]:
        found = OrderBook._outdated(basis, start, stop, total_entry)
        shorter = total_entry and basis[-1].entry.value.total > total_entry.value.total
        return [] if len(basis) == 1 and shorter else found


class NeverSaysThatItShifts(OrderBook):
    async def window(
        self, start: int, stop: int, ask: CacheDirective = CacheDirective.DEFAULT
    ) -> Window:
        return replace(await super().window(start, stop, ask), inconsistent=False)


class CriesShift(OrderBook):
    async def window(
        self, start: int, stop: int, ask: CacheDirective = CacheDirective.DEFAULT
    ) -> Window:
        return replace(await super().window(start, stop, ask), inconsistent=True)


class ShowsTwice(OrderBook):
    def _make_window(
        self, start: int, stop: int, basis: Any, *, inconsistent: bool = False
    ) -> Window:
        window = super()._make_window(start, stop, basis, inconsistent=inconsistent)
        rows = tuple(
            row for served in basis for row in slice_rows(start, stop, [served.entry.value])
        )
        return replace(window, rows=rows)


class OldestTotal(OrderBook):
    def _make_window(
        self, start: int, stop: int, basis: Any, *, inconsistent: bool = False
    ) -> Window:
        window = super()._make_window(start, stop, basis, inconsistent=inconsistent)
        oldest = min(basis, key=lambda served: served.entry.sequence)
        return replace(window, total=oldest.entry.value.total)


class NoDeadline(OrderBook):
    def __init__(self, *args: Any, deadline: float) -> None:
        super().__init__(*args, deadline=deadline + 3600)


# The whole list.


class ReadsWhateverComes(SnapshotLoader):
    async def _outdated(self, *_: Any) -> list[int]:
        return []


class ReadsBehindThoseWhoWait(SnapshotLoader):
    async def load(self, before: Snapshot | None) -> Snapshot:
        flights: SingleFlight[None, Snapshot] = SingleFlight(self._clock)
        flight = flights.launch(None, partial(super().load, before))
        await asyncio.wait((flight.task,))  # not as one of its waiters
        return flight.result()


class KeepsAGoneList(SnapshotCache):
    def _freshness(self, snapshot: Snapshot) -> Freshness:
        found = super()._freshness(snapshot)
        return Freshness.STALE_IF_ERROR if found is Freshness.EXPIRED else found


# The way out.


def one_too_many(**config: Any) -> UpstreamClient:
    return create_upstream_client(**config | {"max_concurrency": config["max_concurrency"] + 1})


def too_fast(**config: Any) -> UpstreamClient:
    return create_upstream_client(**config | {"max_rate": 2 * config["max_rate"]})


def too_many_tries(**config: Any) -> UpstreamClient:
    return create_upstream_client(**config | {"max_attempts": 50})


def _breaker(kind: type[Breaker]) -> Parts:
    """A client whose breaker is of that kind."""

    def make(**config: Any) -> UpstreamClient:
        client = create_upstream_client(**config)
        client._transport._admission._breaker = kind(open_seconds=config["breaker_open_seconds"])
        return client

    return Parts(client=make)


def _limiter(kind: type[CallLimiter]) -> Parts:
    """A client whose limiter is of that class."""

    def make(**config: Any) -> UpstreamClient:
        client = create_upstream_client(**config)
        client._transport._admission._limiter = kind(
            config["clock"], max_concurrency=config["max_concurrency"], max_rate=config["max_rate"]
        )
        return client

    return Parts(client=make)


class NeverOpens(Breaker):
    def retry_in(self, now: float) -> None:
        del now


class ProbesInACrowd(Breaker):
    def retry_in(self, now: float) -> float | None:
        return None if self._probing else super().retry_in(now)


class StaysOpen(Breaker):
    def after_call(self, epoch: int, result: CallResult, now: float) -> float | None:
        if self._probing and result is CallResult.SUCCESS:
            result = CallResult.FAILURE
        return super().after_call(epoch, result, now)


class DeafToThrottling(CallLimiter):
    def on_throttled(self, started: float, retry_after: float | None) -> None:
        """Nothing is done."""


class FirstComeFirstServed(CallLimiter):
    def _dispatch(self) -> None:
        now = self._clock.monotonic()
        while self._queue and self._may_start(now):
            self._queue.pop(0).turn.set_result(self._start(now))
        self._set_timer()


class KeepsAPlaceForLeavers(CallLimiter):
    async def _wait_turn(self, call: Any, seconds: float) -> CallStart:
        try:
            return await super()._wait_turn(call, seconds)
        except DeadlineExceeded:
            self._queue.append(call)
            raise


class NeverGivesBack(CallLimiter):
    def release(self) -> None:
        if self._queue:
            super().release()


def _credential(kind: type[TokenCredential]) -> Parts:
    """A client whose credentials are of that kind."""

    def make(**config: Any) -> UpstreamClient:
        client = create_upstream_client(**config)

        def make_credential(key: AccessKey) -> TokenCredential:
            return kind(
                client._transport,
                config["clock"],
                access_key=key,
                pool_id=config["pool_id"],
                deadline=config["deadline"],
            )

        key = AccessKey(config["access_key_id"], config["access_key_secret"])
        client._credential = make_credential(key)
        client._credential_factory = make_credential
        return client

    return Parts(client=make)


class DropsAnyToken(TokenCredential):
    async def renew(self, rejected: CallAuth, *, deadline: float) -> Token:
        del rejected
        self._token = None
        return await self.authorize(deadline=deadline)


class _EachAsks(SingleFlight[None, Token]):
    def get(self, key: None) -> None:
        del key

    def _remove(self, key: None, task: "asyncio.Task[Token]") -> None:
        if key in self._flights:
            super()._remove(key, task)


class RenewsForEach(TokenCredential):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._renewals = _EachAsks(self._clock)


class KeepsTheRefused(TokenCredential):
    async def renew(self, rejected: CallAuth, *, deadline: float) -> Token:
        del rejected
        return await self.authorize(deadline=deadline)


def _cache(kind: Callable[..., Cache]) -> Parts:
    return Parts(cache=kind)


def _book(kind: Callable[..., OrderBook]) -> Parts:
    return Parts(book=kind)


def _client(make: Callable[..., UpstreamClient]) -> Parts:
    return Parts(client=make)


BAD_ANSWER = ("coherent, or it says so", "none is lost", "the right window, in order")
WAIT = "who could be served waits no longer than WAIT"
LEFT = "nothing is left behind"
TOO_OLD = "never older than ttl + grace + keep"

PLANTED = (
    Planted(
        "fresh a moment too long", Parts(lifetime=FreshAtTheTtl), "fresh is younger than the ttl"
    ),
    Planted("nothing is ever gone", Parts(lifetime=NeverGone), TOO_OLD),
    Planted(
        "no pause after a failure", Parts(backoff=lambda *_: 0.0), "a failed fetch is left in peace"
    ),
    Planted("age from the landing", _cache(AgeFromTheLanding), "age counts from the asking"),
    Planted("errors forget", _cache(ErrorsForget), "an error never replaces a good answer"),
    Planted("errors lengthen life", _cache(ErrorsLengthenLife), "age counts from the asking"),
    Planted("early whenever it lags", _cache(EarlyWheneverItLags), "bounded calls", near=2080),
    Planted("renews what failed", _cache(RenewsWhatFailed), "a failed fetch is left in peace"),
    Planted("every look waits anew", _cache(EveryLookWaitsAnew), WAIT),
    Planted("waits as long as it takes", _cache(WaitsAsLongAsItTakes), WAIT),
    Planted("deaf to no-cache", _cache(DeafToNoCache), "no-cache asks again"),
    Planted(
        "deaf to only-if-cached", _cache(DeafToOnlyIfCached), "only-if-cached launches nothing"
    ),
    Planted("never refreshes behind", _cache(NeverRefreshes), "it heals"),
    Planted(
        "a leaver ends the flight", _cache(FlightsEndWithACaller), "a flight belongs to the group"
    ),
    Planted("nobody joins", _cache(NobodyJoins), "one flight a key"),
    Planted("failed flights stay", _cache(FailedFlightsStay), LEFT, "it heals"),
    Planted("no probe", _book(NoProbe), "bounded calls"),
    Planted("who comes last tells", _book(LastComeTells), "who was asked last tells the total"),
    Planted("trusts neighbours", _book(TrustsNeighbours), *BAD_ANSWER),
    Planted("looks at totals only", _book(LooksAtTotalsOnly), *BAD_ANSWER),
    Planted(
        "stops at the total that counts", _book(StopsAtTheTotalThatCounts), *BAD_ANSWER, near=760
    ),
    Planted("never says that it shifts", _book(NeverSaysThatItShifts), *BAD_ANSWER),
    Planted("cries shift", _book(CriesShift), "a list that stands still does not shift"),
    Planted("shows an order twice", _book(ShowsTwice), "each order once"),
    Planted("the oldest total", _book(OldestTotal), "the newest total"),
    Planted("no deadline", _book(NoDeadline), "no one waits past the deadline"),
    Planted("reads whatever comes", Parts(reading=ReadsWhateverComes), *BAD_ANSWER),
    Planted(
        "reads behind those who wait",
        Parts(reading=ReadsBehindThoseWhoWait),
        "callers go first",
        seam=Seam.TRANSPORT,
    ),
    Planted("keeps a gone list", Parts(collection=KeepsAGoneList), TOO_OLD),
    Planted("one call too many", _client(one_too_many), "no more calls in flight than allowed"),
    Planted("too fast", _client(too_fast), "no more calls a second than allowed"),
    Planted("too many tries", _client(too_many_tries), "a question is tried a few times"),
    Planted(
        "drops any token", _credential(DropsAnyToken), "a token is used while it is good", near=4060
    ),
    Planted("renews for each", _credential(RenewsForEach), "one renewal at a time"),
    Planted("keeps the refused token", _credential(KeepsTheRefused), "it heals"),
    Planted("never opens", _breaker(NeverOpens), "an ill upstream is left in peace"),
    Planted("probes in a crowd", _breaker(ProbesInACrowd), "one probe at a time", near=10500),
    Planted("stays open", _breaker(StaysOpen), "it heals"),
    Planted("deaf to throttling", _limiter(DeafToThrottling), "who is asked to wait waits"),
    Planted(
        "first come, first served", _limiter(FirstComeFirstServed), "callers go first", near=6500
    ),
    Planted("a place for those who left", _limiter(KeepsAPlaceForLeavers), LEFT),
    Planted("places never given back", _limiter(NeverGivesBack), LEFT),
)
