"""Callers that send requests of every kind and check every response."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from tests.soak.caller import Caller, Response
from tests.soak.oracle import Oracle

TOLERANCE = 0.5
"""Seconds past its deadline at which a response is late."""

MEAN_PAUSE = 0.1
"""Seconds between two requests of one caller, on average."""

NO_CACHE = "Cache-Control: no-cache"
ONLY_IF_CACHED = "Cache-Control: only-if-cached"
FILTERS = ({"status": "paid"}, {"type": "renewal"}, {"source": "offline"})


@dataclass
class Tally:
    """What the callers observed.

    Attributes:
        statuses: how many responses had each status.
        wrong: descriptions of wrong responses.
        uncached_errors: 5xx for what was not cached, by problem code.
        cached_errors: descriptions of 5xx for what was cached.
        late: the seconds of each response that took too long.
        longest: the seconds of the slowest response.
        disconnects: callers that disconnected before their response.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    uncached_errors: Counter[str] = field(default_factory=Counter)
    cached_errors: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    longest: float = 0.0
    disconnects: int = 0


class LoadGenerator:
    """Callers of one proxy.

    Args:
        port: the port of the proxy.
        oracle: decides whether responses are correct.
        deadline: the longest that a caller may wait, in seconds.
        orders: how many orders, from the front of the list, the callers request.
        seed: makes the sequence of requests repeatable.
    """

    def __init__(
        self, port: int, oracle: Oracle, *, deadline: float, orders: int, seed: int
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._oracle = oracle
        self._deadline = deadline
        self._orders = orders
        self._rng = random.Random(seed)  # noqa: S311  the same requests in each run
        self._numbers = oracle.numbers()[:orders]
        self._answered: set[str] = set()
        self._etags: dict[str, str] = {}

    async def warm_up(self) -> None:
        """Request every page once."""
        caller = Caller(self._port)
        await caller.get("/v1/orders?status=paid")
        for page in range(1, -(-self._orders // 50) + 1):
            await self._request(caller, f"/v1/orders?page={page}&limit=50")
        await caller.aclose()

    async def run(self, callers: int, stop: asyncio.Event) -> None:
        """Run this many callers until `stop` is set."""
        await asyncio.gather(*(self._run_caller(stop) for _ in range(callers)))

    async def _run_caller(self, stop: asyncio.Event) -> None:
        caller = Caller(self._port)
        while not stop.is_set():
            await asyncio.sleep(self._rng.expovariate(1 / MEAN_PAUSE))
            try:
                await self._send_random_request(caller)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.tally.wrong.append(f"no response: {type(error).__name__}")
                await caller.aclose()
        await caller.aclose()

    async def _send_random_request(self, caller: Caller) -> None:
        rng = self._rng
        path = rng.choices(
            (self._page(), self._window(), self._past_the_end(), self._order(), self._filter()),
            weights=(40, 25, 3, 25, 7),
        )[0]
        kind = rng.random()
        if kind < 0.05:
            self.tally.disconnects += 1
            await caller.disconnect_during(
                path, rng.choice((0.0, 0.5, 1.0)), rng.choice((0.0, 0.05, 0.5))
            )
        elif kind < 0.10:
            await self._request(caller, path, NO_CACHE)
        elif kind < 0.12:
            await self._request(caller, path, ONLY_IF_CACHED)
        elif kind < 0.20 and path in self._etags:
            await self._request(caller, path, f"If-None-Match: {self._etags[path]}")
        elif kind < 0.21:
            response = await caller.get("/v1/orders?limit=0")
            if response.status != 422:
                self.tally.wrong.append(f"limit=0: {response.status}")
        else:
            await self._request(caller, path)

    def _page(self) -> str:
        limit = self._rng.choice((10, 20, 50))
        return f"/v1/orders?page={self._rng.randint(1, self._orders // limit)}&limit={limit}"

    def _window(self) -> str:
        limit = self._rng.choice((7, 11, 30, 33))
        return f"/v1/orders?page={self._rng.randint(1, self._orders // limit)}&limit={limit}"

    def _past_the_end(self) -> str:
        return f"/v1/orders?page={self._rng.randint(100_000, 100_010)}&limit=50"

    def _order(self) -> str:
        return f"/v1/orders/{self._rng.choice(self._numbers)}"

    def _filter(self) -> str:
        name, value = next(iter(self._rng.choice(FILTERS).items()))
        return f"/v1/orders?{name}={value}&page={self._rng.randint(1, 5)}&limit=20"

    async def _request(self, caller: Caller, path: str, *headers: str) -> None:
        started = datetime.now(UTC)
        response = await caller.get(path, *headers)
        tally = self.tally
        tally.statuses[response.status] += 1
        tally.longest = max(tally.longest, response.seconds)
        if response.seconds > self._deadline + TOLERANCE:
            tally.late.append(response.seconds)
        if response.status == 200:
            self._answered.add(path)
            self._etags[path] = response.headers["etag"]
            error = self._error_in(path, response)
            tally.wrong += [f"{path}: {error}"] if error else []
        elif response.status >= 500:
            if not (headers == (ONLY_IF_CACHED,) and response.json()["code"] == "not_in_cache"):
                await self._record_failure(caller, path, response, started)
        elif response.status != 304:
            tally.wrong.append(f"{path}: {response.status}")

    def _error_in(self, path: str, response: Response) -> str:
        if not path.startswith("/v1/orders?"):
            return self._oracle.order_error(response.json(), path.rpartition("/")[2])
        query = dict(parse_qsl(urlsplit(path).query))
        filters = {name: query[name] for name in query if name not in ("page", "limit")}
        return self._oracle.page_error(response.json(), filters)

    async def _record_failure(
        self, caller: Caller, path: str, response: Response, started: datetime
    ) -> None:
        """Record a 5xx as an error only if the proxy had a cached response to send instead."""
        cached = await caller.get(path, ONLY_IF_CACHED)
        # A fetch that started two deadlines ago was complete by then, even on a busy machine.
        before = started - timedelta(seconds=2 * self._deadline + TOLERANCE)
        was_cached = cached.status == 200 and as_of(cached) < before
        code = response.json()["code"]
        # A page that was served once stays cached: it depends on blocks, and none is evicted.
        if was_cached or (path in self._answered and self._is_page(path)):
            self.tally.cached_errors.append(f"{path}: {response.status} {code}")
        else:
            self.tally.uncached_errors[code] += 1

    @staticmethod
    def _is_page(path: str) -> bool:
        return path.startswith("/v1/orders?page=")


def as_of(response: Response) -> datetime:
    """Return when the oldest part of a response was fetched."""
    return datetime.fromisoformat(response.json()["meta"]["as_of"])
