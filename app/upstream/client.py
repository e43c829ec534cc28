"""The upstream: one method a question; every failure is one of app/upstream/errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from app.clock import Clock
from app.http import AsyncBaseTransport, open_client
from app.single_flight import Awaited, always_awaited
from app.upstream.admission import Guard
from app.upstream.breaker import Breaker
from app.upstream.client_pool import Lines
from app.upstream.credentials import AccessKey, Credential, Pass, Scheme, credential_maker
from app.upstream.drift import Drift
from app.upstream.envelope import NOT_SIGNED_IN, Envelope
from app.upstream.errors import (
    OrderNotFound,
    OutOfTime,
    PaymentNotFound,
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamNotFound,
    UpstreamTimeout,
)
from app.upstream.limiter import Governor
from app.upstream.parsing import read_object, read_orders
from app.upstream.retry import TRIES, Budget, Chance, Retries, Tries
from app.upstream.signature import Brand
from app.upstream.transport import Calls, Question, too_slow
from app.upstream.unanswered import told_if_unanswered
from app.upstream.wire import BLOCK_SIZE, ObjectAnswer, OrdersAnswer

ORDERS_PATH = "/api/v3/get-orders"
ORDER_PATH = "/api/v3/get-order-detail"
PAYMENT_PATH = "/api/v3/get-order-pay-detail"
ONE_ROW = {"page": "1", "limit": "1"}

LOST_AFTER = 2.0
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
        calls: Calls,
        make_credential: Callable[[AccessKey], Credential],
        access_key: AccessKey,
        drift: Drift,
    ) -> None:
        self._calls = calls
        self.credential = make_credential(access_key)
        self.make_credential = make_credential
        self.drift = drift
        self.sandbox_seen = False

    async def orders(
        self, page: int, *, deadline: float, awaited: Awaited = always_awaited
    ) -> OrdersAnswer:
        """The rows of `page`, from 1, fifty a page; answered before the moment `deadline`.

        Calls that nobody waits for, as `awaited` tells, go after those that somebody does.

        Raises:
            UpstreamError: the one of its subclasses that says why not.
        """
        params = {"page": str(page), "limit": str(BLOCK_SIZE)}
        asking = _Asking(ORDERS_PATH, params, None, deadline, awaited)
        with told_if_unanswered(ORDERS_PATH):
            return read_orders(await self._ask(asking), page, self.drift)

    async def order(
        self, order_no: str, *, deadline: float, awaited: Awaited = always_awaited
    ) -> ObjectAnswer:
        """One order, as `orders`; OrderNotFound where there is none."""
        asking = _Asking(ORDER_PATH, {"orderNo": order_no}, OrderNotFound, deadline, awaited)
        with told_if_unanswered(ORDER_PATH):
            return read_object(await self._ask(asking), "order", OrderNotFound, self.drift)

    async def payment(
        self, order_no: str, *, deadline: float, awaited: Awaited = always_awaited
    ) -> ObjectAnswer:
        """The payment of one order, as `orders`; PaymentNotFound where there is none."""
        asking = _Asking(PAYMENT_PATH, {"orderNo": order_no}, PaymentNotFound, deadline, awaited)
        with told_if_unanswered(PAYMENT_PATH):
            return read_object(await self._ask(asking), "payment", PaymentNotFound, self.drift)

    async def adopt(self, candidate: Credential, *, deadline: float) -> Credential:
        """Ask with `candidate` from now on, if it can read the list of the same pool.

        Returns the one that was used before: what it has under way is its caller's to let run out.

        Raises:
            UpstreamError: it cannot; the one in use stays.
        """
        admitted = await candidate.admit(ORDERS_PATH, ONE_ROW, deadline=deadline)
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
        tries = self._calls.tries()
        while True:
            credential = self.credential
            try:
                return await self._ask_as(credential, asking, tries)
            except UpstreamCredentialRejected:
                if credential is self.credential:
                    raise

    async def _ask_as(self, credential: Credential, asking: _Asking, tries: Tries) -> Envelope:
        """Ask, and try again where that may help.

        Where the upstream was slow once, that is told, and not that the last try came too late.
        """
        was_slow = False
        while True:
            # Outside: a token that cannot be had was tried for already.
            admitted = await credential.admit(asking.path, asking.params, deadline=asking.deadline)
            try:
                return await self._ask_once(credential, admitted, asking)
            except UpstreamError as failure:
                if not await tries.another(failure, asking.deadline):
                    if was_slow and isinstance(failure, OutOfTime):
                        raise too_slow() from None
                    raise
                was_slow = was_slow or type(failure) is UpstreamTimeout

    async def _ask_once(self, credential: Credential, first: Pass, asking: _Asking) -> Envelope:
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

    async def _ask_with(self, admitted: Pass, asking: _Asking) -> Envelope:
        envelope = await self._calls.ask(
            Question("GET", asking.path, asking.params, admitted.headers),
            unknown=asking.unknown,
            deadline=asking.deadline,
            awaited=asking.awaited,
        )
        self.sandbox_seen = self.sandbox_seen or envelope.sandbox
        return envelope


def open_upstream(
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
    chance: Chance,
    tries: int = TRIES,
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
    governor = Governor(clock, max_concurrency=max_concurrency, max_rate=max_rate)
    guard = Guard(governor, Breaker(pause=breaker_pause), clock)
    calls = Calls(
        Lines(open_http, clock, lost_after=LOST_AFTER * deadline),
        guard,
        Retries(guard, Budget(), clock, chance, tries),
        clock,
        connect_timeout=connect_timeout,
        # No call may take longer: one that was given all of the deadline was given a fair chance.
        read_timeout=min(read_timeout, deadline),
    )
    make_credential = credential_maker(
        calls, clock, scheme=scheme, brand=brand, pool_id=pool_id, deadline=deadline
    )
    access_key = AccessKey(access_key_id, access_key_secret)
    return UpstreamClient(calls, make_credential, access_key, Drift())
