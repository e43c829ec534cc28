"""The simulated upstream: a list that changes, tokens that expire, latencies and faults.

It replaces either the function that fetches a block, or the network below the HTTP client.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
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
from tests.simulation.call_oracle import TOKEN, CallOracle
from tests.simulation.history import Call, CallResult, Fetch, ListState
from tests.simulation.loop import START
from tests.simulation.plan import ChangeKind, Fault, KeyRotation, ListChange, Plan

FIRST_KEY = "first"
SECOND_KEY = "second"
READ_TIMEOUT = 5.0

current_fetch: ContextVar[Fetch | None] = ContextVar("current_fetch", default=None)
"""The fetch that makes a call."""

ERRORS: dict[Fault, type[UpstreamError]] = {
    Fault.SERVER_ERROR: UpstreamFailed,
    Fault.TIMEOUT: UpstreamTimeout,
    Fault.CONNECTION_ERROR: UpstreamUnreachable,
    Fault.THROTTLED: UpstreamThrottled,
    Fault.MALFORMED: UpstreamMalformed,
    Fault.CREDENTIAL_REJECTED: UpstreamCredentialRejected,
}


@lru_cache(maxsize=4096)
def make_row(order_no: str, edits: int = 0) -> Row:
    """Return the row of an order that was edited so many times."""
    return Row(order_no, f"{order_no}.{edits}".encode(), (), has_amount=False, rev=str(edits))


class SimulatedUpstream:
    """The upstream of one world.

    Args:
        plan: what happens.
        clock: the world's time.
        rng: draws latencies, and which calls fail.
        oracle: checks the calls.

    Attributes:
        configured_key: the access key that the operator has configured.
        states: of the list, the current one last.
    """

    def __init__(self, plan: Plan, clock: Clock, rng: Random, oracle: CallOracle) -> None:
        self._plan = plan
        self._clock = clock
        self._rng = rng
        self._oracle = oracle
        self._log = oracle.history.log
        self._is_healthy = False
        self._order_count = plan.size
        self._valid_keys = {FIRST_KEY}
        self._tokens: dict[str, tuple[str, float]] = {}
        self._token_numbers = count(1)
        # A shorter read timeout, because a deadline is near, says nothing about the upstream.
        self._min_read_timeout = min(READ_TIMEOUT, plan.settings.deadline) / 2
        self.configured_key = FIRST_KEY
        orders = tuple(make_row(f"n{number}") for number in range(plan.size))
        self.states = [ListState(0, orders)]

    @property
    def orders(self) -> tuple[Row, ...]:
        """The current list."""
        return self.states[-1].orders

    def change_list(self, change: ListChange) -> None:
        """Change the list."""
        orders = list(self.orders)
        position = min(change.position, len(orders) - 1)
        if change.kind in (ChangeKind.REMOVED, ChangeKind.REPLACED) and orders:
            del orders[position]
        if change.kind is ChangeKind.EDITED and orders:
            row = orders[position]
            orders[position] = make_row(row.order_no, _edits(row) + 1)
        if change.kind in (ChangeKind.ADDED, ChangeKind.REPLACED):
            orders.insert(0, make_row(f"n{self._order_count}"))
            self._order_count += 1
        self.states.append(ListState(len(self.states), tuple(orders)))
        self._log("list", f"{change.kind.value} at {position}: {len(orders)} orders")

    def recover(self) -> None:
        """Answer every call correctly and at once from now on."""
        self._is_healthy = True
        self._log("upstream", "has recovered")

    def rotate_key(self, rotation: KeyRotation) -> None:
        """Configure the second key; a valid one is known here, too."""
        self.configured_key = SECOND_KEY
        if rotation.valid:
            self._valid_keys.add(SECOND_KEY)
        self._log("operator", f"configures {'a valid' if rotation.valid else 'an invalid'} key")

    def delete_old_key(self) -> None:
        """Reject the first key and its tokens from now on."""
        self._valid_keys.discard(FIRST_KEY)
        self._tokens = {
            token: (key, expiry)
            for token, (key, expiry) in self._tokens.items()
            if key != FIRST_KEY
        }
        self._log("operator", "deletes the first key")

    def revoke_tokens(self) -> None:
        """Reject every token issued so far."""
        self._tokens.clear()
        self._log("upstream", "revokes all tokens")

    def state_for_call(self) -> ListState:
        """Return the state of the list that answers the next call for a page."""
        return self.states[-1]

    async def fetch_block(self) -> ListState:
        """Return the state of the list that answers a fetch of a block, or raise an error."""
        fault = self._draw_fault()
        before, after = self._draw_latency(), self._draw_latency()
        await self._sleep(before)
        state = self.state_for_call()
        await self._sleep(after)
        if fault:
            raise ERRORS[fault](fault.value)
        return state

    async def respond(self, request: httpx.Request, call: Call) -> httpx.Response:
        """Return the response to one call, or raise an error of the network."""
        timeout = request.extensions["timeout"]
        fault = self._draw_fault()
        before, after = self._draw_latency(), self._draw_latency()
        if fault is Fault.CONNECTION_ERROR:
            await self._sleep(before)
            call.result = CallResult.FAILURE
            raise self._rng.choice((httpx.ConnectError, httpx.RemoteProtocolError))("broken")
        await self._wait_for_bytes(3600.0 if fault is Fault.TIMEOUT else before, timeout, call)
        body, headers = self._respond_with(request, fault)
        failed = fault is Fault.SERVER_ERROR
        call.result = CallResult.FAILURE if failed else CallResult.SUCCESS
        call.retry_after = float(headers.get("retry-after", 0))
        stream = _Stream(
            self._body_chunks(body, after, timeout, call), partial(self._oracle.call_ended, call)
        )
        return httpx.Response(200, headers=headers, stream=stream)

    async def _wait_for_bytes(self, seconds: float, timeout: dict[str, float], call: Call) -> None:
        await self._sleep(min(seconds, timeout["read"]))
        if seconds >= timeout["read"]:
            call.result = self._result_of_timeout(timeout)
            raise httpx.ReadTimeout("timed out")

    def _result_of_timeout(self, timeout: dict[str, float]) -> CallResult:
        is_long_enough = timeout["read"] >= self._min_read_timeout
        return CallResult.FAILURE if is_long_enough else CallResult.IGNORED

    async def _body_chunks(
        self, body: bytes, latency: float, timeout: dict[str, float], call: Call
    ) -> AsyncIterator[bytes]:
        yield body[:10]
        await self._wait_for_bytes(latency, timeout, call)
        if self._clock.monotonic() >= call.started_at + timeout["pool"]:
            # The pool timeout is what was left until the deadline, which has passed now.
            call.result = self._result_of_timeout(timeout)
        yield body[10:]

    def _respond_with(
        self, request: httpx.Request, fault: Fault | None
    ) -> tuple[bytes, dict[str, str]]:
        headers = {"content-type": "application/json"}
        match fault:
            case Fault.SERVER_ERROR:
                return _envelope(500), headers
            case Fault.MALFORMED:
                return b"<html>", headers
            case Fault.THROTTLED:
                retry_after = {"retry-after": self._rng.choice(("1", "3"))}
                return _envelope(429), headers | retry_after
            case _:
                respond = self._issue_token if request.url.path == TOKEN_PATH else self._send_page
                return respond(request, rejects=fault is Fault.CREDENTIAL_REJECTED), headers

    def _issue_token(self, request: httpx.Request, *, rejects: bool) -> bytes:
        key = _access_key_id(request)
        if rejects or key not in self._valid_keys:
            return _envelope(403, apiCode=2333)
        lifetime = self._plan.token_lifetime
        token = f"{key}-{next(self._token_numbers)}"
        self._tokens[token] = (key, self._clock.monotonic() + lifetime)
        self._oracle.token_issued(token, lifetime)
        return _envelope(200, data={"access_token": token, "expires_in": lifetime})

    def _send_page(self, request: httpx.Request, *, rejects: bool) -> bytes:
        token = _token(request)
        _, expiry = self._tokens.get(token, ("", 0.0))
        if rejects or self._clock.monotonic() >= expiry:
            self._oracle.token_rejected(token, current_fetch.get())
            return _envelope(401, apiCode=2020)
        assert request.url.path == ORDERS_PATH
        return _page(self.state_for_call(), int(request.url.params["page"]))

    def _draw_fault(self) -> Fault | None:
        if self._is_healthy:
            return None
        now = self._clock.monotonic() - START
        for period in self._plan.faults:
            is_active = period.at <= now < period.at + period.duration
            if is_active and self._rng.random() < period.probability:
                return period.fault
        return None

    def _draw_latency(self) -> float:
        return 0.0 if self._is_healthy else self._rng.choice(self._plan.latencies) / 2

    async def _sleep(self, seconds: float) -> None:
        # Without a latency not even one iteration of the event loop passes.
        if seconds:
            await self._clock.sleep(seconds)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, chunks: AsyncIterator[bytes], on_close: Callable[[], None]) -> None:
        self._chunks = chunks
        self._on_close = on_close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        self._on_close()


class SimulatedNetwork(httpx.AsyncBaseTransport):
    """The network between the client and the upstream, which has every call checked."""

    def __init__(self, upstream: SimulatedUpstream, oracle: CallOracle) -> None:
        self._upstream = upstream
        self._oracle = oracle

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == TOKEN_PATH:
            target, credential = TOKEN, _access_key_id(request)
        else:
            target, credential = f"page {request.url.params['page']}", _token(request)
        call = self._oracle.call_started(target, credential, current_fetch.get())
        try:
            return await self._upstream.respond(request, call)
        except BaseException:
            self._oracle.call_ended(call)
            raise


def _access_key_id(request: httpx.Request) -> str:
    return str(json.loads(request.content)["accessKeyId"])


def _token(request: httpx.Request) -> str:
    return str(request.headers.get("authorization", "")).removeprefix("Bearer ")


def _envelope(status_code: int, **more: Any) -> bytes:
    return json.dumps({"statusCode": status_code, **more}).encode()


@lru_cache(maxsize=512)
def _page(state: ListState, page: int) -> bytes:
    rows = [{"orderNo": row.order_no, "quantity": _edits(row)} for row in state.block(page - 1)]
    data = {"totalCount": state.total(page - 1), "list": rows}
    return _envelope(200, requestId=f"s{state.version}", data=data)


def _edits(row: Row) -> int:
    return int(row.body.rpartition(b".")[2])
