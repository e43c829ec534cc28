"""The client of the upstream API: one method per endpoint, one error class per kind of failure.

A request goes through `list_orders` (or another endpoint), `_request` (credential and its renewal),
`Retries.run`, and `Transport.send` (circuit breaker, limiter, HTTP).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from app.clock import Clock
from app.http import AsyncBaseTransport, open_client
from app.upstream.admission import Admission
from app.upstream.breaker import Breaker
from app.upstream.credentials import AccessKey, CallAuth, Credential, Scheme, credential_factory
from app.upstream.drift import Drift, DriftKind
from app.upstream.envelope import NOT_SIGNED_IN, Envelope, HttpResponse
from app.upstream.errors import (
    OrderNotFound,
    PaymentNotFound,
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from app.upstream.limiter import CallLimiter
from app.upstream.parsing import parse_object, parse_order_list
from app.upstream.retry import MAX_ATTEMPTS, RandomFloat, Retries, RetryBudget, RetryPolicy
from app.upstream.signature import Brand
from app.upstream.status import UpstreamStatus
from app.upstream.transport import Transport, UpstreamRequest
from app.upstream.wire import BLOCK_SIZE, ObjectResponse, OrderListResponse

ORDERS_PATH = "/api/v3/get-orders"
ORDER_PATH = "/api/v3/get-order-detail"
PAYMENT_PATH = "/api/v3/get-order-pay-detail"

LOST_CALL_DEADLINES = 2.0
"""Deadlines after which a call counts as lost."""

_logger = logging.getLogger("orders_bff.upstream")


@dataclass(frozen=True, slots=True)
class _Query:
    """One GET request; `not_found` is the error to raise if the requested object does not exist."""

    path: str
    params: Mapping[str, str]
    deadline: float
    not_found: type[UpstreamNotFound] | None = None


class UpstreamClient:
    """Sends requests to the upstream. Calls of background work are queued behind all others.

    Deadlines are on the monotonic clock and include the time in the queue, token renewal and
    retries.

    Attributes:
        status: the last success and the last failure.
        drift: what responses contained beyond the known schema.
        sandbox_seen: whether a response came from a sandbox.
    """

    def __init__(
        self,
        transport: Transport,
        credential_factory: Callable[[AccessKey], Credential],
        access_key: AccessKey,
        drift: Drift,
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._credential_factory = credential_factory
        self._credential = credential_factory(access_key)
        self.status = UpstreamStatus(clock)
        self.drift = drift
        self.sandbox_seen = False

    async def list_orders(self, page: int, *, deadline: float) -> OrderListResponse:
        """Return the `BLOCK_SIZE` rows of `page`, from 1, and the total.

        Raises:
            UpstreamError: the request failed; the subclass is the cause.
        """
        params = {"page": str(page), "limit": str(BLOCK_SIZE)}
        with self._observed(ORDERS_PATH):
            envelope = await self._request(_Query(ORDERS_PATH, params, deadline))
            return parse_order_list(envelope, page, self.drift)

    async def get_order(self, order_no: str, *, deadline: float) -> ObjectResponse:
        """Return one order.

        Raises:
            OrderNotFound: it does not exist.
            UpstreamError: the request failed; the subclass is the cause.
        """
        query = _Query(ORDER_PATH, {"orderNo": order_no}, deadline, OrderNotFound)
        with self._observed(ORDER_PATH):
            return parse_object(await self._request(query), "order", OrderNotFound, self.drift)

    async def get_payment(self, order_no: str, *, deadline: float) -> ObjectResponse:
        """Return the payment of one order.

        Raises:
            PaymentNotFound: it does not exist.
            UpstreamError: the request failed; the subclass is the cause.
        """
        query = _Query(PAYMENT_PATH, {"orderNo": order_no}, deadline, PaymentNotFound)
        with self._observed(PAYMENT_PATH):
            return parse_object(await self._request(query), "payment", PaymentNotFound, self.drift)

    async def get_raw(self, path: str, *, deadline: float) -> HttpResponse:
        """Return the response to an unauthenticated GET of `path`, whatever it is."""
        return await self._transport.get_raw(path, deadline=deadline)

    def report_drift(self, kinds: Iterable[DriftKind]) -> None:
        """Count drift that was found while mapping one response."""
        self.drift.report(kinds)

    def make_credential(self, access_key: AccessKey) -> Credential:
        """Return another credential, to pass to `switch_credential`."""
        return self._credential_factory(access_key)

    async def authorize(self, *, deadline: float) -> str | None:
        """Check that the credential is accepted; return the pool it is for, if that is known."""
        await self._credential.authorize(deadline=deadline)
        return self._credential.pool_id

    async def switch_credential(self, candidate: Credential, *, deadline: float) -> Credential:
        """Use `candidate` from now on, if it can read the order list of the same pool.

        Returns:
            The previous credential, for the caller to close.

        Raises:
            UpstreamError: the candidate failed; the current credential stays in use.
        """
        await candidate.authorize(deadline=deadline)
        current_pool, candidate_pool = self._credential.pool_id, candidate.pool_id
        if current_pool and candidate_pool and current_pool != candidate_pool:
            raise UpstreamCredentialRejected("it belongs to another pool than the current one")
        query = _Query(ORDERS_PATH, {"page": "1", "limit": "1"}, deadline)
        await self._request_as(candidate, query, self._transport.new_retries(deadline))
        previous, self._credential = self._credential, candidate
        return previous

    async def aclose(self, seconds: float) -> None:
        """Wait at most `seconds` for a token renewal, and close the connections."""
        await self._credential.close(seconds)
        await self._transport.aclose()

    async def _request(self, query: _Query) -> Envelope:
        """Use the current credential; start over if it is rejected and was switched meanwhile."""
        retries = self._transport.new_retries(query.deadline)
        while True:
            credential = self._credential
            try:
                return await self._request_as(credential, query, retries)
            except UpstreamCredentialRejected:
                if credential is self._credential:
                    raise

    async def _request_as(
        self, credential: Credential, query: _Query, retries: Retries
    ) -> Envelope:
        """Make the calls of one request; if its token is rejected, renew it once and continue."""
        auth = await credential.authorize(deadline=query.deadline)
        try:
            return await retries.run(partial(self._send, query, auth))
        except UpstreamCredentialRejected as rejection:
            if rejection.status_code != 401 and rejection.api_code != NOT_SIGNED_IN:
                raise
            renewed = await credential.renew(auth, deadline=query.deadline)
            if renewed is None:
                raise
        return await retries.run(partial(self._send, query, renewed))

    async def _send(self, query: _Query, auth: CallAuth) -> Envelope:
        """Make one call."""
        headers = auth.headers_for(query.path, query.params)
        envelope = await self._transport.send(
            UpstreamRequest("GET", query.path, query.params, headers),
            deadline=query.deadline,
            not_found=query.not_found,
        )
        self.sandbox_seen = self.sandbox_seen or envelope.sandbox
        return envelope

    @contextmanager
    def _observed(self, path: str) -> Iterator[None]:
        """Record in `status` how one request ends, and log it if it fails."""
        try:
            yield
        except UpstreamNotFound:
            self.status.on_success()
            raise
        except UpstreamError as error:
            self.status.on_failure(error)
            _log_failed_call(path, error)
            raise
        self.status.on_success()


def _log_failed_call(path: str, error: UpstreamError) -> None:
    """Log that a request failed after all retries, without any value that a caller chose.

    Requests for which no call was made are not logged: the opening of the circuit was.
    """
    if not isinstance(error, UpstreamUnavailable):
        fields = {"operation": path.rpartition("/")[2], **error.log_fields()}
        _logger.warning("upstream_call_failed", extra={"fields": fields})


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
    breaker_open_seconds: float,
    clock: Clock,
    random: RandomFloat,
    max_attempts: int = MAX_ATTEMPTS,
    drift: Drift | None = None,
    transport: AsyncBaseTransport | None = None,
) -> UpstreamClient:
    """Return a client of one upstream, which makes no call yet.

    Most arguments are settings of the same name, with times in seconds. `breaker_open_seconds` is
    how long the circuit stays open before a probe, `random` the source of jitter, `max_attempts`
    the number of calls for one request, `drift` where drift is counted (by default, new kinds are
    logged), `transport` the network (by default, the real one).
    """
    open_http_client = partial(
        open_client,
        base_url,
        max_connections=max_concurrency,
        ca_file=ca_file,
        proxy=proxy,
        transport=transport,
    )
    limiter = CallLimiter(clock, max_concurrency=max_concurrency, max_rate=max_rate)
    admission = Admission(limiter, Breaker(open_seconds=breaker_open_seconds), clock)
    calls = Transport(
        open_http_client,
        admission,
        RetryPolicy(admission, RetryBudget(), clock, random, max_attempts),
        clock,
        connect_timeout=connect_timeout,
        # No call may take longer than the deadline, so a call that had all of it had a fair time.
        read_timeout=min(read_timeout, deadline),
        lost_call_timeout=LOST_CALL_DEADLINES * deadline,
    )
    credentials = credential_factory(
        calls, clock, scheme=scheme, brand=brand, pool_id=pool_id, deadline=deadline
    )
    access_key = AccessKey(access_key_id, access_key_secret)
    return UpstreamClient(calls, credentials, access_key, drift or Drift(), clock)
