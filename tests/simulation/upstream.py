"""The upstream as it is: a list with a history, tokens that end, and answers that take their time.

It speaks at either seam: as the function that fetches a block, or as the network below the client.
What it does wrong, it does by plan.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from random import Random
from typing import Any

import httpx

from app.clock import Clock
from app.orders.mapping import Row
from app.upstream.client import ORDERS_PATH
from app.upstream.credentials import TOKEN_PATH
from app.upstream.errors import (
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformed,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from tests.simulation.loop import START
from tests.simulation.oracle import TOKEN, Call, Fetch, Health, Oracle
from tests.simulation.plan import Change, Exchange, Plan, Shift, Trouble

BLOCK = 50
FIRST_KEY = "first"
LONGEST_PATIENCE = 5.0
"""Seconds, or the deadline: who waited less than half of it learns nothing from no answer."""

fetching: ContextVar[Fetch | None] = ContextVar("fetching", default=None)
"""For which flight a call goes out."""

ERRORS: dict[Trouble, type[UpstreamError]] = {
    Trouble.FAILS: UpstreamFailed,
    Trouble.HANGS: UpstreamTimeout,
    Trouble.BREAKS: UpstreamUnreachable,
    Trouble.THROTTLES: UpstreamThrottled,
    Trouble.GARBLES: UpstreamMalformed,
    Trouble.REFUSES: UpstreamCredentialRejected,
}


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The list between two changes."""

    version: int
    orders: tuple[Row, ...]

    def block(self, index: int) -> tuple[Row, ...]:
        """Its rows from position `index * 50` on."""
        return self.orders[index * BLOCK : (index + 1) * BLOCK]


@lru_cache(maxsize=4096)
def order(number: str, edits: int = 0) -> Row:
    """An order, told by its number and how often it was edited."""
    return Row(number, f"{number}.{edits}".encode(), (), has_amount=False)


