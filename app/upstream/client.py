"""The client of the upstream API: one method per endpoint, one error class per kind of failure.

A request goes through `list_orders` (or another endpoint), `_request` (credential and its renewal),
`Retries.run`, and `Transport.send` (circuit breaker, limiter, HTTP).
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import SecretStr

from app.clock import Clock
from app.http import AsyncBaseTransport, open_client
from app.telemetry.spans import Tracing
from app.upstream.breaker import Admission, Breaker
from app.upstream.calls import CallLog
from app.upstream.credentials import (
    AccessKey,
    CallAuth,
    Credential,
    Scheme,
    SignatureCredential,
    TokenCredential,
)
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
from app.upstream.fair_share import Operation
from app.upstream.limiter import CallLimiter
from app.upstream.parsing import Subject, parse_object, parse_order_list
from app.upstream.retry import MAX_ATTEMPTS, RandomFloat, Retries, RetryBudget
from app.upstream.signature import Brand
from app.upstream.status import UpstreamStatus
from app.upstream.transport import Transport, UpstreamRequest, operation_of
from app.upstream.wire import BLOCK_SIZE, ObjectResponse, OrderListResponse

T = TypeVar("T")

ORDERS_PATH = "/api/v3/get-orders"
ORDER_PATH = "/api/v3/get-order-detail"
PAYMENT_PATH = "/api/v3/get-order-pay-detail"

_OBJECTS: Mapping[Subject, tuple[str, type[UpstreamNotFound]]] = {
    "order": (ORDER_PATH, OrderNotFound),
    "payment": (PAYMENT_PATH, PaymentNotFound),
}

LOST_CALL_DEADLINES = 2.0
"""Deadlines after which a call counts as lost."""

_logger = logging.getLogger("orders_bff.upstream")


class _Response(Protocol):
    """What was read from a response."""

    @property
    def request_id(self) -> str | None:
        """The upstream's id of the response."""


R = TypeVar("R", bound=_Response)


