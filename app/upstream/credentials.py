"""The proxy's credential: a management token that is renewed, or a signature on each call.

Secrets stay `SecretStr` until they are written into a header or body.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from functools import partial
from typing import Literal, Self

from pydantic import SecretStr

from app.backoff import Failure
from app.clock import Clock
from app.single_flight import SingleFlight
from app.upstream.drift import Drift
from app.upstream.envelope import Envelope
from app.upstream.errors import DeadlineExceeded, UpstreamError
from app.upstream.fair_share import Operation
from app.upstream.retry import upstream_backoff
from app.upstream.signature import Brand, authorization, headers_to_sign, string_to_sign
from app.upstream.status import TOKEN_OPERATION, UpstreamStatus
from app.upstream.token import Token, parse_token
from app.upstream.transport import Transport, UpstreamRequest

TOKEN_PATH = "/api/v3/get-management-token"  # noqa: S105  a path

Scheme = Literal["token", "signature"]


@dataclass(frozen=True, slots=True)
class AccessKey:
    """The configured credential."""

    id: SecretStr
    secret: SecretStr


class TokenCredential:
    """A management token, requested when first needed and renewed before it expires.

    Args:
        transport: sends the token calls.
        clock: the only source of time.
        drift: where unexpected values in the responses are counted.
        status: where successes and failures are recorded.
        access_key: what tokens are requested with.
        pool_id: the only pool whose token is accepted; that of the first token if None.
        deadline: seconds that one renewal may take.

    Attributes:
        pool_id: the user pool of the last token; None before the first one.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        drift: Drift,
        status: UpstreamStatus,
        *,
        access_key: AccessKey,
        pool_id: str | None,
        deadline: float,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._drift = drift
        self._status = status
        self._access_key = access_key
        self._required_pool_id = pool_id
        self.pool_id: str | None = None
        self._deadline = deadline
        self._token: Token | None = None
        self._renewals: SingleFlight[None, Token] = SingleFlight(clock)
        self._failure: Failure | None = None

    @property
    def seconds_to_expiry(self) -> float | None:
        """The seconds until the upstream rejects the current token; None if there is none."""
        return self._token.expires_at - self._clock.monotonic() if self._token else None

    async def authorize(self, *, deadline: float) -> Token:
        """Return the current token, or a new one if it is missing or about to expire.

        Raises:
            UpstreamError: none was received before `deadline`.
        """
        now = self._clock.monotonic()
        if self._token and now < self._token.renew_at:
            return self._token
        if self._failure and self._failure.is_backing_off(now):
            raise self._failure.error_at(now) from None
        flight = self._renewals.get(None) or self._renewals.launch(None, self._fetch)
        if not await flight.wait(deadline - now):
            raise DeadlineExceeded("no management token was received in time")
        error = flight.task.exception()
        if isinstance(error, UpstreamError):
            raise error.aged(0.0, 0.0) from None
        return flight.task.result()

    async def renew(self, rejected: "CallAuth", *, deadline: float) -> Token:
        """Return another token than the rejected one: a newer one that is there, or a new one."""
        if self._token is rejected:
            self._token = None
        return await self.authorize(deadline=deadline)

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for a renewal in progress, then cancel it."""
        await self._renewals.close(timeout)

    async def _fetch(self) -> Token:
        """Request a token; remember it, or the failure."""
        body = {
            "accessKeyId": self._access_key.id.get_secret_value(),
            "accessKeySecret": self._access_key.secret.get_secret_value(),
        }
        requested_at = self._clock.monotonic()
        request = UpstreamRequest(
            TOKEN_PATH, requested_at + self._deadline, operation=Operation.TOKEN, body=body
        )
        # Retried like a GET: a second token does no harm.
        retries = self._transport.new_retries(request.deadline, request.operation)
        try:
            parse = partial(self._parse, requested_at)
            token, request_id = await retries.run(lambda: self._transport.send(request, parse))
        except UpstreamError as error:
            self._status.on_failure(TOKEN_OPERATION, error)
            failed_at = self._clock.monotonic()
            self._failure = Failure.after(self._failure, error, failed_at, upstream_backoff)
            raise self._failure.error from None
        self._drift.report(token.drift)
        self._status.on_success(TOKEN_OPERATION, request_id)
        self._failure = None
        self._token = token
        self.pool_id = token.pool_id
        return token

    def _parse(self, requested_at: float, envelope: Envelope) -> tuple[Token, str | None]:
        """Return the token in a response, and the upstream's id of it."""
        required_pool_id = self._required_pool_id or self.pool_id
        return parse_token(envelope.data, requested_at, required_pool_id), envelope.request_id


class SignatureCredential:
    """A signature on each call: needs no token, but a clock that agrees with the upstream's."""

    pool_id = None  # unknown: a signature names no pool
    seconds_to_expiry = None  # a signature is made for each call

    def __init__(self, clock: Clock, *, access_key: AccessKey, brand: Brand) -> None:
        self._clock = clock
        self._access_key = access_key
        self._brand = brand

    def headers_for(self, path: str, params: Mapping[str, str], /) -> Mapping[str, str]:
        """Return the headers of one call, signed with a new nonce."""
        date = format_datetime(self._clock.now(), usegmt=True)
        headers = headers_to_sign(self._brand, date=date, nonce=uuid.uuid4().hex)
        text = string_to_sign("GET", path, params, headers, self._brand)
        key_id = self._access_key.id.get_secret_value()
        secret = self._access_key.secret.get_secret_value()
        return headers | {"Authorization": authorization(key_id, secret, text, self._brand)}

    async def authorize(self, *, deadline: float) -> Self:  # noqa: ARG002  nothing to wait for
        """Return itself: each call is signed when it is sent."""
        return self

    async def renew(self, rejected: "CallAuth", *, deadline: float) -> None:
        """Return None: another signature with the same key would be rejected as well."""

    async def close(self, timeout: float) -> None:
        """Do nothing: there are no renewals."""


Credential = TokenCredential | SignatureCredential
"""A way to authenticate calls."""

CallAuth = Token | SignatureCredential
"""Authenticates one call by the headers that its `headers_for` returns."""
