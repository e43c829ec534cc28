"""Who we are to the upstream: a management token, or a signature on each call.

Secrets stay `SecretStr` until the header that carries them.
"""

import base64
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Protocol

from pydantic import SecretStr

from app.clock import Clock
from app.single_flight import SingleFlight
from app.upstream.calls import Calls
from app.upstream.envelope import open_envelope
from app.upstream.errors import UpstreamCredentialRejected, UpstreamMalformed, UpstreamTimeout
from app.upstream.signature import Brand, authorization, headers_to_sign, string_to_sign

TOKEN_PATH = "/api/v3/get-management-token"  # noqa: S105  a path

LONGEST_MARGIN = 60.0
LONGEST_LIFE = 366 * 86400
REJECTED_PAUSE = 10.0
"""Seconds not to offer a credential again that was rejected."""

_POOL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Pass(Protocol):
    """What lets one call in."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What to send along."""


class Credential(Protocol):
    """A way to be let in."""

    async def admit(self, path: str, params: Mapping[str, str], *, deadline: float) -> Pass:
        """A pass for one GET.

        Raises:
            UpstreamError: there is none before the moment `deadline`.
        """

    async def renew(
        self, refused: Pass, path: str, params: Mapping[str, str], *, deadline: float
    ) -> Pass | None:
        """Another pass in place of a refused one; None where another would say the same."""

    async def close(self, seconds: float) -> None:
        """Let what is under way run out, at most `seconds`."""


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A management token. `until` is the moment to renew it, on the monotonic clock."""

    value: SecretStr
    pool_id: str
    until: float

    @property
    def headers(self) -> Mapping[str, str]:
        """Both pool headers: the vendor's own clients do not agree which one it reads."""
        return {
            "Authorization": f"Bearer {self.value.get_secret_value()}",
            "x-authing-userpool-id": self.pool_id,
            "x-genauth-userpool-id": self.pool_id,
        }


class TokenCredential:
    """The management token, asked for when first needed and renewed before it ends.

    Args:
        calls: the way to the upstream.
        clock: the only source of time.
        access_key_id: of the server-held credential.
        access_key_secret: of the same.
        pool_id: the only pool whose token is taken; any where None.
        deadline: seconds that one renewal may take.
    """

    def __init__(
        self,
        calls: Calls,
        clock: Clock,
        *,
        access_key_id: SecretStr,
        access_key_secret: SecretStr,
        pool_id: str | None,
        deadline: float,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._access_key_id = access_key_id
        self._access_key_secret = access_key_secret
        self._pool_id = pool_id
        self._deadline = deadline
        self._held: Token | None = None
        self._renewals: SingleFlight[None, Token] = SingleFlight(clock)
        self._rejection: tuple[UpstreamCredentialRejected, float] | None = None

    async def admit(self, _path: str, _params: Mapping[str, str], *, deadline: float) -> Token:
        """The held token, or a new one."""
        if self._held and self._clock.monotonic() < self._held.until:
            return self._held
        return await self._renewed(deadline)

    async def renew(
        self, refused: Pass, path: str, params: Mapping[str, str], *, deadline: float
    ) -> Token:
        """A token that is not the refused one: a newer one is held already, or asked for."""
        if self._held is refused:
            self._held = None
        return await self.admit(path, params, deadline=deadline)

    async def close(self, seconds: float) -> None:
        """Let a renewal run out, at most `seconds`."""
        await self._renewals.close(seconds)

    async def _renewed(self, deadline: float) -> Token:
        if self._rejection and self._clock.monotonic() < self._rejection[1]:
            raise self._rejection[0].with_traceback(None)
        flight = self._renewals.under_way(None) or self._renewals.launch(None, self._ask)
        if not await flight.landed_within(deadline - self._clock.monotonic()):
            raise UpstreamTimeout("no management token came in time")
        return flight.result()

    async def _ask(self) -> Token:
        asked = self._clock.monotonic()
        try:
            self._held = await self._ask_at(asked)
        except UpstreamCredentialRejected as rejection:
            self._rejection = (rejection, self._clock.monotonic() + REJECTED_PAUSE)
            raise
        self._rejection = None
        return self._held

    async def _ask_at(self, asked: float) -> Token:
        body = {
            "accessKeyId": self._access_key_id.get_secret_value(),
            "accessKeySecret": self._access_key_secret.get_secret_value(),
        }
        reply = await self._calls.post(TOKEN_PATH, body, deadline=asked + self._deadline)
        data = open_envelope(reply, self._clock.now()).data
        token = data.get("access_token") if isinstance(data, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise UpstreamMalformed("the answer to our credential holds no token")
        life = _seconds(data.get("expires_in"))
        until = asked + life - min(life / 10, LONGEST_MARGIN)
        return Token(SecretStr(token), self._pool_of(token), until)

    def _pool_of(self, token: str) -> str:
        claimed = pool_claim(token)
        if self._pool_id and claimed and claimed != self._pool_id:
            raise UpstreamCredentialRejected("the credential is of another pool than the one set")
        pool_id = self._pool_id or claimed
        if not pool_id:
            raise UpstreamMalformed("the token names no pool: set ORDERS_UPSTREAM__POOL_ID")
        return pool_id


@dataclass(frozen=True, slots=True)
class Signed:
    """The headers of one signed call."""

    headers: Mapping[str, str]


class SignatureCredential:
    """A signature on each call: no token, but the clocks must agree.

    Args:
        clock: the only source of time.
        access_key_id: of the server-held credential.
        access_key_secret: of the same.
        brand: whose header prefix and scheme word are used.
    """

    def __init__(
        self, clock: Clock, *, access_key_id: SecretStr, access_key_secret: SecretStr, brand: Brand
    ) -> None:
        self._clock = clock
        self._access_key_id = access_key_id
        self._access_key_secret = access_key_secret
        self._brand = brand

    async def admit(self, path: str, params: Mapping[str, str], *, deadline: float) -> Signed:  # noqa: ARG002  a signature takes no time
        """A signature on this one call."""
        date = format_datetime(self._clock.now(), usegmt=True)
        headers = headers_to_sign(self._brand, date=date, nonce=uuid.uuid4().hex)
        text = string_to_sign("GET", path, params, headers, self._brand)
        secret = self._access_key_secret.get_secret_value()
        key = self._access_key_id.get_secret_value()
        return Signed(headers | {"Authorization": authorization(key, secret, text, self._brand)})

    async def renew(
        self, refused: Pass, path: str, params: Mapping[str, str], *, deadline: float
    ) -> None:
        """Nothing: another signature with the same key would be refused as well."""

    async def close(self, seconds: float) -> None:
        """Nothing is under way."""


def pool_claim(token: str) -> str | None:
    """The `scoped_userpool_id` of a JWT, whose signature is the upstream's own affair.

    None where the token is opaque or names no pool.
    """
    payload = token.split(".")[1:2]
    try:
        padded = payload[0] + "=" * (-len(payload[0]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        pool_id = claims["scoped_userpool_id"]
    except (LookupError, TypeError, ValueError, RecursionError):
        return None
    return pool_id if isinstance(pool_id, str) and _POOL_ID.fullmatch(pool_id) else None


def _seconds(value: object) -> float:
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= LONGEST_LIFE:
        raise UpstreamMalformed("the token's lifetime cannot be read")
    return float(text)
