"""A management token: parsed from the upstream's response, with the time to renew it."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from app.upstream.errors import UpstreamCredentialRejected, UpstreamMalformed
from app.upstream.wire import parse_integer

MAX_MARGIN_SECONDS = 60.0
MAX_LIFETIME_SECONDS = 366 * 86400

_POOL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A management token for one user pool; `renew_at` is on the monotonic clock."""

    value: SecretStr
    pool_id: str
    renew_at: float

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
    Its lifetime counts from `requested_at`, when the call started, on the monotonic clock. If a
    pool is required, only its tokens are accepted.

    Raises:
        UpstreamMalformed: the response has no usable token.
        UpstreamCredentialRejected: the token belongs to another pool than the required one.
    """
    members = data if isinstance(data, dict) else {}
    value = members.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise UpstreamMalformed("the token response has no token")
    lifetime = parse_integer(members.get("expires_in")) or 0
    if not 0 < lifetime <= MAX_LIFETIME_SECONDS:
        raise UpstreamMalformed("the token response has no valid lifetime")
    claim = pool_claim(value)
    if required_pool_id and claim and claim != required_pool_id:
        raise UpstreamCredentialRejected("the credential belongs to another pool than configured")
    pool_id = required_pool_id or claim
    if not pool_id:
        raise UpstreamMalformed("the token names no pool: set ORDERS_UPSTREAM__POOL_ID")
    margin = min(lifetime / 10, MAX_MARGIN_SECONDS)
    return Token(SecretStr(value), pool_id, requested_at + lifetime - margin)


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
