"""What a request gets while entries age and fetches fail."""

import asyncio
from collections.abc import Callable

import pytest

from app.cache.freshness import CacheDirective, Freshness, Lifetime
from app.cache.grace_cache import Entry, GraceCache, Lookup, NotInCache, Outcome, WaitTimeout
from app.single_flight import SingleFlight, TooManyWaiters, current_flight
from app.upstream.errors import UpstreamFailed
from tests.support.clock import ManualClock, settle

TTL = 60
STALE_IF_ERROR_AGE = 360
EXPIRED_AGE = 1360


class DoesNotExist(Exception):
    """A negative answer."""


class Source:
    """What is fetched: numbered values, which a test can delay or let fail."""

    def __init__(self) -> None:
        self.fetches = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.has_waiters: Callable[[], bool] = lambda: False

    async def fetch(self, _key: str) -> str:
        self.fetches += 1
        flight = current_flight()
        assert flight
        self.has_waiters = flight.has_waiters
        value, error = f"value {self.fetches}", self.error
        await self.gate.wait()
        if error:
            raise error
        return value


class Harness:
    """A cache, its clock and its source."""

    def __init__(self, *, max_bytes: int = 1000) -> None:
        self.clock = ManualClock()
        self.source = Source()
        self.stored: list[Entry[str]] = []
        self.cache: GraceCache[str, str] = GraceCache(
            Lifetime(TTL, 300, 1300),
            self.clock,
            min_age=5,
            max_stale_wait=2,
            max_entries=10,
            max_bytes=max_bytes,
            size_of=len,
            negative_errors=(DoesNotExist,),
        )
        self.cache.add_listener(lambda _key, entry: self.stored.append(entry))

    def request(
        self,
        directive: CacheDirective = CacheDirective.DEFAULT,
        *,
        outdated: Entry[str] | None = None,
    ) -> "asyncio.Future[Lookup[str]]":
        """Start a request whose deadline is in 8 seconds."""
        deadline = self.clock.monotonic() + 8
        return asyncio.ensure_future(
            self.cache.get_or_fetch(
                "k", self.source.fetch, directive, deadline=deadline, outdated=outdated
            )
        )

    def refetch(self, outdated: Entry[str]) -> "asyncio.Future[Lookup[str]]":
        return self.request(CacheDirective.REFETCH, outdated=outdated)

    def revalidate(self) -> "asyncio.Future[Lookup[str]]":
        """Start a request that needs a fresh entry and waits for it without a limit."""
        return asyncio.ensure_future(
            self.cache.get_or_fetch("k", self.source.fetch, CacheDirective.MUST_REVALIDATE)
        )


@pytest.fixture
def harness() -> Harness:
    return Harness()


def summary(lookup: Lookup[str]) -> tuple[str, Freshness, Outcome]:
    return lookup.entry.value, lookup.freshness, lookup.outcome


async def test_a_fresh_entry_is_served_without_a_fetch(harness: Harness):
    first = await harness.request()
    assert summary(first) == ("value 1", Freshness.FRESH, Outcome.MISS)
    assert first.forward_reason == "uri-miss"
    await harness.clock.advance(59)
    assert summary(await harness.request()) == ("value 1", Freshness.FRESH, Outcome.HIT)
    assert harness.source.fetches == 1


async def test_a_stale_entry_is_served_at_once_and_refreshed_in_the_background(harness: Harness):
    await harness.request()
    await harness.clock.advance(TTL)
    harness.source.gate.clear()
    assert summary(await harness.request()) == ("value 1", Freshness.STALE, Outcome.STALE_HIT)
    harness.source.gate.set()
    await settle()
    assert summary(await harness.request()) == ("value 2", Freshness.FRESH, Outcome.HIT)


async def test_concurrent_requests_share_one_fetch(harness: Harness):
    lookups = await asyncio.gather(*(harness.request() for _ in range(50)))
    assert {lookup.entry.value for lookup in lookups} == {"value 1"}
    outcomes = [lookup.outcome for lookup in lookups]
    assert outcomes.count(Outcome.MISS) == 1
    assert outcomes.count(Outcome.COLLAPSED) == 49
    assert harness.source.fetches == 1


async def test_a_stale_if_error_entry_is_fetched_again_and_waited_for(harness: Harness):
    await harness.request()
    await harness.clock.advance(STALE_IF_ERROR_AGE)
    lookup = await harness.request()
    assert summary(lookup) == ("value 2", Freshness.FRESH, Outcome.MISS)
    assert lookup.forward_reason == "stale"


