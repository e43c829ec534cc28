"""Who we are to the upstream: a management token, or a signature on each call.

Secrets stay `SecretStr` until the header that carries them.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Literal, Protocol

from pydantic import SecretStr

from app.clock import Clock
from app.single_flight import SingleFlight
from app.upstream.errors import (
    DeadlineExceeded,
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamUnavailable,
)
from app.upstream.signature import Brand, authorization, headers_to_sign, string_to_sign
from app.upstream.token import Token, parse_token
from app.upstream.transport import Transport, UpstreamRequest

TOKEN_PATH = "/api/v3/get-management-token"  # noqa: S105  a path

REJECTED_BACKOFF_SECONDS = 10.0
"""Seconds not to offer a credential again that was rejected."""

FAILED_PAUSES = (1.0, 2.0, 4.0, 5.0)
"""Seconds not to ask again after the first, second, ... other failure in a row; then the last."""


Scheme = Literal["token", "signature"]


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Who we are to the upstream, as it is configured."""

    id: SecretStr
    secret: SecretStr


class CallAuth(Protocol):
    """What lets one call in."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What to send along."""


class Credential(Protocol):
    """A way to be let in."""

    @property
    def pool_id(self) -> str | None:
        """The pool that it was let into last, where it can tell."""

    async def authorize(self, path: str, params: Mapping[str, str], *, deadline: float) -> CallAuth:
        """A pass for one GET.

        Raises:
            UpstreamError: there is none before the moment `deadline`.
        """

    async def renew(
        self, refused: CallAuth, path: str, params: Mapping[str, str], *, deadline: float
    ) -> CallAuth | None:
        """Another pass in place of a refused one; None where another would say the same."""

    async def close(self, seconds: float) -> None:
        """Let what is under way run out, at most `seconds`."""


class TokenCredential:
    """The management token, asked for when first needed and renewed before it ends.

    Args:
        calls: the way to the upstream.
        clock: the only source of time.
        access_key: the server-held one.
        pool_id: the only pool whose token is taken; any where None.
        deadline: seconds that one renewal may take.
    """

    def __init__(
        self,
        calls: Transport,
        clock: Clock,
        *,
        access_key: AccessKey,
        pool_id: str | None,
        deadline: float,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._access_key = access_key
        self._pinned = pool_id
        self.pool_id: str | None = None
        self._deadline = deadline
        self._held: Token | None = None
        self._renewals: SingleFlight[None, Token] = SingleFlight(clock)
        self._failure: UpstreamError | None = None
        self._failures = 0
        self._failed_at = 0.0
        self._paused_until = 0.0

    async def authorize(self, _path: str, _params: Mapping[str, str], *, deadline: float) -> Token:
        """The held token, or a new one."""
        if self._held and self._clock.monotonic() < self._held.renew_at:
            return self._held
        return await self._renewed(deadline)

    async def renew(
        self, refused: CallAuth, path: str, params: Mapping[str, str], *, deadline: float
    ) -> Token:
        """A token that is not the refused one: a newer one is held already, or asked for."""
        if self._held is refused:
            self._held = None
        return await self.authorize(path, params, deadline=deadline)

    async def close(self, seconds: float) -> None:
        """Let a renewal run out, at most `seconds`."""
        await self._renewals.close(seconds)

    async def _renewed(self, deadline: float) -> Token:
        now = self._clock.monotonic()
        if self._failure and now < self._paused_until:
            left = self._paused_until - now
            raise self._failure.aged(now - self._failed_at, left) from None
        flight = self._renewals.get(None) or self._renewals.launch(None, self._ask)
        if not await flight.wait(deadline - self._clock.monotonic()):
            raise DeadlineExceeded("no management token came in time")
        failure = flight.exception()
        if isinstance(failure, UpstreamError):
            raise failure.aged(0.0, 0.0) from None
        return flight.result()

    async def _ask(self) -> Token:
        asked = self._clock.monotonic()
        try:
            token = await self._ask_at(asked)
        except UpstreamError as failure:
            pause = FAILED_PAUSES[min(self._failures, len(FAILED_PAUSES) - 1)]
            if isinstance(failure, UpstreamCredentialRejected):
                pause = REJECTED_BACKOFF_SECONDS
            if isinstance(failure, UpstreamUnavailable):
                pause = failure.retry_after or pause  # nobody was asked: no failure of its own
            else:
                self._failures += 1
            self._failed_at = self._clock.monotonic()
            self._paused_until = self._failed_at + pause
            self._failure = failure.aged(0.0, pause)
            raise self._failure from None
        self._failure = None
        self._failures = 0
        self._held = token
        self.pool_id = token.pool_id
        return token

    async def _ask_at(self, asked: float) -> Token:
        body = {
            "accessKeyId": self._access_key.id.get_secret_value(),
            "accessKeySecret": self._access_key.secret.get_secret_value(),
        }
        deadline = asked + self._deadline
        tries = self._calls.new_retry_state()
        while True:
            # A token is asked for again as a GET would be: another one does no harm.
            try:
                question = UpstreamRequest("POST", TOKEN_PATH, body=body)
                envelope = await self._calls.send(question, deadline=deadline)
                return parse_token(envelope.data, asked, self._pinned)
            except UpstreamError as failure:
                if not await tries.should_retry(failure, deadline):
                    raise


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The headers of one signed call."""

    headers: Mapping[str, str] = field(repr=False)


class SignatureCredential:
    """A signature on each call: no token, but the clocks must agree.

    Args:
        clock: the only source of time.
        access_key: the server-held one.
        brand: whose header prefix and scheme word are used.
    """

    pool_id: str | None = None
    """A signature says nothing of the pool."""

    def __init__(self, clock: Clock, *, access_key: AccessKey, brand: Brand) -> None:
        self._clock = clock
        self._access_key = access_key
        self._brand = brand

    async def authorize(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        deadline: float,  # noqa: ARG002  signing does not wait
    ) -> SignedHeaders:
        """Sign one call."""
        date = format_datetime(self._clock.now(), usegmt=True)
        headers = headers_to_sign(self._brand, date=date, nonce=uuid.uuid4().hex)
        text = string_to_sign("GET", path, params, headers, self._brand)
        secret = self._access_key.secret.get_secret_value()
        key = self._access_key.id.get_secret_value()
        return SignedHeaders(
            headers | {"Authorization": authorization(key, secret, text, self._brand)}
        )

    async def renew(
        self, refused: CallAuth, path: str, params: Mapping[str, str], *, deadline: float
    ) -> None:
        """Nothing: another signature with the same key would be refused as well."""

    async def close(self, seconds: float) -> None:
        """Nothing is under way."""


def credential_factory(
    calls: Transport,
    clock: Clock,
    *,
    scheme: Scheme,
    brand: Brand,
    pool_id: str | None,
    deadline: float,
) -> Callable[[AccessKey], Credential]:
    """What makes a credential of an access key; the arguments are those of the credentials."""
    if scheme == "signature":
        return lambda key: SignatureCredential(clock, access_key=key, brand=brand)
    return lambda key: TokenCredential(
        calls, clock, access_key=key, pool_id=pool_id, deadline=deadline
    )
