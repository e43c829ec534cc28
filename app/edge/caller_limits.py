"""How many requests one caller may send, and what happens to one that sends more.

A caller is an API key's name, the subject of an issuer, or the address of an anonymous caller. Its
requests, its questions over the whole list and its order numbers have a rate each; failed
authentications have one by address. A key's own rate replaces that of requests.
"""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from app.edge.client_address import limit_group
from app.edge.context import Caller
from app.edge.rate_limiter import Rate, RateLimiter

FAILURE_RATE = "60/minute"
"""Failed authentications of one address."""

NOT_MODIFIED_COST = 0.1
"""What a 304 costs, in requests: it has no body, and clients that revalidate save work."""

RawHeaders = list[tuple[bytes, bytes]]

_parse = lru_cache(maxsize=1024)(Rate.parse)


def _unlimited(_now: float) -> float:
    return 0.0


class RateLimited(Exception):
    """A caller has reached a limit.

    Attributes:
        retry_after: seconds until the next request would be admitted.
        detail: which limit, its rate, and when to try again.
    """

    def __init__(self, what: str, rate: Rate, retry_after: float) -> None:
        self.retry_after = retry_after
        seconds = max(ceil(retry_after), 1)
        self.detail = (
            f"The limit of {rate.quota} {what} per {rate.unit} is reached."
            f" Try again in {seconds} second{'s' if seconds > 1 else ''}."
        )
        super().__init__(self.detail)


class _Limit(NamedTuple):
    """One limit: its name, what it counts, its rate, and who has consumed how much.

    `rejected` has the number of rejected requests of each limit, by name.
    """

    name: str
    what: str
    rate: Rate | None
    limiter: RateLimiter
    rejected: Counter[str]

    def take(self, key: tuple[str, ...], rate: Rate | None, now: float) -> RateLimited | None:
        if rate is None:
            return None
        seconds = self.limiter.take(key, rate, now)
        if not seconds:
            return None
        self.rejected[self.name] += 1
        return RateLimited(self.what, rate, seconds)

    def give_back(self, key: tuple[str, ...], rate: Rate | None, requests: float) -> None:
        if rate:
            self.limiter.give_back(key, rate, requests)


class CallerLimits:
    """The limits of all callers. Every method is synchronous and costs about 1 µs.

    Rates are texts such as `6000/minute`; `0` is no limit. `now` is the monotonic time.

    Args:
        rate: all requests.
        scan_rate: questions over the whole list whose answers are not cached.
        detail_rate: order numbers that are looked up upstream.
        send_headers: whether responses state what remains.

    Attributes:
        rejected: the number of requests that each limit has rejected, by its name.
    """

    def __init__(
        self,
        *,
        rate: str = "0",
        scan_rate: str = "0",
        detail_rate: str = "0",
        send_headers: bool = False,
    ) -> None:
        whats = {
            "requests": ("requests", rate),
            "scans": ("requests over the whole list that are not cached", scan_rate),
            "lookups": ("order numbers that are not cached", detail_rate),
            "failures": ("failed authentications from your address", FAILURE_RATE),
            "sign_ins": ("failed sign-ins from your address", FAILURE_RATE),
        }
        self.rejected: Counter[str] = Counter(dict.fromkeys(whats, 0))
        self._requests, self._scans, self._lookups, self._failures, self._sign_ins = (
            _Limit(name, what, _parse(text), RateLimiter(), self.rejected)
            for name, (what, text) in whats.items()
        )
        self.sends_headers = send_headers

    @property
    def limiters(self) -> dict[str, RateLimiter]:
        """What counts each limit, by its name."""
        limits = (self._requests, self._scans, self._lookups, self._failures, self._sign_ins)
        return {limit.name: limit.limiter for limit in limits}

    def admit(self, caller: Caller, now: float) -> RateLimited | None:
        """Count a request of `caller`, or return why it must be rejected.

        Every response to an authenticated caller is counted exactly once, whatever part of the
        proxy sends it, before anything else is done for the request.
        """
        return self._requests.take(caller.limit_key, self._rate_of(caller), now)

    def counter(self, caller: Caller, status: int) -> Callable[[float], float]:
        """Return a function that counts a request of `caller` whose response has this status.

        It is given the monotonic time and returns 0, or a time to wait in seconds; then it has
        counted nothing. For a part of the proxy that leaves such a request to `admit`.
        """
        rate = self._rate_of(caller)
        if rate is None:
            return _unlimited
        given_back = 1 - NOT_MODIFIED_COST if status == 304 else 0.0
        return self._requests.limiter.counter(caller.limit_key, rate, given_back=given_back)

    def on_not_modified(self, caller: Caller) -> None:
        """Return most of what was counted for a request whose response is a 304."""
        rate = self._rate_of(caller)
        self._requests.give_back(caller.limit_key, rate, 1 - NOT_MODIFIED_COST)

    def admit_scan(self, caller: Caller, now: float) -> RateLimited | None:
        """Count a question over the whole list, or return why it must be rejected."""
        return self._scans.take(caller.limit_key, self._scans.rate, now)

    def admit_lookup(self, caller: Caller, now: float) -> RateLimited | None:
        """Count an order number that is looked up upstream, or return why it must not be."""
        return self._lookups.take(caller.limit_key, self._lookups.rate, now)

    def admit_failure(self, address: str, now: float) -> RateLimited | None:
        """Count a failed authentication, or return why it must be answered with 429.

        Only failures are counted and rejected: good credentials of the same address are accepted.
        """
        key = ("address", limit_group(address))
        return self._failures.take(key, self._failures.rate, now)

    def admit_sign_in(self, address: str, now: float) -> RateLimited | None:
        """Count a sign-in before the issuer is called, or return why it must be rejected.

        Apart from other failures: whoever sends wrong keys from the same address, which may be that
        of a proxy, must not keep people from signing in.
        """
        key = ("address", limit_group(address))
        return self._sign_ins.take(key, self._sign_ins.rate, now)

    def on_signed_in(self, address: str) -> None:
        """Return what `admit_sign_in` has counted: the sign-in has succeeded."""
        self._sign_ins.give_back(("address", limit_group(address)), self._sign_ins.rate, 1)

    def headers(self, caller: Caller, now: float) -> RawHeaders:
        """Return RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11)."""
        policies, states = [], []
        for limit in (self._requests, self._scans, self._lookups):
            rate = self._rate_of(caller) if limit is self._requests else limit.rate
            if rate:
                left, seconds = limit.limiter.remaining(caller.limit_key, rate, now)
                policies.append(f'"{limit.name}";q={rate.quota};w={rate.window:.0f}')
                states.append(f'"{limit.name}";r={left};t={ceil(seconds)}')
        if not policies:
            return []
        return [
            (b"ratelimit-policy", ", ".join(policies).encode()),
            (b"ratelimit", ", ".join(states).encode()),
        ]

    def _rate_of(self, caller: Caller) -> Rate | None:
        return self._requests.rate if caller.rate is None else _parse(caller.rate)