class SimulatedUpstream:
    """The upstream of one world.

    Args:
        plan: what happens.
        clock: the world's time.
        rng: latencies, and which calls meet trouble.
        oracle: is told what is asked.
    """

    def __init__(self, plan: Plan, clock: Clock, rng: Random, oracle: Oracle) -> None:
        self._plan = plan
        self._clock = clock
        self._rng = rng
        self._oracle = oracle
        self._well = False
        self._serials = count(1)
        self._numbers = plan.size
        self._fair = min(LONGEST_PATIENCE, plan.config.deadline) / 2
        self._tokens: dict[str, tuple[str, float]] = {}
        self._keys = {FIRST_KEY}
        self.configured = FIRST_KEY
        orders = tuple(order(f"n{at}") for at in range(plan.size))
        self.states = [State(0, orders)]

    @property
    def now(self) -> State:
        """The list as it is."""
        return self.states[-1]

    def shift(self, shift: Shift) -> None:
        """Change the list."""
        orders = list(self.now.orders)
        at = min(shift.position, len(orders) - 1)
        if shift.change in (Change.GOES, Change.SWAPS) and orders:
            del orders[at]
        if shift.change is Change.EDITED and orders:
            orders[at] = order(orders[at].order_no, _edits(orders[at]) + 1)
        if shift.change in (Change.COMES, Change.SWAPS):
            orders.insert(0, order(f"n{self._numbers}"))
            self._numbers += 1
        self.states.append(State(len(self.states), tuple(orders)))
        self._oracle.say("list", f"{shift.change.value} at {at}: {len(orders)} orders")

    def heal(self) -> None:
        """No trouble from now on, and no waiting."""
        self._well = True
        self._oracle.say("upstream", "well again")

    def context(self, context: Exchange) -> None:
        """Another credential is set; a good one is known here."""
        self.configured = "second"
        if context.good:
            self._keys.add(self.configured)
        self._oracle.say("operator", f"sets a {'good' if context.good else 'bad'} credential")

    def end_old_key(self) -> None:
        """The first credential is good no longer, nor is what it was given."""
        self._keys.discard(FIRST_KEY)
        self._tokens = {t: held for t, held in self._tokens.items() if held[0] != FIRST_KEY}
        self._oracle.say("operator", "ends the first credential")

    def revoke(self) -> None:
        """Refuse every token given until now."""
        self._tokens.clear()
        self._oracle.say("upstream", "tokens revoked")

    # At the seam of the book.

    async def block(self, index: int) -> tuple[State, str]:
        """The state that the answer is cut from; or the error of the plan."""
        del index
        trouble = self._trouble()
        before, after = self._latency(), self._latency()
        await self._pass(before)
        state = self.now
        await self._pass(after)
        if trouble:
            raise ERRORS[trouble](trouble.value)
        return state, f"s{state.version}"

    # At the seam of the network.

    async def reply(self, request: httpx.Request, call: Call) -> httpx.Response:
        """What the network brings for one call."""
        patience = request.extensions["timeout"]
        trouble = self._trouble()
        before, after = self._latency(), self._latency()
        if trouble is Trouble.BREAKS:
            await self._pass(before)
            call.health = Health.ILL
            raise self._rng.choice((httpx.ConnectError, httpx.RemoteProtocolError))("broken")
        silence = 3600.0 if trouble is Trouble.HANGS else before
        await self._listen(silence, patience["read"], call)
        status, body, headers = self._answer(request, trouble)
        call.health = Health.ILL if trouble is Trouble.FAILS else Health.WELL
        call.retry_after = float(headers.get("retry-after", 0))
        pieces = self._pieces(body, after, patience, call)
        return httpx.Response(
            status, headers=headers, stream=_Body(pieces, partial(self._oracle.call_ended, call))
        )

    async def _listen(self, silence: float, patience: float, call: Call) -> None:
        """Wait for something; too long a silence ends the call, and tells of illness if fair."""
        await self._pass(min(silence, patience))
        if silence >= patience:
            call.health = Health.ILL if patience >= self._fair else Health.UNTOLD
            raise httpx.ReadTimeout("silent")

    def _answer(
        self, request: httpx.Request, trouble: Trouble | None
    ) -> tuple[int, bytes, dict[str, str]]:
        headers = {"content-type": "application/json"}
        match trouble:
            case Trouble.FAILS:
                return 200, _envelope(500), headers
            case Trouble.GARBLES:
                return 200, b"<html>", headers
            case Trouble.THROTTLES:
                later = {"retry-after": self._rng.choice(("1", "3"))}
                return 200, _envelope(429), headers | later
            case _:
                refuses = trouble is Trouble.REFUSES
                asks = self._token if request.url.path == TOKEN_PATH else self._list
                return 200, asks(request, refuses=refuses), headers

    def _token(self, request: httpx.Request, *, refuses: bool) -> bytes:
        key = key_of(request)
        if refuses or key not in self._keys:
            return _envelope(403, apiCode=2333)
        return self._grant(key)

    def _list(self, request: httpx.Request, *, refuses: bool) -> bytes:
        token = _token_of(request)
        _, ends = self._tokens.get(token, ("", 0.0))
        if refuses or self._clock.monotonic() >= ends:
            self._oracle.refused(token, fetching.get())
            return _envelope(401, apiCode=2020)
        assert request.url.path == ORDERS_PATH
        return _page(self.now, int(request.url.params["page"]))

    def _grant(self, key: str) -> bytes:
        life = self._plan.token_life
        token = f"{key}-{next(self._serials)}"
        self._tokens[token] = (key, self._clock.monotonic() + life)
        self._oracle.granted(token, life)
        data = {"access_token": token, "expires_in": life}
        return _envelope(200, data=data)

    def _trouble(self) -> Trouble | None:
        if self._well:
            return None
        now = self._clock.monotonic() - START
        for spell in self._plan.spells:
            if spell.at <= now < spell.at + spell.lasts and self._rng.random() < spell.share:
                return spell.trouble
        return None

    def _latency(self) -> float:
        return 0.0 if self._well else self._rng.choice(self._plan.latencies) / 2

    async def _pass(self, seconds: float) -> None:
        """Let time pass; at times none at all, not even a turn of the loop."""
        if seconds:
            await self._clock.sleep(seconds)

    async def _pieces(
        self, body: bytes, after: float, patience: dict[str, float], call: Call
    ) -> AsyncIterator[bytes]:
        """The body in two pieces, some time between them."""
        yield body[:10]
        await self._listen(after, patience["read"], call)
        if self._clock.monotonic() >= call.began + patience["pool"]:
            # The deadline: what comes now comes too late for who asked.
            call.health = Health.ILL if patience["read"] >= self._fair else Health.UNTOLD
        yield body[10:]


class _Body(httpx.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        self._pieces = pieces
        self._ended = ended

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        self._ended()


class SimulatedNetwork(httpx.AsyncBaseTransport):
    """The network between the client and the upstream: tells the oracle of every call."""

    def __init__(self, upstream: SimulatedUpstream, oracle: Oracle) -> None:
        self._upstream = upstream
        self._oracle = oracle

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        by = key_of(request) if request.url.path == TOKEN_PATH else _token_of(request)
        what = TOKEN if request.url.path == TOKEN_PATH else f"page {request.url.params['page']}"
        call = self._oracle.call_began(what, by, fetching.get())
        try:
            return await self._upstream.reply(request, call)
        except BaseException:
            self._oracle.call_ended(call)
            raise


def key_of(request: httpx.Request) -> str:
    """With which access key a token is asked for."""
    return str(json.loads(request.content)["accessKeyId"])


def _token_of(request: httpx.Request) -> str:
    return str(request.headers.get("authorization", "")).removeprefix("Bearer ")


def _envelope(status_code: int, **more: Any) -> bytes:
    return json.dumps({"statusCode": status_code, **more}).encode()


@lru_cache(maxsize=512)
def _page(state: State, page: int) -> bytes:
    rows = [{"orderNo": row.order_no, "quantity": _edits(row)} for row in state.block(page - 1)]
    data = {"totalCount": len(state.orders), "list": rows}
    return _envelope(200, requestId=f"s{state.version}", data=data)


def _edits(row: Row) -> int:
    return int(row.body.rpartition(b".")[2])
