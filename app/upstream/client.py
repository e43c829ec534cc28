"""The upstream: one method a question; every failure is one of app/upstream/errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from app.clock import Clock
from app.http import AsyncBaseTransport, open_client
from app.single_flight import Awaited, always_awaited
from app.upstream.admission import Admission
from app.upstream.breaker import Breaker
from app.upstream.client_pool import ClientPool
from app.upstream.credentials import AccessKey, CallAuth, Credential, Scheme, credential_factory
from app.upstream.drift import Drift
from app.upstream.envelope import NOT_SIGNED_IN, Envelope
from app.upstream.errors import (
    DeadlineExceeded,
    OrderNotFound,
    PaymentNotFound,
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamNotFound,
    UpstreamTimeout,
)
from app.upstream.limiter import CallLimiter
from app.upstream.parsing import parse_object, parse_order_list
from app.upstream.retry import MAX_ATTEMPTS, RandomFloat, RetryBudget, RetryPolicy, RetryState
from app.upstream.signature import Brand
from app.upstream.transport import Transport, UpstreamRequest, slow_upstream_error
from app.upstream.unanswered import log_failed_call
from app.upstream.wire import BLOCK_SIZE, ObjectResponse, OrderListResponse

ORDERS_PATH = "/api/v3/get-orders"
ORDER_PATH = "/api/v3/get-order-detail"
PAYMENT_PATH = "/api/v3/get-order-pay-detail"
ONE_ROW = {"page": "1", "limit": "1"}

LOST_CALL_DEADLINES = 2.0
"""Deadlines: a call that has not come back by then never will."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question, however often it is tried."""

    path: str
    params: Mapping[str, str]
    unknown: type[UpstreamNotFound] | None
    deadline: float
    awaited: Awaited


class UpstreamClient:
    """Asks the upstream.

    Attributes:
        credential: the one in use.
        make_credential: makes another.
        drift: what was answered outside what we know.
        sandbox_seen: whether an answer said that it is a sandbox's.
    """

    def __init__(
        self,
        calls: Transport,
        make_credential: Callable[[AccessKey], Credential],
        access_key: AccessKey,
        drift: Drift,
    ) -> None:
        self._calls = calls
        self.credential = make_credential(access_key)
        self.make_credential = make_credential
        self.drift = drift
        self.sandbox_seen = False

    async def list_orders(
        self, page: int, *, deadline: float, awaited: Awaited = always_awaited
    ) -> OrderListResponse:
        """The rows of `page`, from 1, fifty a page; answered before the moment `deadline`.

        Calls that nobody waits for, as `awaited` tells, go after those that somebody does.

        Raises:
            UpstreamError: the one of its subclasses that says why not.
        """
        params = {"page": str(page), "limit": str(BLOCK_SIZE)}
        asking = _Asking(ORDERS_PATH, params, None, deadline, awaited)
        with log_failed_call(ORDERS_PATH):
            return parse_order_list(await self._ask(asking), page, self.drift)

    async def get_order(
        self, order_no: str, *, deadline: float, awaited: Awaited = always_awaited
    ) -> ObjectResponse:
        """One order, as `orders`; OrderNotFound where there is none."""
        asking = _Asking(ORDER_PATH, {"orderNo": order_no}, OrderNotFound, deadline, awaited)
        with log_failed_call(ORDER_PATH):
            return parse_object(await self._ask(asking), "order", OrderNotFound, self.drift)

    async def get_payment(
        self, order_no: str, *, deadline: float, awaited: Awaited = always_awaited
    ) -> ObjectResponse:
        """The payment of one order, as `orders`; PaymentNotFound where there is none."""
        asking = _Asking(PAYMENT_PATH, {"orderNo": order_no}, PaymentNotFound, deadline, awaited)
        with log_failed_call(PAYMENT_PATH):
            return parse_object(await self._ask(asking), "payment", PaymentNotFound, self.drift)

    async def switch_credential(self, candidate: Credential, *, deadline: float) -> Credential:
        """Ask with `candidate` from now on, if it can read the list of the same pool.

        Returns the one that was used before: what it has under way is its caller's to let run out.

        Raises:
            UpstreamError: it cannot; the one in use stays.
        """
        admitted = await candidate.authorize(ORDERS_PATH, ONE_ROW, deadline=deadline)
        here, there = self.credential.pool_id, candidate.pool_id
        if here and there and here != there:
            raise UpstreamCredentialRejected("it is of another pool than the one in use")
        trial = _Asking(ORDERS_PATH, ONE_ROW, None, deadline, always_awaited)
        await self._ask_once(candidate, admitted, trial)
        before, self.credential = self.credential, candidate
        return before

    async def aclose(self, seconds: float) -> None:
        """Let a renewal run out, at most `seconds`, and close the connections."""
        await self.credential.close(seconds)
        await self._calls.aclose()

    async def _ask(self, asking: _Asking) -> Envelope:
        """Ask; and again with the other credential where it was exchanged meanwhile."""
        tries = self._calls.new_retry_state()
        while True:
            credential = self.credential
            try:
                return await self._ask_as(credential, asking, tries)
            except UpstreamCredentialRejected:
                if credential is self.credential:
                    raise

    async def _ask_as(self, credential: Credential, asking: _Asking, tries: RetryState) -> Envelope:
        """Ask, and try again where that may help.

        Where the upstream was slow once, that is told, and not that the last try came too late.
        """
        was_slow = False
        while True:
            # Outside: a token that cannot be had was tried for already.
            admitted = await credential.authorize(
                asking.path, asking.params, deadline=asking.deadline
            )
            try:
                return await self._ask_once(credential, admitted, asking)
            except UpstreamError as failure:
                if not await tries.should_retry(failure, asking.deadline):
                    if was_slow and isinstance(failure, DeadlineExceeded):
                        raise slow_upstream_error() from None
                    raise
                was_slow = was_slow or type(failure) is UpstreamTimeout

    async def _ask_once(self, credential: Credential, first: CallAuth, asking: _Asking) -> Envelope:
        """Ask; and once more, with another pass, where the pass was refused."""
        try:
            return await self._ask_with(first, asking)
        except UpstreamCredentialRejected as refusal:
            if refusal.status_code != 401 and refusal.api_code != NOT_SIGNED_IN:
                raise
            second = await credential.renew(
                first, asking.path, asking.params, deadline=asking.deadline
            )
            if second is None:
                raise
        return await self._ask_with(second, asking)

    async def _ask_with(self, admitted: CallAuth, asking: _Asking) -> Envelope:
        envelope = await self._calls.send(
            UpstreamRequest("GET", asking.path, asking.params, admitted.headers),
            unknown=asking.unknown,
            deadline=asking.deadline,
            awaited=asking.awaited,
        )
        self.sandbox_seen = self.sandbox_seen or envelope.sandbox
        return envelope


