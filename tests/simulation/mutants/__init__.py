"""Mutants: components with a deliberate bug. Each has to break the rule that its bug violates.

A rule that no mutant breaks might be one that the oracles never check.
"""

from tests.simulation.components import ORIGINALS, Components
from tests.simulation.disturbed.plan import FIRST_DISTURBED_SEED
from tests.simulation.mutants import cache, orders, sync, upstream
from tests.simulation.plan import Seam
from tests.simulation.rules import Rule
from tests.simulation.sync.draw import FIRST_DEFECT_SEED, FIRST_SYNC_SEED

MAX_WORLDS = 6000
"""Worlds in which each has to be found; most are found in the first hundred."""

MAX_LONG_WORLDS = 300
"""Likewise, for worlds that take longer: those of a list that is followed, or disturbed."""


class Mutant:
    """One mutant.

    Args:
        description: what it does wrong.
        components: the world's components, of which one has the bug.
        rules: one of these has to be reported as broken.
        seam: of the worlds in which it is searched for; by default the smallest that have it.
        first_seed: where the search starts: shortly before a seed that is known to show a rare bug.
    """

    def __init__(
        self,
        description: str,
        components: Components,
        *rules: Rule,
        seam: Seam | None = None,
        first_seed: int = 0,
    ) -> None:
        self.description = description
        self.components = components
        self.rules = frozenset(rules)
        has_client = components.client is not ORIGINALS.client
        self.seam = seam or (Seam.TRANSPORT if has_client else Seam.FETCH)
        self.first_seed = first_seed


_BAD_ROWS = (Rule.CONSISTENT, Rule.COMPLETE, Rule.ROWS)

