"""The upstream: one method a question; every failure is one of app/upstream/errors."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from app.clock import Clock
from app.upstream.answers import read_object, read_orders
from app.upstream.calls import Calls
from app.upstream.credential import AccessKey, Credential, Pass, Scheme, credential_maker
from app.upstream.drift import Drift
from app.upstream.envelope import NOT_SIGNED_IN, Envelope, open_envelope
from app.upstream.errors import (
    OrderNotFound,
    PaymentNotFound,
    UpstreamCredentialRejected,
    UpstreamNotFound,
)
from app.upstream.governor import Governor
from app.upstream.http import AsyncBaseTransport, open_client
from app.upstream.signature import Brand
from app.upstream.wire import BLOCK_SIZE, ObjectAnswer, OrdersAnswer

ORDERS_PATH = "/api/v3/get-orders"
ORDER_PATH = "/api/v3/get-order-detail"
PAYMENT_PATH = "/api/v3/get-order-pay-detail"
ONE_ROW = {"page": "1", "limit": "1"}


class UpstreamClient:
    """Asks the upstream.

    Attributes:
        credential: the one in use.
        make_credential: makes another.
        sandbox_seen: whether an answer said that it is a sandbox's.
    """

    def __init__(
        self,
        calls: Calls,
        make_credential: Callable[[AccessKey], Credential],
        access_key: AccessKey,
        clock: Clock,
        report_drift: Callable[[str], None],
    ) -> None:
        self._calls = calls
        self.credential = make_credential(access_key)
        self.make_credential = make_credential
        self._clock = clock
        self._report_drift = report_drift
        self.sandbox_seen = False

    async def orders(self, page: int, *, deadline: float) -> OrdersAnswer:
        """The rows of `page`, from 1, fifty a page; answered before the moment `deadline`.

        Raises:
            UpstreamError: the one of its subclasses that says why not.
        """
        params = {"page": str(page), "limit": str(BLOCK_SIZE)}
        envelope = await self._ask(ORDERS_PATH, params, None, deadline)
        return read_orders(envelope, page, self._report_drift)

    async def order(self, order_no: str, *, deadline: float) -> ObjectAnswer:
        """One order, as `orders`; OrderNotFound where there is none."""
        envelope = await self._ask(ORDER_PATH, {"orderNo": order_no}, OrderNotFound, deadline)
        return read_object(envelope, OrderNotFound)

    async def payment(self, order_no: str, *, deadline: float) -> ObjectAnswer:
        """The payment of one order, as `orders`; PaymentNotFound where there is none."""
        envelope = await self._ask(PAYMENT_PATH, {"orderNo": order_no}, PaymentNotFound, deadline)
        return read_object(envelope, PaymentNotFound)

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
        await self._ask_with(admitted, ORDERS_PATH, ONE_ROW, None, deadline)
        before, self.credential = self.credential, candidate
        return before

    async def aclose(self, seconds: float) -> None:
        """Let a renewal run out, at most `seconds`, and close the connections."""
        await self.credential.close(seconds)
        await self._calls.aclose()

    async def _ask(
        self,
        path: str,
        params: Mapping[str, str],
        unknown: type[UpstreamNotFound] | None,
        deadline: float,
    ) -> Envelope:
        """Ask; and again with the other credential where it was exchanged meanwhile."""
        while True:
            credential = self.credential
            try:
                return await self._ask_as(credential, path, params, unknown, deadline)
            except UpstreamCredentialRejected:
                if credential is self.credential:
                    raise

    async def _ask_as(
        self,
        credential: Credential,
        path: str,
        params: Mapping[str, str],
        unknown: type[UpstreamNotFound] | None,
        deadline: float,
    ) -> Envelope:
        """Ask once; and once more, with another pass, where the pass was refused."""
        first = await credential.admit(path, params, deadline=deadline)
        try:
            return await self._ask_with(first, path, params, unknown, deadline)
        except UpstreamCredentialRejected as refusal:
            if refusal.status_code != 401 and refusal.api_code != NOT_SIGNED_IN:
                raise
            second = await credential.renew(first, path, params, deadline=deadline)
            if second is None:
                raise
        return await self._ask_with(second, path, params, unknown, deadline)

    async def _ask_with(
        self,
        admitted: Pass,
        path: str,
        params: Mapping[str, str],
        unknown: type[UpstreamNotFound] | None,
        deadline: float,
    ) -> Envelope:
        reply = await self._calls.get(path, params, admitted.headers, deadline=deadline)
        envelope = open_envelope(reply, self._clock.now(), unknown=unknown)
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
    clock: Clock,
    transport: AsyncBaseTransport | None = None,
) -> UpstreamClient:
    """A client of one upstream. Asks nothing until it is asked. Times in seconds."""
    http = open_client(
        base_url,
        max_connections=max_concurrency,
        ca_file=ca_file,
        proxy=proxy,
        transport=transport,
    )
    governor = Governor(clock, max_concurrency=max_concurrency, max_rate=max_rate)
    calls = Calls(http, governor, clock, connect_timeout=connect_timeout, read_timeout=read_timeout)
    make_credential = credential_maker(
        calls, clock, scheme=scheme, brand=brand, pool_id=pool_id, deadline=deadline
    )
    access_key = AccessKey(access_key_id, access_key_secret)
    return UpstreamClient(calls, make_credential, access_key, clock, Drift())
