"""Checks the fetches of blocks: single flight, backoff and how many there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.cache.freshness import CacheDirective
from app.upstream.errors import UpstreamCredentialRejected, UpstreamError, UpstreamUnavailable
from tests.simulation.history import Fetch, History, ListState
from tests.simulation.plan import BLOCK_SIZE
from tests.simulation.rules import Rule

BACKOFF_SECONDS = (1.0, 2.0, 4.0, 5.0)
REJECTED_BACKOFF_SECONDS = 10.0


@dataclass(slots=True)
class _Backoff:
    failures: int = 0
    until: float = 0.0
    # Of a request whose credential has been replaced nothing follows for the next one.
    is_outdated: Callable[[], bool] = lambda: False


class FetchOracle:
    """Records and checks the fetches of a world.

    Attributes:
        is_closing: whether fetches may be cancelled.
    """

    def __init__(self, history: History) -> None:
        self.is_closing = False
        self._history = history
        self._backoffs: dict[int, _Backoff] = {}

    def fetch_started(self, fetch: Fetch) -> None:
        """Record and check a fetch."""
        history, request = self._history, fetch.request
        history.fetches.append(fetch)
        caller = f"caller {request.number}" if request else "nobody"
        history.log(f"fetch {fetch.number}", f"block {fetch.index}, for {caller}")
        if fetch.index in history.in_progress:
            history.report(Rule.SINGLE_FLIGHT, f"block {fetch.index}")
        history.in_progress[fetch.index] = fetch
        if request and request.caller.directive == CacheDirective.ONLY_IF_CACHED:
            history.report(Rule.ONLY_IF_CACHED_FETCH, caller)
        backoff = self._backoffs.get(fetch.index)
        if backoff and fetch.started_at < backoff.until and not backoff.is_outdated():
            history.report(Rule.BACKOFF, f"block {fetch.index}")

    def fetch_completed(self, fetch: Fetch, state: ListState) -> None:
        """Record that a fetch was answered from this state of the list."""
        fetch.completed_at = self._history.time()
        fetch.version, fetch.total = state.version, state.total(fetch.index)
        fetch.rows = state.block(fetch.index)
        if self._fetch_ended(fetch):
            self._backoffs.pop(fetch.index, None)
        self._history.log(
            f"fetch {fetch.number}", f"completed: version {state.version}, {fetch.total} orders"
        )

    def fetch_failed(self, fetch: Fetch, error: Exception) -> None:
        """Record that a fetch failed."""
        fetch.failed_at = self._history.time()
        self._history.log(f"fetch {fetch.number}", f"failed: {type(error).__name__}")
        if not self._fetch_ended(fetch):
            return
        backoff = self._backoffs.setdefault(fetch.index, _Backoff())
        backoff.failures += 1
        seconds = BACKOFF_SECONDS[min(backoff.failures, len(BACKOFF_SECONDS)) - 1]
        if isinstance(error, UpstreamCredentialRejected):
            # If the credential itself backs off, the error says for how much longer.
            seconds = error.retry_after or REJECTED_BACKOFF_SECONDS
        if isinstance(error, UpstreamUnavailable):
            seconds = 0.0  # the upstream was not called
        backoff.until = fetch.failed_at + seconds
        if isinstance(error, UpstreamError):
            backoff.is_outdated = error.is_outdated

    def fetch_cancelled(self, fetch: Fetch) -> None:
        """Record that a fetch was cancelled."""
        self._fetch_ended(fetch)
        if not self.is_closing:
            self._history.report(Rule.SHARED_FLIGHT, f"fetch {fetch.number} was cancelled")

    def purged(self) -> None:
        """Record that no fetch in progress is joined any more, and none has an effect."""
        self._history.in_progress.clear()

    def _fetch_ended(self, fetch: Fetch) -> bool:
        """Record that a fetch has ended; return whether it has an effect."""
        is_current = self._history.in_progress.get(fetch.index) is fetch
        if is_current:
            del self._history.in_progress[fetch.index]
        return is_current

    def check_fetch_count(self) -> None:
        """Check how many fetches succeeded within a TTL.

        Callers that send no-cache, and a cache that is too small, may cause any number.
        """
        plan = self._history.plan
        directives = {caller.directive for caller in plan.callers}
        if not plan.cache_fits_all or CacheDirective.NO_CACHE in directives:
            return
        fetches = [fetch for fetch in self._history.fetches if fetch.failed_at is None]
        max_total = max((fetch.total for fetch in fetches), default=0)
        factor = 2 if plan.changes else 1
        self._check_bound(fetches, factor * (-(-max_total // BLOCK_SIZE) + 1))
        for index in {fetch.index for fetch in fetches}:
            # The first block is fetched a second time after the last one was first known.
            bound = factor + (index == 0)
            self._check_bound([fetch for fetch in fetches if fetch.index == index], bound)

    def _check_bound(self, fetches: Sequence[Fetch], bound: int) -> None:
        for first, last in zip(fetches, fetches[bound:], strict=False):
            if last.started_at - first.started_at < self._history.plan.settings.ttl:
                self._history.report(Rule.BOUNDED, f"more than {bound}")
                return
