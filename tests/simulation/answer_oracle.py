"""Checks each answer and error that a caller gets against the contract.

It is plain Python and knows what the upstream sent and when, and what each caller got. It shares no
arithmetic with the code that it checks: it slices lists and subtracts times itself.
"""

from collections.abc import Iterable, Iterator, Sequence

from app.cache.freshness import CacheDirective, Freshness
from app.cache.grace_cache import Entry, NotInCache, WaitTimeout
from app.orders.blocks import Block
from app.orders.mapping import Row
from app.orders.snapshot_cache import ListLoading
from app.upstream.errors import UpstreamError
from tests.simulation.history import Answer, CallerRequest, Fetch, History
from tests.simulation.loop import START
from tests.simulation.plan import BLOCK_SIZE
from tests.simulation.rules import Rule

DEADLINE_TOLERANCE = 0.5
CHECK_INTERVAL = 3.0
"""Seconds, at most, between two checks of a world that has recovered."""


class AnswerOracle:
    """Records and checks the requests of a world, and what was answered."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._plan = history.plan
        self._settings = history.plan.settings
        self._may_join_load: set[int] = set()
        """Requests for all orders during a fetch: they may share the result of that load."""

    def request_started(self, request: CallerRequest, total: int | None) -> None:
        """Record a request, and check the total that the order book states at this time."""
        history, caller = self._history, request.caller
        history.waiting.add(request.number)
        if caller.requests_all and history.in_progress:
            self._may_join_load.add(request.number)
        if total not in self._latest_totals(request.started_at, history.completed()):
            history.report(Rule.LATEST_TOTAL, f"not {total}")
        range_ = "all orders" if caller.requests_all else f"{caller.start}..{caller.stop}"
        is_plain = caller.directive == CacheDirective.DEFAULT
        directive = "" if is_plain else f", {caller.directive}"
        history.log(f"caller {request.number}", f"requests {range_}{directive}")

    def request_cancelled(self, request: CallerRequest) -> None:
        """Record that a caller disconnected."""
        self._request_ended(request)
        self._history.log(f"caller {request.number}", "disconnects")

    def request_answered(self, request: CallerRequest, answer: Answer) -> None:
        """Record and check an answer."""
        self._request_ended(request)
        fetches = [self._history.fetches[int(entry.value.as_of)] for entry in answer.entries]
        self._history.log(
            f"caller {request.number}",
            f"gets {len(answer.rows)} of {answer.total}"
            f" from fetches {[fetch.number for fetch in fetches]},"
            f" {'/'.join(freshness.value for freshness in answer.freshness)}"
            + (", inconsistent" if answer.inconsistent else ""),
        )
        self._check_blocks(request, answer, fetches)
        self._check_after_outage(request, fetches)
        self._check_rows(request, answer, fetches)
        self._check_duration(request)

    def request_failed(self, request: CallerRequest, error: Exception) -> None:
        """Record and check an error that a caller got."""
        self._request_ended(request)
        report = self._history.report
        self._history.log(f"caller {request.number}", f"gets {type(error).__name__}")
        self._check_duration(request)
        all_cached = self._has_all_cached(request)
        if isinstance(error, NotInCache):
            if request.caller.directive != CacheDirective.ONLY_IF_CACHED or all_cached:
                report(Rule.ONLY_IF_CACHED, "but there was an error")
            return
        if isinstance(error, (WaitTimeout, ListLoading)):
            if self._history.time() < request.started_at + self._settings.deadline:
                report(Rule.EARLY_TIMEOUT, repr(error))
        elif not isinstance(error, UpstreamError):
            report(Rule.INTERNAL_ERROR, repr(error))
        elif self._plan.errors_are_excluded:
            report(Rule.UNEXPLAINED_ERROR, repr(error))
        if all_cached:
            report(Rule.STALE_IF_ERROR, repr(error))

    def _request_ended(self, request: CallerRequest) -> None:
        self._history.waiting.discard(request.number)
        self._history.last_departure = self._history.time()

    # Checks of an answer.

    def _check_blocks(
        self, request: CallerRequest, answer: Answer, fetches: Sequence[Fetch]
    ) -> None:
        requests_all = request.caller.requests_all
        # A caller that joins the load of a snapshot gets blocks that it had gathered before.
        waited = self._history.time() > request.started_at
        may_have_joined = requests_all and (
            waited
            or request.number in self._may_join_load
            or any(fetch.completed_since(request.started_at) for fetch in fetches)
        )
        blocks = zip(answer.entries, fetches, answer.freshness, strict=True)
        for entry, fetch, freshness in blocks:
            self._check_entry(entry, fetch)
            self._check_freshness(request, fetch, freshness, may_have_joined=may_have_joined)
            # A snapshot that is stale, or for which the cache has no room, has older blocks.
            is_latest = freshness is Freshness.FRESH and self._plan.cache_fits_all
            if not requests_all or is_latest:
                self._check_is_latest(request, fetch)
            if request.caller.directive == CacheDirective.NO_CACHE and not requests_all:
                self._check_no_cache(request, fetch, is_fallback=answer.is_fallback)

    def _check_entry(self, entry: Entry[Block], fetch: Fetch) -> None:
        if entry.value.rows != fetch.rows or entry.value.total != fetch.total:
            self._history.report(Rule.ACCURATE, f"block {fetch.index}")
        if entry.fetched_at != fetch.started_at:
            self._history.report(Rule.AGE, f"block {fetch.index}")

    def _check_freshness(
        self, request: CallerRequest, fetch: Fetch, freshness: Freshness, *, may_have_joined: bool
    ) -> None:
        """Check the reported freshness against the age when the request started."""
        if fetch.completed_since(request.started_at):
            return
        settings, report = self._settings, self._history.report
        age = request.started_at - fetch.started_at
        if age >= settings.max_age and not may_have_joined:
            report(Rule.EXPIRED, f"age {age:g}")
        if freshness is Freshness.FRESH and age >= settings.ttl:
            report(Rule.FRESH, f"age {age:g}")
        stale_until = settings.ttl + settings.stale_while_revalidate
        if freshness is Freshness.STALE and age >= stale_until:
            report(Rule.STALE, f"age {age:g}")

    def _check_is_latest(self, request: CallerRequest, fetch: Fetch) -> None:
        for other in self._history.fetches:
            is_later = other.index == fetch.index and other.started_at > fetch.started_at
            if is_later and other.completed_before(request.started_at):
                self._history.report(Rule.LATEST_BLOCK, f"{other.number}, not {fetch.number}")

    def _check_no_cache(self, request: CallerRequest, fetch: Fetch, *, is_fallback: bool) -> None:
        age = request.started_at - fetch.started_at
        failed = is_fallback or self._history.has_failed(fetch.index)
        is_young = age < self._settings.no_cache_min_age
        if not is_young and not failed and not fetch.completed_since(request.started_at):
            self._history.report(Rule.NO_CACHE, f"age {age:g}")

    def _check_after_outage(self, request: CallerRequest, fetches: Sequence[Fetch]) -> None:
        if self._plan.outage_ends_at is None:
            return
        outage_ended_at = START + self._plan.outage_ends_at
        if request.started_at < outage_ended_at + self._settings.ttl:
            return
        if not all(fetch.completed_since(outage_ended_at) for fetch in fetches):
            self._history.report(Rule.FRESH_AFTER_OUTAGE, f"{[each.number for each in fetches]}")

    def _check_rows(self, request: CallerRequest, answer: Answer, fetches: Sequence[Fetch]) -> None:
        report, caller = self._history.report, request.caller
        if _has_duplicates(answer.rows) and not answer.keeps_duplicates:
            report(Rule.NO_DUPLICATE, _order_numbers(answer.rows))
        latest = max(fetch.started_at for fetch in fetches)
        if answer.total not in {fetch.total for fetch in fetches if fetch.started_at == latest}:
            report(Rule.ANSWER_TOTAL, f"not {answer.total}")
        if answer.inconsistent:
            self._check_inconsistent_rows(request, answer, fetches)
            return
        if caller.start >= answer.total and not caller.requests_all:
            self._check_past_the_end(request, answer.total)
        if any(fetch.total != answer.total for fetch in fetches):
            report(Rule.CONSISTENT, f"totals {[fetch.total for fetch in fetches]}")
        if _has_duplicates([row for fetch in fetches for row in fetch.rows]):
            report(Rule.CONSISTENT, "two blocks contain the same order")
        stop = min(caller.stop, answer.total)
        if len(answer.rows) != max(stop - caller.start, 0):
            report(Rule.COMPLETE, f"{len(answer.rows)} rows of {caller.start}..{stop}")
        if answer.rows != tuple(_rows_between(caller.start, stop, fetches)):
            report(Rule.ROWS, _order_numbers(answer.rows))

    def _check_inconsistent_rows(
        self, request: CallerRequest, answer: Answer, fetches: Sequence[Fetch]
    ) -> None:
        """Check that the list has changed, and that the rows are those of the blocks."""
        is_unchanged = len({fetch.version for fetch in self._history.completed()}) < 2
        is_unverified = request.caller.requests_all and self._is_unverified(fetches)
        if is_unchanged and not is_unverified:
            self._history.report(Rule.FALSELY_INCONSISTENT, f"caller {request.number}")
        rows: Iterable[Row] = _rows_between(request.caller.start, request.caller.stop, fetches)
        if not answer.keeps_duplicates:
            each_once: dict[str, Row] = {}
            for row in rows:
                each_once.setdefault(row.order_no, row)
            rows = each_once.values()
        if answer.rows != tuple(rows):
            self._history.report(Rule.ROWS, _order_numbers(answer.rows))

    def _is_unverified(self, fetches: Sequence[Fetch]) -> bool:
        """Return whether the first block was fetched before the last one was first known.

        Then the whole list may have changed in between.
        """
        first, last = min(fetches, key=_index), max(fetches, key=_index)
        known_at = min(
            fetch.completed_at or 0.0
            for fetch in self._history.completed()
            if fetch.index == last.index
        )
        return first.index == 0 and first.started_at <= known_at

    def _check_past_the_end(self, request: CallerRequest, total: int) -> None:
        """Check that the total is the latest one of some time since the request started."""
        completed = self._history.completed()
        before = [fetch for fetch in completed if fetch.completed_before(request.started_at)]
        since = {fetch.total for fetch in completed if fetch.completed_since(request.started_at)}
        if total not in since | self._latest_totals(request.started_at, before):
            self._history.report(Rule.LATEST_TOTAL, f"not {total}")

    def _check_duration(self, request: CallerRequest) -> None:
        settings, report = self._settings, self._history.report
        duration = self._history.time() - request.started_at
        if duration > settings.deadline + DEADLINE_TOLERANCE:
            report(Rule.DEADLINE, f"{duration:g} s")
        if duration > 0 and request.caller.directive == CacheDirective.ONLY_IF_CACHED:
            report(Rule.ONLY_IF_CACHED_WAIT, f"{duration:g} s")
        if duration > settings.max_stale_wait and self._has_all_cached(request):
            report(Rule.MAX_STALE_WAIT, f"{duration:g} s")

    # What the cache has to contain.

    def _latest_totals(self, now: float, completed: Sequence[Fetch]) -> set[int | None]:
        """Return the total of the latest fetch: of each, if several started at the same time."""
        max_age = self._settings.max_age
        latest = max((fetch.started_at for fetch in completed), default=-max_age)
        if now - latest >= max_age:
            return {None}
        return {fetch.total for fetch in completed if fetch.started_at == latest}

    def _has_all_cached(self, request: CallerRequest) -> bool:
        """Return whether all that is requested was cached from the start to the end of the request.

        While totals differ, it has to be cached by each of them.
        """
        if not self._plan.cache_fits_all or request.number in self._may_join_load:
            return False
        now, max_age = self._history.time(), self._settings.max_age
        cached = [
            fetch
            for fetch in self._history.fetches
            if fetch.completed_before(request.started_at) and now - fetch.started_at < max_age
        ]
        if not cached:
            return False
        latest = max(fetch.started_at for fetch in cached)
        totals = {fetch.total for fetch in cached if fetch.started_at == latest}
        totals |= {
            fetch.total
            for fetch in self._history.fetches
            if fetch.completed_since(request.started_at)
        }
        indexes = {fetch.index for fetch in cached}
        start, stop = request.caller.start, request.caller.stop
        return all(indexes.issuperset(_block_indexes(start, min(stop, total))) for total in totals)

    def check_recovery(
        self, request: CallerRequest, answer: Answer, orders: tuple[Row, ...]
    ) -> None:
        """Check an answer long after the upstream became healthy and the list stopped changing."""
        report = self._history.report
        if answer.inconsistent:
            report(Rule.RECOVERY, "still inconsistent")
        ages = [request.started_at - entry.fetched_at for entry in answer.entries]
        ttl = self._settings.ttl
        # If the TTL ended since the previous check, this request is the one that causes a refresh.
        just_became_stale = any(ttl <= age < ttl + CHECK_INTERVAL for age in ages)
        if not just_became_stale and set(answer.freshness) != {Freshness.FRESH}:
            report(Rule.RECOVERY, "not fresh")
        if answer.rows != orders[request.caller.start : request.caller.stop]:
            report(Rule.RECOVERY, "not the current list")


def _rows_between(start: int, stop: int, fetches: Sequence[Fetch]) -> Iterator[Row]:
    """Yield the rows at positions `start` to `stop`, as the upstream sent them."""
    for fetch in sorted(fetches, key=lambda fetch: fetch.index):
        first = fetch.index * BLOCK_SIZE
        yield from fetch.rows[max(start - first, 0) : max(stop - first, 0)]


def _index(fetch: Fetch) -> int:
    return fetch.index


def _has_duplicates(rows: Sequence[Row]) -> bool:
    return len({row.order_no for row in rows}) != len(rows)


def _order_numbers(rows: Sequence[Row]) -> str:
    return " ".join(row.order_no for row in rows)


def _block_indexes(start: int, stop: int) -> range:
    return range(start // BLOCK_SIZE, -(-stop // BLOCK_SIZE)) if start < stop else range(0)
