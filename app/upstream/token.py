"""A management token: parsed from the upstream's response, with the time to renew it."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from app.upstream.drift import DriftKind
from app.upstream.errors import UpstreamCredentialRejected, UpstreamMalformed
from app.upstream.numbers import parse_decimal

MAX_MARGIN_SECONDS = 60.0
MAX_LIFETIME_SECONDS = 366 * 86400.0
"""A token that claims to live longer is renewed after that time."""

MIN_LIFETIME_SECONDS = 1.0
ASSUMED_LIFETIME_SECONDS = 300.0
"""Of a token whose lifetime is missing, unreadable or shorter than `MIN_LIFETIME_SECONDS`."""

_LIFETIME_DRIFT = DriftKind("unparsed value", "token", "expires_in")

_POOL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A management token for one user pool; its times are on the monotonic clock.

    `drift` is what was unexpected in the response that it came with.
    """

    value: SecretStr
    pool_id: str
    renew_at: float
    expires_at: float
    drift: tuple[DriftKind, ...] = ()

    def headers_for(self, _path: str, _params: Mapping[str, str], /) -> Mapping[str, str]:
        """Return the headers of a call, with both pool headers.

        The vendor's own clients disagree on which one the API reads.
        """
        return {
            "Authorization": f"Bearer {self.value.get_secret_value()}",
            "x-authing-userpool-id": self.pool_id,
            "x-genauth-userpool-id": self.pool_id,
        }


def parse_token(data: object, requested_at: float, required_pool_id: str | None) -> Token:
    """Return the token in the response to a token call.

    It is renewed early: by a tenth of its lifetime, at most `MAX_MARGIN_SECONDS`.
    Its lifetime counts from `requested_at`, when the call started, on the monotonic clock. One that
    cannot be right is replaced, because a rejected token is renewed anyway. If a pool is required,
    only its tokens are accepted.

    Raises:
        UpstreamMalformed: the response has no usable token.
        UpstreamCredentialRejected: the token belongs to another pool than the required one.
    """
    members = data if isinstance(data, dict) else {}
    value = members.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise UpstreamMalformed("the token response has no token")
    lifetime, drift = _lifetime(members.get("expires_in"))
    claim = pool_claim(value)
    if required_pool_id and claim and claim != required_pool_id:
        raise UpstreamCredentialRejected("the token is for another pool than expected")
    pool_id = required_pool_id or claim
    if not pool_id:
        raise UpstreamMalformed("the token names no pool: set ORDERS_UPSTREAM__POOL_ID")
    margin = min(lifetime / 10, MAX_MARGIN_SECONDS)
    expires_at = requested_at + lifetime
    return Token(SecretStr(value), pool_id, expires_at - margin, expires_at, drift)


def _lifetime(sent: object) -> tuple[float, tuple[DriftKind, ...]]:
    number = parse_decimal(sent)
    seconds = float(number) if number else 0.0
    if seconds < MIN_LIFETIME_SECONDS:
        return ASSUMED_LIFETIME_SECONDS, (_LIFETIME_DRIFT,)
    if seconds > MAX_LIFETIME_SECONDS:
        return MAX_LIFETIME_SECONDS, (_LIFETIME_DRIFT,)
    return seconds, ()


def pool_claim(token: str) -> str | None:
    """Return the `scoped_userpool_id` claim of a JWT, or None if it is opaque or names no pool.

    The signature is not verified: only the upstream has to trust the token.
    """
    payload = token.split(".")[1:2]
    try:
        # Not urlsafe_b64decode: it warns about "+" and "/" from Python 3.15 on.
        standard = payload[0].replace("-", "+").replace("_", "/")
        claims = json.loads(base64.b64decode(standard + "=" * (-len(standard) % 4)))
        pool_id = claims["scoped_userpool_id"]
    except (LookupError, TypeError, ValueError, RecursionError):
        return None
    return pool_id if isinstance(pool_id, str) and _POOL_ID.fullmatch(pool_id) else None
