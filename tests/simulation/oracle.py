"""What has to hold in every world, whatever happened: the contract once more, in plain Python.

It knows what the upstream said and when, and what each caller got. It shares no arithmetic with the
rooms that it judges: lists are sliced here, ages are subtracted here.

Longer than most: the contract is one thing, and reads best in one place.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from app.cache.freshness import Freshness
from app.cache.grace_cache import Entry, NotInCache, WaitTimeout
from app.cache.policy import CacheDirective
from app.orders.blocks import Block
from app.orders.mapping import Row
from app.orders.snapshot_cache import ListLoading
from app.upstream.errors import UpstreamCredentialRejected, UpstreamError, UpstreamUnavailable
from tests.simulation.loop import START
from tests.simulation.plan import Caller, Plan

if TYPE_CHECKING:
    from tests.simulation.upstream import State

BLOCK = 50
TOKEN = "token"
MOST_REFUSALS = 2
MOST_TRIES = 3
SLACK = 0.5
PAUSES = (1.0, 2.0, 4.0, 5.0)
REJECTED_BACKOFF_SECONDS = 10.0


class Violation(Exception):
    """A rule that did not hold."""

    def __init__(self, rule: str, told: str, at: float) -> None:
        super().__init__(f"{rule}: {told} (at {at - START:g} s)")
        self.rule = rule


@dataclass(slots=True)
class Fetch:
    """One flight for one block, as it was seen from outside."""

    serial: int
    index: int
    asked: float
    by: "Visit | None" = None
    awaited: Callable[[], bool] = lambda: True
    landed: float | None = None
    failed: float | None = None
    refusals: int = 0
    calls: int = 0
    version: int = -1
    total: int = 0
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got: rows, the blocks they rest on, and how good each is told to be."""

    rows: tuple[Row, ...]
    total: int
    inconsistent: bool
    entries: tuple[Entry[Block], ...]
    claims: tuple[Freshness, ...]
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """A caller who is being served."""

    number: int
    caller: Caller
    came: float


BETWEEN_LOOKS = 3.0
"""Seconds, at most, between two looks at a world that is over."""


class Health(Enum):
    """What the end of a call tells of the upstream."""

    WELL = "well"
    ILL = "ill"
    UNTOLD = "untold"


@dataclass(slots=True)
class Call:
    """One HTTP call, as the upstream saw it."""

    what: str
    by: str
    began: float
    health: Health = Health.UNTOLD
    retry_after: float = 0.0
    era: int = 0
    probe: bool = False


@dataclass(slots=True)
class _Breaker:
    """When the upstream is to be left in peace, told by how its calls ended."""

    pause: float
    opened: float = -1.0
    open: bool = False
    probing: bool = False
    era: int = 1
    last: list[bool] = field(default_factory=list)

    def began(self, call: Call, broken: Callable[[str, str], None]) -> None:
        if self.open and call.began == self.opened:
            return  # on its way already in the moment of the opening: it tells nothing
        call.era = self.era
        if not self.open:
            return
        if call.began < self.opened + self.pause:
            broken("an ill upstream is left in peace", call.what)
        if self.probing:
            broken("one probe at a time", call.what)
        call.probe = self.probing = True

    def ended(self, call: Call, now: float) -> None:
        if call.era != self.era:
            return
        if call.probe:
            self.probing = False
        if call.health is Health.UNTOLD:
            return
        ill = call.health is Health.ILL
        self.last = [*self.last, ill][-20:]
        if call.probe or all(self.last[-5:]) * len(self.last) >= 5 or sum(self.last) >= 10:
            self.open, self.opened = ill, now
            self.era += 1
            self.last = []


@dataclass(slots=True)
class _Failures:
    in_a_row: int = 0
    until: float = 0.0