async def test_a_stale_if_error_entry_is_served_if_the_fetch_fails(harness: Harness):
    await harness.request()
    await harness.clock.advance(STALE_IF_ERROR_AGE)
    harness.source.error = OSError("down")
    lookup = await harness.request()
    assert summary(lookup) == ("value 1", Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    assert lookup.error is harness.source.error


async def test_a_stale_if_error_entry_is_served_if_the_fetch_takes_too_long(harness: Harness):
    await harness.request()
    await harness.clock.advance(STALE_IF_ERROR_AGE)
    harness.source.gate.clear()
    request = harness.request()
    await harness.clock.advance(1.9)
    assert not request.done()
    await harness.clock.advance(0.1)
    lookup = request.result()
    assert summary(lookup) == ("value 1", Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    assert isinstance(lookup.error, WaitTimeout)
    harness.source.gate.set()
    await settle()
    assert summary(await harness.request()) == ("value 2", Freshness.FRESH, Outcome.HIT)


async def test_the_longest_wait_for_a_stale_entry_counts_from_when_the_caller_began_to_wait(
    harness: Harness,
):
    await harness.request()
    await harness.clock.advance(STALE_IF_ERROR_AGE)
    harness.source.gate.clear()
    now = harness.clock.monotonic()
    request = asyncio.ensure_future(
        harness.cache.get_or_fetch("k", harness.source.fetch, wait_started=now - 1.5)
    )
    await harness.clock.advance(0.4)
    assert not request.done()
    await harness.clock.advance(0.1)
    assert request.result().outcome is Outcome.STALE_IF_ERROR
    harness.source.gate.set()
    await settle()


async def test_an_expired_entry_is_not_served(harness: Harness):
    await harness.request()
    await harness.clock.advance(EXPIRED_AGE)
    harness.source.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        await harness.request()


async def test_without_an_entry_a_caller_waits_until_its_deadline_and_the_fetch_goes_on(
    harness: Harness,
):
    harness.source.gate.clear()
    request = harness.request()
    await harness.clock.advance(8)
    with pytest.raises(WaitTimeout):
        request.result()
    harness.source.gate.set()
    await settle()
    assert summary(await harness.request()) == ("value 1", Freshness.FRESH, Outcome.HIT)


async def test_a_failed_fetch_is_not_repeated_while_backing_off(harness: Harness):
    harness.source.error = OSError("down")
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await harness.request()
    assert harness.source.fetches == 1
    await harness.clock.advance(1)
    with pytest.raises(OSError, match="down"):
        await harness.request()
    await harness.clock.advance(1.9)
    with pytest.raises(OSError, match="down"):
        await harness.request()
    assert harness.source.fetches == 2


async def test_a_successful_fetch_resets_the_backoff(harness: Harness):
    for _ in range(2):
        harness.source.error = OSError("down")
        with pytest.raises(OSError, match="down"):
            await harness.request()
        await harness.clock.advance(1)
        harness.source.error = None
        assert (await harness.request()).outcome is Outcome.MISS
        await harness.clock.advance(EXPIRED_AGE)


async def test_an_error_has_the_seconds_until_the_next_attempt_as_its_retry_after(
    harness: Harness,
):
    harness.source.error = UpstreamFailed("down")
    for elapsed, retry_after in ((0, 1.0), (0.25, 0.75), (1, 2.0)):
        await harness.clock.advance(elapsed)
        with pytest.raises(UpstreamFailed) as failed:
            await harness.request()
        assert failed.value.retry_after == retry_after


async def test_a_caller_beyond_the_maximum_of_waiters_is_served_the_stale_entry(harness: Harness):
    harness.cache._flights = SingleFlight(harness.clock, max_waiters=0)
    harness.source.gate.clear()
    with pytest.raises(TooManyWaiters):
        await harness.request()
    harness.source.gate.set()
    await settle()
    harness.source.gate.clear()
    await harness.clock.advance(STALE_IF_ERROR_AGE)
    lookup = await harness.request()
    assert summary(lookup) == ("value 1", Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    assert isinstance(lookup.error, TooManyWaiters)
    harness.source.gate.set()
    await settle()


async def test_a_fetch_can_see_whether_anybody_waits_for_it(harness: Harness):
    await harness.request()
    await harness.clock.advance(TTL)
    harness.source.gate.clear()
    await harness.request()  # stale: served at once, and refreshed in the background
    await settle()
    assert not harness.source.has_waiters()
    await harness.clock.advance(300)
    request = harness.request()  # stale-if-error: waits for the refresh
    await settle()
    assert harness.source.has_waiters()
    request.cancel()
    await settle()
    assert not harness.source.has_waiters()
    harness.source.gate.set()
    await settle()
    assert not harness.source.has_waiters()


async def test_an_entry_is_served_at_once_while_backing_off(harness: Harness):
    await harness.request()
    await harness.clock.advance(STALE_IF_ERROR_AGE)
    harness.source.error = OSError("down")
    await harness.request()
    for directive in (CacheDirective.DEFAULT, CacheDirective.NO_CACHE):
        assert summary(await harness.request(directive)) == (
            "value 1",
            Freshness.STALE_IF_ERROR,
            Outcome.STALE_HIT,
        )
    assert harness.source.fetches == 2


async def test_a_stale_entry_is_not_refreshed_while_backing_off(harness: Harness):
    await harness.request()
    await harness.clock.advance(TTL)
    harness.source.error = OSError("down")
    for _ in range(2):
        await harness.request()
        await settle()
    assert harness.source.fetches == 2


async def test_an_error_does_not_extend_the_life_of_an_entry(harness: Harness):
    await harness.request()
    harness.source.error = OSError("down")
    for _ in range(EXPIRED_AGE // 10):
        await harness.clock.advance(10)
    with pytest.raises(OSError, match="down"):
        await harness.request()


async def test_a_negative_error_is_raised_and_removes_the_entry(harness: Harness):
    await harness.request()
    await harness.clock.advance(STALE_IF_ERROR_AGE)
    harness.source.error = DoesNotExist()
    for _ in range(2):
        with pytest.raises(DoesNotExist):
            await harness.request()
    assert harness.cache.get("k") is None


async def test_no_cache_fetches_again_unless_the_entry_is_younger_than_min_age(harness: Harness):
    await harness.request()
    await harness.clock.advance(4)
    lookup = await harness.request(CacheDirective.NO_CACHE)
    assert summary(lookup) == ("value 1", Freshness.FRESH, Outcome.HIT)
    await harness.clock.advance(1)
    lookup = await harness.request(CacheDirective.NO_CACHE)
    assert summary(lookup) == ("value 2", Freshness.FRESH, Outcome.MISS)
    assert lookup.forward_reason == "request"


async def test_no_cache_serves_the_entry_if_the_fetch_fails(harness: Harness):
    await harness.request()
    await harness.clock.advance(30)
    harness.source.error = OSError("down")
    lookup = await harness.request(CacheDirective.NO_CACHE)
    assert summary(lookup) == ("value 1", Freshness.FRESH, Outcome.STALE_IF_ERROR)


async def test_only_if_cached_serves_the_entry_without_a_fetch(harness: Harness):
    with pytest.raises(NotInCache):
        await harness.request(CacheDirective.ONLY_IF_CACHED)
    await harness.request()
    await harness.clock.advance(400)
    lookup = await harness.request(CacheDirective.ONLY_IF_CACHED)
    assert summary(lookup) == ("value 1", Freshness.STALE_IF_ERROR, Outcome.STALE_HIT)
    assert harness.source.fetches == 1


async def test_a_value_that_is_too_large_is_served_and_not_stored():
    harness = Harness(max_bytes=3)
    assert (await harness.request()).entry.value == "value 1"
    assert (await harness.request()).entry.value == "value 2"
    assert harness.cache.items() == []
    assert [entry.value for entry in harness.stored] == ["value 1", "value 2"]


async def test_the_ttl_is_the_configured_one_or_a_longer_minimum(harness: Harness):
    await harness.request()
    harness.cache.set_min_ttl(100)
    await harness.clock.advance(99)
    assert (await harness.request()).outcome is Outcome.HIT
    harness.cache.set_min_ttl(5)
    assert harness.cache.ttl == TTL


async def test_an_outdated_entry_is_stale_and_is_refetched_early_once_per_ttl(harness: Harness):
    first = await harness.request()
    second = await harness.refetch(first.entry)
    assert summary(second) == ("value 2", Freshness.FRESH, Outcome.MISS)
    third = await harness.refetch(second.entry)
    assert summary(third) == ("value 2", Freshness.STALE, Outcome.STALE_HIT)
    await harness.request()
    await settle()
    assert harness.source.fetches == 2
    await harness.clock.advance(TTL)
    await harness.request()
    await settle()
    assert harness.source.fetches == 3


async def test_an_outdated_entry_that_was_replaced_meanwhile_is_not_refetched(harness: Harness):
    first = await harness.request()
    await harness.clock.advance(10)
    await harness.request(CacheDirective.NO_CACHE)
    lookup = await harness.refetch(first.entry)
    assert summary(lookup) == ("value 2", Freshness.FRESH, Outcome.COLLAPSED)
    assert harness.source.fetches == 2


async def test_an_outdated_entry_that_is_no_longer_stored_is_refetched():
    harness = Harness(max_bytes=3)
    first = await harness.request()
    assert (await harness.refetch(first.entry)).entry.value == "value 2"


async def test_listeners_are_called_with_an_entry_when_it_is_fetched_and_when_it_is_outdated(
    harness: Harness,
):
    fetched = (await harness.request()).entry
    assert harness.stored == [fetched]
    harness.source.error = RuntimeError("down")
    outdated = (await harness.refetch(fetched)).entry
    assert outdated.outdated
    assert harness.stored == [fetched, outdated]
    await harness.refetch(fetched)
    assert harness.stored == [fetched, outdated]


async def test_must_revalidate_is_served_a_fresh_entry_and_else_waits_for_the_fetch(
    harness: Harness,
):
    lookup = await harness.revalidate()
    assert summary(lookup) == ("value 1", Freshness.FRESH, Outcome.MISS)
    lookup = await harness.revalidate()
    assert summary(lookup) == ("value 1", Freshness.FRESH, Outcome.HIT)
    await harness.clock.advance(TTL)
    harness.source.gate.clear()
    request = harness.revalidate()
    await harness.clock.advance(100)
    assert not request.done()
    harness.source.gate.set()
    lookup = await request
    assert (lookup.entry.value, lookup.forward_reason) == ("value 2", "stale")


async def test_must_revalidate_raises_the_error_also_while_backing_off(harness: Harness):
    await harness.request()
    await harness.clock.advance(TTL)
    harness.source.error = RuntimeError("down")
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await harness.revalidate()
    assert harness.source.fetches == 2


async def test_must_revalidate_is_served_an_outdated_entry_that_was_refetched_early(
    harness: Harness,
):
    entry = (await harness.request()).entry
    await harness.clock.advance(10)
    refetched = (await harness.refetch(entry)).entry
    outdated = (await harness.refetch(refetched)).entry
    lookup = await harness.revalidate()
    assert (lookup.entry, lookup.outcome) == (outdated, Outcome.STALE_HIT)
    assert harness.source.fetches == 2


async def test_closing_waits_for_the_fetches(harness: Harness):
    harness.source.gate.clear()
    request = harness.request()
    await settle()
    closing = asyncio.ensure_future(harness.cache.close(10))
    await settle()
    harness.source.gate.set()
    await closing
    assert (await request).entry.value == "value 1"


async def test_a_purged_entry_is_fetched_again_and_served_if_that_fails(harness: Harness):
    await harness.request()
    assert harness.cache.purge() == 1
    harness.source.error = UpstreamFailed("it failed")
    lookup = await harness.request()
    assert summary(lookup) == ("value 1", Freshness.STALE_IF_ERROR, Outcome.STALE_IF_ERROR)
    harness.source.error = None
    await harness.clock.advance(1)
    assert summary(await harness.request()) == ("value 3", Freshness.FRESH, Outcome.MISS)
    assert summary(await harness.request()) == ("value 3", Freshness.FRESH, Outcome.HIT)


async def test_a_purged_entry_expires_no_later_than_otherwise(harness: Harness):
    await harness.request()
    harness.cache.purge()
    await harness.clock.advance(EXPIRED_AGE)
    assert harness.cache.freshness_at(harness.stored[0].fetched_at) is Freshness.EXPIRED


async def test_a_dropped_entry_is_removed_and_expired_for_whoever_has_it(harness: Harness):
    entry = (await harness.request()).entry
    assert harness.cache.usage.entries == 1
    assert harness.cache.purge(drop=True) == 1
    assert harness.cache.usage.entries == harness.cache.usage.bytes == 0
    assert harness.cache.freshness(entry) is Freshness.EXPIRED
    harness.source.error = UpstreamFailed("it failed")
    with pytest.raises(UpstreamFailed):
        await harness.request()


@pytest.mark.parametrize("drop", [True, False])
async def test_a_fetch_from_before_a_purge_is_neither_stored_nor_joined(
    harness: Harness, drop: bool
):
    harness.source.gate.clear()
    before = harness.request()
    await settle()
    harness.cache.purge(drop=drop)
    after = harness.request()
    await settle()
    harness.source.gate.set()
    assert ((await before).entry.value, (await after).entry.value) == ("value 1", "value 2")
    assert summary(await harness.request()) == ("value 2", Freshness.FRESH, Outcome.HIT)


async def test_a_failure_from_before_a_purge_is_not_backed_off_from(harness: Harness):
    harness.source.gate.clear()
    harness.source.error = UpstreamFailed("it failed")
    before = harness.request()
    await settle()
    harness.cache.purge()
    harness.source.gate.set()
    with pytest.raises(UpstreamFailed):
        await before
    harness.source.error = None
    assert summary(await harness.request()) == ("value 2", Freshness.FRESH, Outcome.MISS)


async def test_a_purge_in_the_same_instant_covers_the_fetches_since_the_last_one(
    harness: Harness,
):
    harness.cache.purge()
    await harness.request()
    harness.cache.purge()
    assert summary(await harness.request()) == ("value 2", Freshness.FRESH, Outcome.MISS)