def create_upstream_client(
    *,
    base_url: str,
    access_key_id: SecretStr,
    access_key_secret: SecretStr,
    scheme: Scheme,
    brand: Brand,
    pool_id: str | None,
    ca_file: Path | None,
    proxy: str | None,
    connect_timeout: float,
    read_timeout: float,
    deadline: float,
    max_concurrency: int,
    max_rate: int,
    breaker_pause: float,
    clock: Clock,
    chance: RandomFloat,
    tries: int = MAX_ATTEMPTS,
    transport: AsyncBaseTransport | None = None,
) -> UpstreamClient:
    """A client of one upstream. Asks nothing until it is asked. Times in seconds.

    `breaker_pause` is how long an ill upstream is left in peace, `chance` where jitter comes from,
    `tries` how often one question is asked at most; the others are as the settings have them.
    """
    open_http = partial(
        open_client,
        base_url,
        max_connections=max_concurrency,
        ca_file=ca_file,
        proxy=proxy,
        transport=transport,
    )
    governor = CallLimiter(clock, max_concurrency=max_concurrency, max_rate=max_rate)
    guard = Admission(governor, Breaker(pause=breaker_pause), clock)
    calls = Transport(
        ClientPool(open_http, clock, lost_after=LOST_CALL_DEADLINES * deadline),
        guard,
        RetryPolicy(guard, RetryBudget(), clock, chance, tries),
        clock,
        connect_timeout=connect_timeout,
        # No call may take longer: one that was given all of the deadline was given a fair chance.
        read_timeout=min(read_timeout, deadline),
    )
    make_credential = credential_factory(
        calls, clock, scheme=scheme, brand=brand, pool_id=pool_id, deadline=deadline
    )
    access_key = AccessKey(access_key_id, access_key_secret)
    return UpstreamClient(calls, make_credential, access_key, Drift())
