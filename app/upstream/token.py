"""A management token: what the upstream grants for our credential, and for how long. Pure."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from app.upstream.errors import UpstreamCredentialRejected, UpstreamMalformed

MAX_MARGIN_SECONDS = 60.0
MAX_LIFETIME_SECONDS = 366 * 86400

_POOL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A management token. `until` is the moment to renew it, on the monotonic clock."""

    value: SecretStr
    pool_id: str
    renew_at: float

    @property
    def headers(self) -> Mapping[str, str]:
        """Both pool headers: the vendor's own clients do not agree which one it reads."""
        return {
            "Authorization": f"Bearer {self.value.get_secret_value()}",
            "x-authing-userpool-id": self.pool_id,
            "x-genauth-userpool-id": self.pool_id,
        }


def parse_token(data: object, asked: float, pinned: str | None) -> Token:
    """The token in the data of an answer that was asked for at `asked`.

    It is renewed before it ends: by a tenth of its life, a minute at most.

    Args:
        data: what the envelope wraps.
        asked: a moment of the monotonic clock.
        pinned: the only pool whose token is taken; any where None.

    Raises:
        UpstreamMalformed: there is no token in it that can be used.
        UpstreamCredentialRejected: it is of another pool than the pinned one.
    """
    granted = data if isinstance(data, dict) else {}
    value = granted.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise UpstreamMalformed("the answer to our credential holds no token")
    told = granted.get("expires_in")
    life = int(told) if isinstance(told, str) and _SECONDS.fullmatch(told) else 0
    if not 0 < life <= MAX_LIFETIME_SECONDS:
        raise UpstreamMalformed("the token's lifetime cannot be read")
    claimed = pool_claim(value)
    if pinned and claimed and claimed != pinned:
        raise UpstreamCredentialRejected("the credential is of another pool than the one set")
    pool_id = pinned or claimed
    if not pool_id:
        raise UpstreamMalformed("the token names no pool: set ORDERS_UPSTREAM__POOL_ID")
    return Token(SecretStr(value), pool_id, asked + life - min(life / 10, MAX_MARGIN_SECONDS))


def pool_claim(token: str) -> str | None:
    """The `scoped_userpool_id` of a JWT, whose signature is the upstream's own affair.

    None where the token is opaque or names no pool.
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
