"""Checks the calls to the upstream: limits, circuit breaker, retries, tokens and priorities."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.history import Call, CallResult, Fetch, History
from tests.simulation.rules import Rule

TOKEN = "token"
MAX_REJECTIONS = 2
MAX_ATTEMPTS = 3


class CallOracle:
    """Checks each call when it starts, against what is known of those before it."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._settings = history.plan.settings
        self._breaker = _BreakerModel(self._settings.breaker_open_seconds)
        self._start_times: list[float] = []
        self._priorities: deque[tuple[float, bool]] = deque(maxlen=100)
        """When calls for a page started, and whether in the background."""
        self._in_flight = 0
        self._throttled_at = 0.0
        self._throttled_until = 0.0
        self._renewals: list[str] = []
        self._last_renewal = 0.0
        self._token_expiry: dict[str, float] = {}
        self._token_by_key: dict[str, str] = {}
        self._rejected_tokens: set[str] = set()

    def call_started(self, target: str, credential: str, fetch: Fetch | None) -> Call:
        """Check and return a call that goes out for a token, or for a page of the list."""
        report = self.history.report
        call = Call(target, credential, self.history.time())
        self.history.log("call", f"{target}, by {credential or 'nobody'}")
        self._in_flight += 1
        if self._in_flight > self._settings.max_concurrency:
            report(Rule.MAX_CONCURRENCY, f"{self._in_flight} calls")
        rate = self._settings.max_rate
        self._start_times.append(call.started_at)
        if len(self._start_times) > rate and call.started_at - self._start_times[-1 - rate] < 1.0:
            report(Rule.MAX_RATE, f"more than {rate} calls")
        if self._throttled_at < call.started_at < self._throttled_until:
            report(Rule.RETRY_AFTER, f"{target}, by {credential}")
        self._breaker.call_started(call, report)
        if target == TOKEN:
            self._check_renewal(credential)
        elif fetch:
            self._token_by_key[_key_of(credential)] = credential
            self._priorities.append((call.started_at, not fetch.has_waiters()))
            self._check_priority(fetch)
            fetch.calls += 1
            if fetch.calls - fetch.rejections > MAX_ATTEMPTS:
                report(Rule.MAX_ATTEMPTS, f"fetch {fetch.number}")
        return call

    def call_ended(self, call: Call) -> None:
        """Record that the response was read, or that the call failed."""
        now = self.history.time()
        self._in_flight -= 1
        self._breaker.call_ended(call, now)
        if call.retry_after and call.result is CallResult.SUCCESS:
            self._throttled_at = now
            self._throttled_until = max(self._throttled_until, now + call.retry_after)
        if call.target == TOKEN:
            self._renewals.remove(call.credential)
            self._last_renewal = now

    def token_issued(self, token: str, lifetime: float) -> None:
        """Record a new token and its lifetime in seconds."""
        self._token_expiry[token] = self.history.time() + lifetime

    def token_rejected(self, token: str, fetch: Fetch | None) -> None:
        """Record that a call was rejected for its token."""
        self.history.log("upstream", f"rejects {token}")
        self._rejected_tokens.add(token)
        if fetch:
            fetch.rejections += 1
            if fetch.rejections > MAX_REJECTIONS * (2 if self.history.plan.rotation else 1):
                self.history.report(Rule.MAX_REJECTIONS, f"fetch {fetch.number}")

    def _check_priority(self, background: Fetch) -> None:
        """Check that callers do not wait for more background calls than have a share.

        This is checked only where it is certain: no caller left at this time, and no token has to
        be renewed.
        """
        now = self.history.time()
        tokens_are_valid = all(map(self._is_valid, self._token_by_key.values()))
        is_certain = self.history.last_departure < now and tokens_are_valid and not self._renewals
        if background.has_waiters() or not is_certain:
            return
        for fetch in self.history.in_progress.values():
            is_queued = self._last_renewal < fetch.started_at < now and not fetch.calls
            starts = [one for at, one in self._priorities if at > fetch.started_at]
            has_priority = sum(starts) > 1 + len(starts) / 3
            if is_queued and has_priority and self._has_waiting_caller(fetch):
                numbers = f"{background.number} before {fetch.number}"
                self.history.report(Rule.CALLERS_FIRST, f"fetch {numbers}")

    def _has_waiting_caller(self, fetch: Fetch) -> bool:
        """Return whether the caller that caused the fetch still waits for it."""
        request = fetch.request
        if request is None or request.number not in self.history.waiting:
            return False
        # A caller that requested all orders waits for each block.
        return request.caller.requests_all or fetch.has_waiters()

    def _is_valid(self, token: str) -> bool:
        lifetime = self.history.plan.token_lifetime
        # The proxy counts the lifetime from the request, which may be a deadline before the issue.
        margin = min(lifetime / 10, 60.0) + self._settings.deadline
        valid_until = self._token_expiry.get(token, 0.0) - margin
        return token not in self._rejected_tokens and self.history.time() < valid_until

    def _check_renewal(self, key: str) -> None:
        if key in self._renewals:
            self.history.report(Rule.ONE_RENEWAL, key)
        self._renewals.append(key)
        token = self._token_by_key.get(key, "")
        if self._is_valid(token):
            self.history.report(Rule.TOKEN_REUSE, token)


@dataclass(slots=True)
class _BreakerModel:
    """When the circuit breaker has to be open, by the results of the calls.

    Attributes:
        open_seconds: how long it rejects all calls.
        results: whether each of the last calls failed.
    """

    open_seconds: float
    opened_at: float = -1.0
    is_open: bool = False
    is_probing: bool = False
    epoch: int = 1
    results: list[bool] = field(default_factory=list)

    def call_started(self, call: Call, report: Callable[[Rule, str], None]) -> None:
        if self.is_open and call.started_at == self.opened_at:
            return  # it may have started just before the breaker opened: its result is ignored
        call.epoch = self.epoch
        if not self.is_open:
            return
        if call.started_at < self.opened_at + self.open_seconds:
            report(Rule.BREAKER_OPEN, call.target)
        if self.is_probing:
            report(Rule.ONE_PROBE, call.target)
        call.is_probe = self.is_probing = True

    def call_ended(self, call: Call, now: float) -> None:
        if call.epoch != self.epoch:
            return
        if call.is_probe:
            self.is_probing = False
        if call.result is CallResult.IGNORED:
            return
        failed = call.result is CallResult.FAILURE
        self.results = [*self.results, failed][-20:]
        five_in_a_row = len(self.results) >= 5 and all(self.results[-5:])
        if call.is_probe or five_in_a_row or sum(self.results) >= 10:
            self.is_open, self.opened_at = failed, now
            self.epoch += 1
            self.results = []


def _key_of(token: str) -> str:
    return token.partition("-")[0]