@dataclass(slots=True)
class Oracle:
    """The judge of one world.

    Attributes:
        plan: what was to happen.
        time: tells the moment.
        trace: what happened, a line each; None where nobody reads it.
    """

    plan: Plan
    time: Callable[[], float]
    trace: list[str] | None = None
    violations: list[Violation] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    calling_off: bool = False
    _flying: dict[int, Fetch] = field(default_factory=dict)
    _failures: dict[int, _Failures] = field(default_factory=dict)
    _starts: list[float] = field(default_factory=list)
    _in_flight: int = 0
    _waiting: set[int] = field(default_factory=set)
    _reading: set[int] = field(default_factory=set)
    """Who asked for the whole list while some of it was asked for already: they share its fate."""
    _departed: float = 0.0
    _renewed_at: float = 0.0
    _breaker: _Breaker = field(init=False)
    _throttled_at: float = 0.0
    _throttled_until: float = 0.0
    _renewing: list[str] = field(default_factory=list)
    _tokens: dict[str, float] = field(default_factory=dict)
    _used: dict[str, str] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._breaker = _Breaker(self.plan.config.breaker_pause)

    def say(self, who: str, what: str) -> None:
        """Note what happened, if anybody reads it."""
        if self.trace is not None:
            self.trace.append(f"{self.time() - START:9.3f}  {who:<12} {what}")

    def broken(self, rule: str, told: str) -> None:
        """Note that a rule did not hold."""
        self.say("VIOLATION", f"{rule}: {told}")
        self.violations.append(Violation(rule, told, self.time()))

    # What the upstream is asked.

    def asked(self, index: int, by: Visit | None, awaited: Callable[[], bool]) -> Fetch:
        """A flight for a block has begun."""
        fetch = Fetch(len(self.fetches), index, self.time(), by, awaited)
        self.fetches.append(fetch)
        self.say(f"fetch {fetch.serial}", f"block {index}, for {by.number if by else '-'}")
        if index in self._flying:
            self.broken("one flight a key", f"block {index} is asked for twice at once")
        self._flying[index] = fetch
        if by and by.caller.ask is CacheDirective.ONLY_IF_CACHED:
            self.broken("only-if-cached launches nothing", f"caller {by.number} did")
        failures = self._failures.get(index)
        if failures and fetch.asked < failures.until:
            self.broken("a failed fetch is left in peace", f"block {index}, asked again")
        return fetch

    def landed(self, fetch: Fetch, state: "State") -> None:
        """It brought an answer."""
        fetch.landed = self.time()
        fetch.version, fetch.total = state.version, len(state.orders)
        fetch.rows = state.block(fetch.index)
        self._over(fetch)
        self._failures.pop(fetch.index, None)
        self.say(f"fetch {fetch.serial}", f"landed: {fetch.total} orders, list {state.version}")

    def crashed(self, fetch: Fetch, error: Exception) -> None:
        """It failed."""
        fetch.failed = self.time()
        self._over(fetch)
        failures = self._failures.setdefault(fetch.index, _Failures())
        failures.in_a_row += 1
        pause = PAUSES[min(failures.in_a_row, len(PAUSES)) - 1]
        if isinstance(error, UpstreamCredentialRejected):
            # Told by what pauses already, it is for what is left of that.
            pause = error.retry_after or REJECTED_BACKOFF_SECONDS
        if isinstance(error, UpstreamUnavailable):
            pause = 0.0  # nobody was asked
        failures.until = fetch.failed + pause
        self.say(f"fetch {fetch.serial}", f"failed: {type(error).__name__}")

    def called_off(self, fetch: Fetch) -> None:
        """It was ended before it could end."""
        self._over(fetch)
        if not self.calling_off:
            self.broken("a flight belongs to the group", f"fetch {fetch.serial} was cancelled")

    def _over(self, fetch: Fetch) -> None:
        if self._flying.get(fetch.index) is fetch:
            del self._flying[fetch.index]

    # What goes over the wire.

    def call_began(self, what: str, by: str, fetch: Fetch | None) -> Call:
        """One HTTP call has gone out: for a token, by a key; or for a page, by a token."""
        call = Call(what, by, self.time())
        self.say("wire", f"{by or 'nobody'} asks for {what}")
        self._in_flight += 1
        if self._in_flight > self.plan.config.max_concurrency:
            self.broken("no more calls in flight than allowed", f"{self._in_flight} at once")
        rate = self.plan.config.max_rate
        self._starts.append(call.began)
        if len(self._starts) > rate and call.began - self._starts[-1 - rate] < 1.0:
            self.broken("no more calls a second than allowed", f"over {rate} within a second")
        if self._throttled_at < call.began < self._throttled_until:
            self.broken("who is asked to wait waits", f"{what}, {by}")
        self._breaker.began(call, self.broken)
        if what == TOKEN:
            self._token_asked(by)
        elif fetch:
            self._used[_key_of(by)] = by
            self._in_front(fetch)
            fetch.calls += 1
            if fetch.calls - fetch.refusals > MOST_TRIES:
                self.broken("a question is tried a few times", f"fetch {fetch.serial}")
        return call

    def call_ended(self, call: Call) -> None:
        """Its answer was read, or it broke."""
        self._in_flight -= 1
        self._breaker.ended(call, self.time())
        if call.retry_after and call.health is Health.WELL:
            self._throttled_at = self.time()
            self._throttled_until = max(self._throttled_until, self.time() + call.retry_after)
        if call.what == TOKEN:
            self._renewing.remove(call.by)
            self._renewed_at = self.time()

    def granted(self, token: str, lasts: float) -> None:
        """A token is given."""
        self._tokens[token] = self.time() + lasts

    def refused(self, token: str, fetch: Fetch | None) -> None:
        """A call was refused for its token."""
        self.say("upstream", f"refuses {token}")
        self._refused.add(token)
        if fetch:
            fetch.refusals += 1
            most = MOST_REFUSALS * (2 if self.plan.context else 1)
            if fetch.refusals > most:
                self.broken("a refused call is asked once more", f"fetch {fetch.serial}")

    def _in_front(self, behind: Fetch) -> None:
        """A call that nobody waits for goes out: then none may queue that somebody waits for.

        Judged only where that is sure: nobody left in this moment, and the token is good.
        """
        now = self.time()
        sure = self._departed < now and all(map(self._is_good, self._used.values()))
        if behind.awaited() or self._renewing or not sure:
            return
        for fetch in self._flying.values():
            if self._renewed_at < fetch.asked < now and not fetch.calls and self._waits(fetch):
                self.broken("callers go first", f"{behind.serial} before {fetch.serial}")

    def _waits(self, fetch: Fetch) -> bool:
        """Whether who launched it still waits for it."""
        by = fetch.by
        if by is None or by.number not in self._waiting:
            return False
        # Who had the list read waits for each of its blocks.
        return by.caller.all or fetch.awaited()

    def _is_good(self, token: str) -> bool:
        life = self.plan.token_life
        until = self._tokens.get(token, 0.0) - min(life / 10, 60.0) - self.plan.config.deadline
        # A token's life counts from when it was asked for: at most a deadline before it was given.
        return token not in self._refused and self.time() < until

    def _token_asked(self, key: str) -> None:
        """A token is asked for: there has to be a reason."""
        if key in self._renewing:
            self.broken("one renewal at a time", f"two of {key} at once")
        self._renewing.append(key)
        token = self._used.get(key, "")
        if self._is_good(token):
            self.broken("a token is used while it is good", f"{token} was")

    # What callers get.

    def came(self, visit: Visit, total: int | None) -> None:
        """A caller asks, and `total` is the one that counts."""
        self._waiting.add(visit.number)
        if visit.caller.all and self._flying:
            self._reading.add(visit.number)
        landed = [fetch for fetch in self.fetches if fetch.landed is not None]
        if total not in self._totals_that_count(visit.came, landed):
            self.broken("who was asked last tells the total", f"not {total}")
        caller = visit.caller
        self.say(
            f"caller {visit.number}",
            f"asks for {caller.start}..{caller.stop}"
            + (f" ({caller.ask.value})" if caller.ask is not CacheDirective.DEFAULT else ""),
        )

    def left(self, visit: Visit) -> None:
        """A caller did not wait for the answer."""
        self._gone(visit)
        self.say(f"caller {visit.number}", "leaves")

    def answered(self, visit: Visit, answer: Answer) -> None:
        """A caller got an answer."""
        self._gone(visit)
        basis = [self.fetches[int(entry.value.as_of)] for entry in answer.entries]
        self.say(
            f"caller {visit.number}",
            f"gets {len(answer.rows)} of {answer.total}"
            f" from fetches {[fetch.serial for fetch in basis]}"
            f" {'/'.join(claim.value for claim in answer.claims)}"
            + (", shifting" if answer.inconsistent else ""),
        )
        self._each_once(answer.rows)
        # A reading of the whole list is one flight: who joins it gets what it has gathered.
        waited = self.time() > visit.came
        joined = waited or any((fetch.landed or 0.0) >= visit.came for fetch in basis)
        joined = joined and visit.caller.all
        for entry, fetch, claim in zip(answer.entries, basis, answer.claims, strict=True):
            self._true(entry, fetch)
            self._honest(visit, fetch, claim, joined=joined)
            # A list told as stale rests on what was held; so may one with no room for all.
            if not visit.caller.all or (claim is Freshness.FRESH and self.plan.roomy):
                self._not_outdone(visit, fetch)
            if visit.caller.ask is CacheDirective.NO_CACHE and not visit.caller.all:
                self._asked_again(visit, fetch, failed=answer.failed)
        newest = max(fetch.asked for fetch in basis)
        if answer.total not in {fetch.total for fetch in basis if fetch.asked == newest}:
            self.broken("the newest total", f"told {answer.total}")
        self._back(visit, basis)
        if answer.inconsistent:
            self._shifting(visit, answer.rows, basis)
        else:
            if visit.caller.start >= answer.total and not visit.caller.all:
                self._past_the_end(visit, answer.total)
            self._coherent(visit.caller, answer.rows, answer.total, basis)
        self._in_time(visit)

    def _past_the_end(self, visit: Visit, total: int) -> None:
        """It rests on the total that counts, or that counted while the caller waited."""
        landed = [fetch for fetch in self.fetches if fetch.landed is not None]
        before = [fetch for fetch in landed if (fetch.landed or 0.0) < visit.came]
        since = {fetch.total for fetch in landed if fetch not in before}
        if total not in since | self._totals_that_count(visit.came, before):
            self.broken("who was asked last tells the total", f"not {total}")

    def _gone(self, visit: Visit) -> None:
        self._waiting.discard(visit.number)
        self._departed = self.time()

    def _back(self, visit: Visit, basis: Sequence[Fetch]) -> None:
        """Within one ttl of the upstream's return, what is asked for was answered after it."""
        returns = self.plan.returns
        if returns is None or visit.came < START + returns + self.plan.config.ttl:
            return
        if any((fetch.landed or 0.0) < START + returns for fetch in basis):
            self.broken("fresh again within one ttl", f"{[each.serial for each in basis]}")

    def refused_caller(self, visit: Visit, error: Exception) -> None:
        """A caller got an error."""
        self._gone(visit)
        self.say(f"caller {visit.number}", f"gets {type(error).__name__}")
        self._in_time(visit)
        whole = self._whole_held(visit)
        if isinstance(error, NotInCache):
            if visit.caller.ask is not CacheDirective.ONLY_IF_CACHED or whole:
                self.broken("only-if-cached serves what is held", "but there was an error")
            return
        if isinstance(error, (WaitTimeout, ListLoading)):
            if self.time() < visit.came + self.plan.config.deadline:
                self.broken("who waits is waited with", "gave up before the deadline")
        elif not isinstance(error, UpstreamError):
            self.broken("no fault of our own", repr(error))
        elif self.plan.easy:
            self.broken("no error without a fault", repr(error))
        if whole:
            self.broken("an error never replaces a good answer", repr(error))

    def _each_once(self, rows: Sequence[Row]) -> None:
        numbers = [row.order_no for row in rows]
        if len(set(numbers)) != len(numbers):
            self.broken("each order once", f"{numbers}")

    def _true(self, entry: Entry[Block], fetch: Fetch) -> None:
        """What is held is what was said, when it was asked for."""
        if entry.value.rows != fetch.rows or entry.value.total != fetch.total:
            self.broken("what is held is what was said", f"block {fetch.index}")
        if entry.fetched_at != fetch.asked:
            self.broken("age counts from the asking", f"block {fetch.index}")

    def _honest(self, visit: Visit, fetch: Fetch, claim: Freshness, *, joined: bool) -> None:
        """How good it is told to be is how good it was when the caller asked."""
        config = self.plan.config
        assert fetch.landed is not None
        if fetch.landed >= visit.came:
            return  # waited for
        age = visit.came - fetch.asked
        if age >= config.life and not joined:
            self.broken("never older than ttl + grace + keep", f"age {age:g}")
        if claim is Freshness.FRESH and age >= config.ttl:
            self.broken("fresh is younger than the ttl", f"age {age:g}")
        if claim is Freshness.STALE and age >= config.ttl + config.grace:
            self.broken("stale is younger than ttl + grace", f"age {age:g}")

    def _asked_again(self, visit: Visit, fetch: Fetch, *, failed: bool) -> None:
        """For `no-cache`, unless it is young, or that failed."""
        age = visit.came - fetch.asked
        waited_for = fetch.landed is not None and fetch.landed >= visit.came
        excused = waited_for or failed or fetch.index in self._failures
        if age >= self.plan.config.min_age and not excused:
            self.broken("no-cache asks again", f"age {age:g}")

    def _not_outdone(self, visit: Visit, fetch: Fetch) -> None:
        """Nothing asked for later was held already."""
        for other in self.fetches:
            if (
                other.index == fetch.index
                and other.asked > fetch.asked
                and other.landed is not None
                and other.landed < visit.came
            ):
                self.broken("the newest answer is served", f"{other.serial}, not {fetch.serial}")

    def _totals_that_count(self, now: float, landed: Sequence[Fetch]) -> set[int | None]:
        """What the answer asked for last told, unless it is gone: of several, any."""
        last = max((fetch.asked for fetch in landed), default=-self.plan.config.life)
        if now - last >= self.plan.config.life:
            return {None}
        return {fetch.total for fetch in landed if fetch.asked == last}

    def _coherent(
        self, caller: Caller, rows: tuple[Row, ...], total: int, basis: Sequence[Fetch]
    ) -> None:
        """Nothing says that it shifts: then it is one list, whole and in order."""
        if any(fetch.total != total for fetch in basis):
            self.broken("coherent, or it says so", f"totals {[each.total for each in basis]}")
        if len(basis) > 1:
            numbers = [row.order_no for fetch in basis for row in fetch.rows]
            if len(set(numbers)) != len(numbers):
                self.broken("coherent, or it says so", "an order in two blocks")
        end = min(caller.stop, total)
        if len(rows) != max(end - caller.start, 0):
            self.broken("none is lost", f"{len(rows)} rows of {caller.start}..{end}")
        if rows != tuple(_between(caller.start, end, basis)):
            self.broken("the right window, in order", _numbers(rows))

    def _shifting(self, visit: Visit, rows: tuple[Row, ...], basis: Sequence[Fetch]) -> None:
        """It says that it shifts: then the list has changed, and each row is of some block."""
        if len({fetch.version for fetch in self.fetches if fetch.landed is not None}) < 2:
            self.broken("a list that stands still does not shift", f"caller {visit.number}")
        expected: dict[str, Row] = {}
        for row in _between(visit.caller.start, visit.caller.stop, basis):
            expected.setdefault(row.order_no, row)
        if rows != tuple(expected.values()):
            self.broken("the right window, in order", _numbers(rows))

    def _in_time(self, visit: Visit) -> None:
        """Nobody waits longer than the deadline; with something held, not longer than WAIT."""
        config = self.plan.config
        waited = self.time() - visit.came
        if waited > config.deadline + SLACK:
            self.broken("no one waits past the deadline", f"{waited:g} s")
        if waited > 0 and visit.caller.ask is CacheDirective.ONLY_IF_CACHED:
            self.broken("only-if-cached waits for nothing", f"{waited:g} s")
        if waited > config.wait and self._whole_held(visit):
            self.broken("who could be served waits no longer than WAIT", f"{waited:g} s")

    # What could be known.

    def _held(self, now: float, *, since: float | None = None) -> dict[int, Fetch]:
        """The newest answer for each block that is not gone; landed before `since`, if given."""
        held: dict[int, Fetch] = {}
        for fetch in self.fetches:
            if fetch.landed is None or now - fetch.asked >= self.plan.config.life:
                continue
            if since is not None and fetch.landed >= since:
                continue
            before = held.get(fetch.index)
            if before is None or before.asked <= fetch.asked:
                held[fetch.index] = fetch
        return held

    def _whole_held(self, visit: Visit) -> bool:
        """Whether all that the caller asked for was held all the while, whatever total counts."""
        if not self.plan.roomy or visit.number in self._reading:
            return False
        held = self._held(self.time(), since=visit.came)
        if not held:
            return False
        telling = max(fetch.asked for fetch in held.values())
        totals = {fetch.total for fetch in held.values() if fetch.asked >= telling}
        totals |= {
            fetch.total
            for fetch in self.fetches
            if fetch.landed is not None and fetch.landed >= visit.came
        }
        return all(
            index in held
            for total in totals
            for index in _blocks_between(visit.caller.start, min(visit.caller.stop, total))
        )

    # When all is over.

    def over(self) -> None:
        """The calls that the world cost, callers' no-cache and failed ones aside."""
        if not self.plan.roomy or any(c.ask is CacheDirective.NO_CACHE for c in self.plan.callers):
            return
        answered = [fetch for fetch in self.fetches if fetch.failed is None]
        most = max((fetch.total for fetch in answered), default=0)
        times = 1 if self.plan.still else 2
        self._bounded([fetch.asked for fetch in answered], times * (-(-most // BLOCK) + 1))
        for index in {fetch.index for fetch in answered}:
            self._bounded([fetch.asked for fetch in answered if fetch.index == index], times)

    def _bounded(self, asked: Sequence[float], bound: int) -> None:
        for first, last in zip(asked, asked[bound:], strict=False):
            if last - first < self.plan.config.ttl:
                self.broken("bounded calls", f"more than {bound} within {self.plan.config.ttl:g} s")
                return

    def converged(self, visit: Visit, answer: Answer, truth: tuple[Row, ...]) -> None:
        """The upstream is well and still for long: an answer is fresh, whole and true."""
        if answer.inconsistent:
            self.broken("it heals", "still shifting")
        ages = [visit.came - entry.fetched_at for entry in answer.entries]
        ttl = self.plan.config.ttl
        # A life may end between the look before and this one, which is the one that refreshes it.
        just_ended = any(ttl <= age < ttl + BETWEEN_LOOKS for age in ages)
        if not just_ended and any(claim is not Freshness.FRESH for claim in answer.claims):
            self.broken("it heals", "not fresh")
        if answer.rows != truth[visit.caller.start : visit.caller.stop]:
            self.broken("it heals", "not the list as it is")


def _between(start: int, stop: int, basis: Sequence[Fetch]) -> Iterator[Row]:
    """The rows at positions `start` to `stop`, as the upstream said them."""
    for fetch in sorted(basis, key=lambda each: each.index):
        first = fetch.index * BLOCK
        yield from fetch.rows[max(start - first, 0) : max(stop - first, 0)]


def _numbers(rows: Sequence[Row]) -> str:
    return " ".join(row.order_no for row in rows)


def _key_of(token: str) -> str:
    return token.partition("-")[0]


def _blocks_between(start: int, stop: int) -> range:
    return range(start // BLOCK, -(-stop // BLOCK)) if start < stop else range(0)