class UpstreamClient:
    """Sends requests to the upstream. Each kind of call has its share of the limits.

    Deadlines are on the monotonic clock and include the time in the queue, token renewal and
    retries. A request that fails raises an `UpstreamError`, whose subclass is the cause.

    Attributes:
        make_credential: returns another credential, to pass to `switch_credential`.
        admission: the limiter and the circuit breakers.
        calls: the last calls.
        status: how the last requests ended.
        drift: what responses contained beyond the known schema.
        sandbox_seen: whether a response came from a sandbox.
    """

    def __init__(
        self,
        transport: Transport,
        make_credential: Callable[[AccessKey], Credential],
        access_key: AccessKey,
        *,
        drift: Drift,
        admission: Admission,
        calls: CallLog,
        status: UpstreamStatus,
    ) -> None:
        self._transport = transport
        self.admission = admission
        self.calls = calls
        self.status = status
        self.make_credential = make_credential
        self._credential = make_credential(access_key)
        self.drift = drift
        self.sandbox_seen = False

    async def list_orders(
        self, page: int, *, deadline: float, known_digest: bytes | None = None
    ) -> OrderListResponse:
        """Return the `BLOCK_SIZE` rows of `page`, from 1, and the total.

        `known_digest` is that of a response that the caller has. If it is also the digest of the
        new one, that one is not parsed.
        """
        params = {"page": str(page), "limit": str(BLOCK_SIZE)}
        request = UpstreamRequest(ORDERS_PATH, deadline, params, known_digest=known_digest)
        parse = partial(parse_order_list, page=page, drift=self.drift)
        return await self._observed(request, parse)

    async def get_order(self, order_no: str, *, deadline: float) -> ObjectResponse:
        """Return one order.

        Raises:
            OrderNotFound: it does not exist.
        """
        return await self._get_object("order", order_no, deadline)

    async def get_payment(self, order_no: str, *, deadline: float) -> ObjectResponse:
        """Return the payment of one order.

        Raises:
            PaymentNotFound: it does not exist.
        """
        return await self._get_object("payment", order_no, deadline)

    async def get_raw(self, path: str, *, deadline: float) -> HttpResponse:
        """Return the response to an unauthenticated GET of `path`, whatever it is."""
        return await self._transport.get_raw(path, deadline=deadline)

    def report_drift(self, kinds: Iterable[DriftKind]) -> bool:
        """Count drift that was found while mapping one response; return whether there was any."""
        return self.drift.report(kinds)

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
        request = UpstreamRequest(ORDERS_PATH, deadline, {"page": "1", "limit": "1"})
        retries = self._transport.new_retries(deadline, request.operation)
        await self._request_as(candidate, request, lambda _: None, retries)
        previous, self._credential = self._credential, candidate
        return previous

    @property
    def credential(self) -> Credential:
        """The credential in use."""
        return self._credential

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for a token renewal, and close the connections."""
        await self._credential.close(timeout)
        await self._transport.aclose()

    async def _get_object(self, subject: Subject, order_no: str, deadline: float) -> ObjectResponse:
        path, not_found = _OBJECTS[subject]
        params = {"orderNo": order_no}
        request = UpstreamRequest(path, deadline, params, Operation.DETAIL, not_found=not_found)
        parse = partial(
            parse_object,
            subject=subject,
            order_no=order_no,
            not_found=not_found,
            drift=self.drift,
        )
        return await self._observed(request, parse)

    async def _request(self, request: UpstreamRequest, parse: Callable[[Envelope], T]) -> T:
        """Use the current credential; start over if it is rejected and was switched meanwhile."""
        retries = self._transport.new_retries(request.deadline, request.operation)
        while True:
            credential = self._credential
            try:
                return await self._request_as(credential, request, parse, retries)
            except UpstreamError as error:
                was_switched = partial(self._was_switched, credential)
                if not (was_switched() and isinstance(error, UpstreamCredentialRejected)):
                    error.is_outdated = was_switched
                    raise

    def _was_switched(self, credential: Credential) -> bool:
        return credential is not self._credential

    async def _request_as(
        self,
        credential: Credential,
        request: UpstreamRequest,
        parse: Callable[[Envelope], T],
        retries: Retries,
    ) -> T:
        """Make the calls of one request; if its token is rejected, renew it once and continue."""
        auth = await credential.authorize(deadline=request.deadline)
        try:
            return await retries.run(partial(self._send, request, parse, auth))
        except UpstreamCredentialRejected as rejection:
            if rejection.status_code != 401 and rejection.api_code != NOT_SIGNED_IN:
                raise
            renewed = await credential.renew(auth, deadline=request.deadline)
            if renewed is None:
                raise
        return await retries.run(partial(self._send, request, parse, renewed))

    async def _send(
        self, request: UpstreamRequest, parse: Callable[[Envelope], T], auth: CallAuth
    ) -> T:
        def parse_and_note(envelope: Envelope) -> T:
            self.sandbox_seen = self.sandbox_seen or envelope.sandbox
            return parse(envelope)

        headers = auth.headers_for(request.path, request.params)
        return await self._transport.send(request, parse_and_note, headers)

    async def _observed(self, request: UpstreamRequest, parse: Callable[[Envelope], R]) -> R:
        """Make a request; record in `status` how it ends, and log it if it fails after all retries.

        No value that a caller chose is logged.
        """
        operation = operation_of(request.path)
        try:
            response = await self._request(request, parse)
        except UpstreamNotFound as error:
            self.status.on_success(operation, error.request_id)
            raise
        except UpstreamError as error:
            self.status.on_failure(operation, error)
            # If no call was made, the opening of the circuit has been logged.
            if not isinstance(error, UpstreamUnavailable):
                fields = {"operation": operation, **error.log_fields()}
                _logger.warning("upstream_call_failed", extra={"fields": fields})
            raise
        self.status.on_success(operation, response.request_id)
        return response


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
    max_connection_age: float = math.inf,
    breaker_open_seconds: float,
    clock: Clock,
    random: RandomFloat,
    max_attempts: int = MAX_ATTEMPTS,
    drift: Drift | None = None,
    transport: AsyncBaseTransport | None = None,
    tracing: Tracing | None = None,
) -> UpstreamClient:
    """Return a client of one upstream, which makes no call yet.

    Most arguments are settings of the same name, with times in seconds. `breaker_open_seconds` is
    how long the circuit stays open before a probe, `random` the source of jitter, `max_attempts`
    the number of calls for one request, `drift` where drift is counted (by default, new kinds are
    logged), `transport` the network (by default, the real one), `tracing` starts a span for each
    call.
    """
    drift = drift or Drift()
    open_http_client = partial(
        open_client,
        base_url,
        max_connections=max_concurrency,
        ca_file=ca_file,
        proxy=proxy,
        max_connection_age=max_connection_age,
        clock=clock,
        transport=transport,
    )
    limiter = CallLimiter(clock, max_concurrency=max_concurrency, max_rate=max_rate)
    make_breaker = partial(Breaker, open_seconds=breaker_open_seconds)
    admission = Admission(limiter, make_breaker, clock)
    budgets = {operation: RetryBudget() for operation in Operation}

    def new_retries(deadline: float, operation: Operation) -> Retries:
        return Retries(
            admission,
            budgets[operation],
            clock,
            deadline,
            operation,
            random=random,
            max_attempts=max_attempts,
        )

    calls, status = CallLog(clock, tracing), UpstreamStatus(clock)
    http_transport = Transport(
        open_http_client,
        admission,
        calls,
        clock,
        new_retries=new_retries,
        connect_timeout=connect_timeout,
        # No call may take longer than the deadline, so a call that had all of it had a fair time.
        read_timeout=min(read_timeout, deadline),
        lost_call_timeout=LOST_CALL_DEADLINES * deadline,
    )

    def make_credential(key: AccessKey) -> Credential:
        if scheme == "signature":
            return SignatureCredential(clock, access_key=key, brand=brand)
        return TokenCredential(
            http_transport,
            clock,
            drift,
            status,
            access_key=key,
            pool_id=pool_id,
            deadline=deadline,
        )

    access_key = AccessKey(access_key_id, access_key_secret)
    return UpstreamClient(
        http_transport,
        make_credential,
        access_key,
        drift=drift,
        admission=admission,
        calls=calls,
        status=status,
    )
