"""Callers of every kind, who check each answer that they get."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from tests.soak.caller import Answer, Caller
from tests.soak.oracle import Oracle

LATENESS = 0.5
"""Seconds past the deadline in which an answer has to have begun."""

PAUSE = 0.1
"""Seconds between two questions of one caller, on average."""

NO_CACHE = "Cache-Control: no-cache"
ONLY_IF_CACHED = "Cache-Control: only-if-cached"
FILTERS = ({"status": "paid"}, {"type": "renewal"}, {"source": "offline"})


@dataclass
class Tally:
    """What was seen.

    Attributes:
        answers: how many of each status.
        wrong: what was wrong, a line each.
        unheld: 5xx for what was not held, by code: nobody could have answered.
        refused: 5xx for what was held.
        late: the waits that were too long, in seconds.
        longest: seconds of the longest wait.
        hung_up: callers who left before their answer.
    """

    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unheld: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    longest: float = 0.0
    hung_up: int = 0


class Crowd:
    """Callers of one proxy.

    Args:
        port: where the proxy is.
        oracle: what is right.
        deadline: seconds that a caller waits at most.
        orders: how many orders the callers look at, from the front.
        seed: which questions.
    """

    def __init__(
        self, port: int, oracle: Oracle, *, deadline: float, orders: int, seed: int
    ) -> None:
        self.tally = Tally()
        self.filters = False
        self._port = port
        self._oracle = oracle
        self._deadline = deadline
        self._orders = orders
        self._dice = random.Random(seed)  # noqa: S311  the same questions in each run
        self._numbers = oracle.numbers()[:orders]
        self._held: set[str] = set()
        self._etags: dict[str, str] = {}

    async def warm_up(self) -> None:
        """Ask once for everything that the callers will look at."""
        caller = Caller(self._port)
        self.filters = (await caller.get("/v1/orders?status=paid")).status != 422
        for page in range(1, -(-self._orders // 50) + 1):
            await self._ask(caller, f"/v1/orders?page={page}&limit=50")
        await caller.aclose()

    async def stay(self, callers: int, over: asyncio.Event) -> None:
        """So many callers ask, until it is over."""
        await asyncio.gather(*(self._one(over) for _ in range(callers)))

    async def _one(self, over: asyncio.Event) -> None:
        caller = Caller(self._port)
        while not over.is_set():
            await asyncio.sleep(self._dice.expovariate(1 / PAUSE))
            try:
                await self._do_something(caller)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.tally.wrong.append(f"no answer: {type(error).__name__}")
                await caller.aclose()
        await caller.aclose()

    async def _do_something(self, caller: Caller) -> None:
        dice = self._dice
        path = dice.choices(
            (self._page(), self._window(), self._past_the_end(), self._order(), self._filter()),
            weights=(40, 25, 3, 25, 7),
        )[0]
        chance = dice.random()
        if chance < 0.05:
            self.tally.hung_up += 1
            await caller.hang_up(path, dice.choice((0.0, 0.5, 1.0)), dice.choice((0.0, 0.05, 0.5)))
        elif chance < 0.10:
            await self._ask(caller, path, NO_CACHE)
        elif chance < 0.12:
            await self._ask(caller, path, ONLY_IF_CACHED)
        elif chance < 0.20 and path in self._etags:
            await self._ask(caller, path, f"If-None-Match: {self._etags[path]}")
        elif chance < 0.21:
            answer = await caller.get("/v1/orders?limit=0")
            if answer.status != 422:
                self.tally.wrong.append(f"limit=0 is answered {answer.status}")
        else:
            await self._ask(caller, path)

    def _page(self) -> str:
        limit = self._dice.choice((10, 20, 50))
        return f"/v1/orders?page={self._dice.randint(1, self._orders // limit)}&limit={limit}"

    def _window(self) -> str:
        limit = self._dice.choice((7, 11, 30, 33))
        return f"/v1/orders?page={self._dice.randint(1, self._orders // limit)}&limit={limit}"

    def _past_the_end(self) -> str:
        return f"/v1/orders?page={self._dice.randint(100_000, 100_010)}&limit=50"

    def _order(self) -> str:
        return f"/v1/orders/{self._dice.choice(self._numbers)}"

    def _filter(self) -> str:
        if not self.filters:
            return self._page()
        name, value = next(iter(self._dice.choice(FILTERS).items()))
        return f"/v1/orders?{name}={value}&page={self._dice.randint(1, 5)}&limit=20"

    async def _ask(self, caller: Caller, path: str, *headers: str) -> None:
        begun = datetime.now(UTC)
        answer = await caller.get(path, *headers)
        tally = self.tally
        tally.answers[answer.status] += 1
        tally.longest = max(tally.longest, answer.seconds)
        if answer.seconds > self._deadline + LATENESS:
            tally.late.append(answer.seconds)
        if answer.status == 200:
            self._held.add(path)
            self._etags[path] = answer.headers["etag"]
            wrong = self._wrong(path, answer)
            tally.wrong += [f"{path}: {wrong}"] if wrong else []
        elif answer.status >= 500:
            if not (headers == (ONLY_IF_CACHED,) and answer.json()["code"] == "not_in_cache"):
                await self._judge_failure(caller, path, answer, begun)
        elif answer.status != 304:
            tally.wrong.append(f"{path} is answered {answer.status}")

    def _wrong(self, path: str, answer: Answer) -> str:
        if not path.startswith("/v1/orders?"):
            return self._oracle.wrong_order(answer.json(), path.rpartition("/")[2])
        wanted = dict(parse_qsl(urlsplit(path).query))
        return self._oracle.wrong_page(
            answer.json(), {name: wanted[name] for name in wanted if name not in ("page", "limit")}
        )

    async def _judge_failure(
        self, caller: Caller, path: str, answer: Answer, begun: datetime
    ) -> None:
        """A failure is none of ours where nothing was held: ask for what is held alone, and see."""
        held = await caller.get(path, ONLY_IF_CACHED)
        # What was asked for two deadlines ago had landed, or never would, on a busy machine too.
        before = begun - timedelta(seconds=2 * self._deadline + LATENESS)
        was_held = held.status == 200 and as_of(held) < before
        code = answer.json()["code"]
        # A page that was there once stays: it hangs on blocks, and no block is ever let go.
        if was_held or (path in self._held and self._is_page(path)):
            self.tally.refused.append(f"{path}: {answer.status} {code}")
        else:
            self.tally.unheld[code] += 1

    @staticmethod
    def _is_page(path: str) -> bool:
        return path.startswith("/v1/orders?page=")


def as_of(answer: Answer) -> datetime:
    """When the oldest part of an answer was asked for."""
    return datetime.fromisoformat(answer.json()["meta"]["as_of"])