MUTANTS = (
    # Cache.
    Mutant("fresh at an age of exactly TTL", Components(lifetime=cache.FreshAtTtl), Rule.FRESH),
    Mutant("entries never expire", Components(lifetime=cache.NeverExpires), Rule.EXPIRED),
    Mutant("no backoff", Components(backoff=lambda *_: 0.0), Rule.BACKOFF),
    Mutant(
        "age counts from the end of the fetch",
        Components(block_cache=cache.AgeCountsFromEnd),
        Rule.AGE,
    ),
    Mutant(
        "a failed fetch removes the entry",
        Components(block_cache=cache.ErrorsRemoveEntries),
        Rule.STALE_IF_ERROR,
        first_seed=30,
    ),
    Mutant(
        "a failed fetch makes the entry younger",
        Components(block_cache=cache.ErrorsExtendLife),
        Rule.AGE,
    ),
    Mutant(
        "outdated blocks are fetched again any number of times",
        Components(block_cache=cache.RefetchesRepeatedly),
        Rule.BOUNDED,
        first_seed=2340,
    ),
    Mutant(
        "outdated blocks are fetched again during their backoff",
        Components(block_cache=cache.RefetchesDuringBackoff),
        Rule.BACKOFF,
        first_seed=400,
    ),
    Mutant(
        "the wait for each outdated block starts anew",
        Components(block_cache=cache.RefetchRestartsWait),
        Rule.MAX_STALE_WAIT,
    ),
    Mutant(
        "MAX_STALE_WAIT is ignored",
        Components(block_cache=cache.IgnoresMaxStaleWait),
        Rule.MAX_STALE_WAIT,
    ),
    Mutant("no-cache is ignored", Components(block_cache=cache.IgnoresNoCache), Rule.NO_CACHE),
    Mutant(
        "only-if-cached is ignored",
        Components(block_cache=cache.IgnoresOnlyIfCached),
        Rule.ONLY_IF_CACHED_FETCH,
    ),
    Mutant(
        "stale entries are not refreshed",
        Components(block_cache=cache.NeverRefreshes),
        Rule.RECOVERY,
        first_seed=80,
    ),
    Mutant(
        "a caller that disconnects cancels the fetch",
        Components(block_cache=cache.CallersCancelFlights),
        Rule.SHARED_FLIGHT,
    ),
    Mutant(
        "each caller starts its own fetch",
        Components(block_cache=cache.NoSingleFlight),
        Rule.SINGLE_FLIGHT,
    ),
    Mutant(
        "failed fetches remain in progress",
        Components(block_cache=cache.FailedFlightsRemain),
        Rule.NOTHING_LEFT,
        Rule.RECOVERY,
    ),
    # Order book.
    Mutant("no probe for the total", Components(book=orders.NoProbe), Rule.BOUNDED),
    Mutant(
        "the total is that of the fetch that completed last",
        Components(book=orders.TotalOfLastCompleted),
        Rule.LATEST_TOTAL,
    ),
    Mutant("blocks are never outdated", Components(book=orders.NothingOutdated), *_BAD_ROWS),
    Mutant("only totals are compared", Components(book=orders.ComparesTotalsOnly), *_BAD_ROWS),
    Mutant(
        "a block may have a greater total than the current one",
        Components(book=orders.AcceptsGreaterTotal),
        *_BAD_ROWS,
        first_seed=760,
    ),
    Mutant("never marked as inconsistent", Components(book=orders.NeverInconsistent), *_BAD_ROWS),
    Mutant(
        "always marked as inconsistent",
        Components(book=orders.AlwaysInconsistent),
        Rule.FALSELY_INCONSISTENT,
    ),
    Mutant("orders occur twice", Components(book=orders.KeepsDuplicates), Rule.NO_DUPLICATE),
    Mutant(
        "an answer has the oldest total",
        Components(book=orders.OldestTotal),
        Rule.ANSWER_TOTAL,
        first_seed=100,
    ),
    Mutant("no deadline", Components(book=orders.NoDeadline), Rule.DEADLINE),
    # Snapshots.
    Mutant(
        "outdated blocks are accepted in a snapshot",
        Components(snapshot_loader=orders.LoadsOutdatedBlocks),
        *_BAD_ROWS,
    ),
    Mutant(
        "a snapshot that callers wait for is loaded in the background",
        Components(snapshot_loader=orders.LoadsInBackground),
        Rule.CALLERS_FIRST,
        seam=Seam.TRANSPORT,
        first_seed=1580,
    ),
    Mutant(
        "a snapshot never expires",
        Components(snapshot_cache=orders.SnapshotNeverExpires),
        Rule.EXPIRED,
        first_seed=300,
    ),
    # Upstream client.
    Mutant(
        "one call too many in flight",
        Components(client=upstream.with_extra_concurrency),
        Rule.MAX_CONCURRENCY,
    ),
    Mutant("twice the rate", Components(client=upstream.with_double_rate), Rule.MAX_RATE),
    Mutant(
        "too many attempts", Components(client=upstream.with_too_many_attempts), Rule.MAX_ATTEMPTS
    ),
    Mutant(
        "a valid token is dropped",
        upstream.with_credential(upstream.DropsAnyToken),
        Rule.TOKEN_REUSE,
        first_seed=5400,
    ),
    Mutant(
        "each call renews the token",
        upstream.with_credential(upstream.NoSharedRenewal),
        Rule.ONE_RENEWAL,
        first_seed=280,
    ),
    Mutant(
        "a rejected token is kept",
        upstream.with_credential(upstream.KeepsRejectedToken),
        Rule.RECOVERY,
    ),
    Mutant(
        "the circuit breaker never opens",
        upstream.with_breaker(upstream.NeverOpens),
        Rule.BREAKER_OPEN,
        first_seed=180,
    ),
    Mutant(
        "the circuit breaker sends several probes",
        upstream.with_breaker(upstream.SendsSeveralProbes),
        Rule.ONE_PROBE,
        first_seed=10_500,
    ),
    Mutant(
        "the circuit breaker never closes",
        upstream.with_breaker(upstream.NeverCloses),
        Rule.RECOVERY,
        first_seed=180,
    ),
    Mutant(
        "Retry-After is ignored",
        upstream.with_limiter(upstream.IgnoresThrottling),
        Rule.RETRY_AFTER,
        first_seed=1080,
    ),
    Mutant(
        "calls that timed out stay in the queue",
        upstream.with_limiter(upstream.KeepsTimedOutCalls),
        Rule.NOTHING_LEFT,
        first_seed=1140,
    ),
    Mutant("slots are not released", upstream.with_limiter(upstream.LeaksSlots), Rule.NOTHING_LEFT),
    # Lists that are followed.
    Mutant(
        "a page has the rows that it had before",
        Components(book=sync.ServesFormerRows),
        Rule.NO_REMOVED,
        first_seed=FIRST_SYNC_SEED,
    ),
    Mutant(
        "an inconsistent list is not served",
        Components(snapshot_cache=sync.RefusesInconsistent),
        Rule.ALWAYS_ANSWERED,
        first_seed=FIRST_DEFECT_SEED,
    ),
    Mutant(
        "removed orders are not reported",
        Components(change_history=sync.ReportsNoRemoval),
        Rule.FOLLOWED,
        first_seed=FIRST_SYNC_SEED,
    ),
    Mutant(
        "a total that was stated once is believed",
        Components(confirmation=orders.BelievesTotals),
        Rule.ABSURD_TOTAL,
        first_seed=FIRST_DEFECT_SEED + 12,
    ),
    Mutant(
        "changes of the list are evident from totals only",
        Components(book=sync.ComparesNothing),
        Rule.EXPORT_LACKS,
        first_seed=FIRST_SYNC_SEED + 30,
    ),
    Mutant(
        "the ends of the list are not compared",
        Components(book=sync.ComparesNoEnds),
        Rule.EXPORT_LACKS,
        first_seed=FIRST_SYNC_SEED + 30,
    ),
    Mutant(
        "neighbouring blocks are not compared",
        Components(book=sync.ComparesNoNeighbours),
        Rule.EXPORT_LACKS,
        Rule.CONSISTENT,
        first_seed=FIRST_SYNC_SEED + 30,
    ),
    Mutant(
        "the first block is not fetched again after a cold start",
        Components(book=sync.TrustsTheFirstBlock),
        Rule.EXPORT_LACKS,
        first_seed=FIRST_SYNC_SEED + 140,
    ),
    Mutant(
        "any reading without an order removes it",
        Components(change_history=sync.RemovesAtOnce),
        Rule.FALSE_REMOVAL,
        first_seed=FIRST_SYNC_SEED + 30,
    ),
    Mutant(
        "a purge has no effect",
        Components(block_cache=sync.PurgesNothing),
        Rule.PURGED,
        first_seed=FIRST_SYNC_SEED,
    ),
    Mutant(
        "what was dropped is served if the upstream fails",
        Components(block_cache=sync.KeepsWhatIsDropped),
        Rule.DROPPED,
        first_seed=FIRST_SYNC_SEED + 15,
    ),
    Mutant(
        "what a fetch from before a purge has shown is forgotten",
        Components(block_cache=sync.ForgetsOvertakenFetches),
        Rule.EXPORT_LACKS,
        first_seed=FIRST_SYNC_SEED + 90,
    ),
    # One thing that goes wrong all the time.
    Mutant(
        "another order than the requested one is served",
        Components(client=upstream.with_other_orders),
        Rule.RIGHT_ORDER,
        first_seed=FIRST_DISTURBED_SEED,
    ),
    Mutant(
        "a token of another pool is used",
        upstream.with_credential(upstream.AcceptsAnyPool),
        Rule.SAME_POOL,
        first_seed=FIRST_DISTURBED_SEED,
    ),
    Mutant(
        "a pause is as long as the upstream asks for",
        upstream.with_limiter(upstream.PausesForLong),
        Rule.MAX_PAUSE,
        first_seed=FIRST_DISTURBED_SEED + 24,
    ),
)
