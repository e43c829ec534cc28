"""Who may call: both credential schemes of the vendor, verified strictly. Knows no order."""

import hmac
import re
import secrets
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from app.clock import Clock
from app.sandbox import answers, signing
from app.sandbox.answers import Refused
from app.sandbox.options import Options

SKEW_SECONDS: Final = 300
"""How far a signed date may be off, either way."""

_PREFIXES: Final = {"authing": "x-authing-", "GenAuth": "x-genauth-"}
_UNIX_MS: Final = re.compile(r"[0-9]{12,14}")


class Gate:
    """Issues management tokens, and lets calls in by token or by signature."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._nonces: dict[str, float] = {}

    def issue(self, question: object) -> dict[str, object]:
        """Answer `{"accessKeyId", "accessKeySecret"}` with a token."""
        given = question if isinstance(question, Mapping) else {}
        key_id, key_text = given.get("accessKeyId"), given.get("accessKeySecret")
        if not isinstance(key_id, str) or not isinstance(key_text, str):
            raise Refused(
                answers.bad_argument(
                    "accessKeyId 和 accessKeySecret 必填",
                    "accessKeyId and accessKeySecret are required",
                )
            )
        options = self._options
        if key_id != options.access_key_id:
            raise Refused(answers.UNKNOWN_POOL)
        if not hmac.compare_digest(key_text.encode(), options.access_key_secret.encode()):
            raise Refused(answers.WRONG_SECRET)
        now = int(self._seconds())
        claims = {
            "token_type": "management_token",
            "scoped_userpool_id": options.pool_id,
            "access_key_type": "userpool",
            "access_key_id": key_id,
            "iat": now,
            "exp": now + options.token_lifetime_seconds,
        }
        return {
            "access_token": signing.sign_token(claims, self._key),
            "expires_in": options.token_lifetime_seconds,
        }

    def revoke_tokens(self) -> None:
        """Make all tokens issued so far invalid."""
        self._key = secrets.token_bytes(32)

    def admit(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        """Return if the call carries a good credential, else raise `Refused`."""
        authorization = headers.get("authorization", "")
        word, _, rest = authorization.partition(" ")
        prefix = _PREFIXES.get(word)
        if prefix is None:
            self._admit_token(rest if word.lower() == "bearer" else authorization, headers)
            return
        key_id, _, given = rest.partition(":")
        if key_id != self._options.access_key_id:
            raise Refused(answers.UNKNOWN_POOL)
        text = signing.string_to_sign(method, path, params, headers, prefix)
        self._admit_signature(given, text, headers, prefix)

    def _admit_token(self, token: str, headers: Mapping[str, str]) -> None:
        claims = signing.read_token(token, self._key)
        pools = {headers.get(f"{prefix}userpool-id") for prefix in _PREFIXES.values()} - {None}
        # The claims are our own once the signature holds: nothing else needs to be checked.
        if (
            claims is None
            or claims["exp"] <= self._seconds()
            or pools != {claims["scoped_userpool_id"]}
        ):
            raise Refused(answers.NOT_LOGGED_IN)

    def _admit_signature(
        self, given: str, text: str, headers: Mapping[str, str], prefix: str
    ) -> None:
        if headers.get(f"{prefix}signature-method") != "HMAC-SHA1":
            raise Refused(answers.SIGNATURE_METHOD)
        if headers.get(f"{prefix}signature-version") != "1.0":
            raise Refused(answers.SIGNATURE_VERSION)
        date = headers.get("date") or headers.get(f"{prefix}date")
        if not date:
            raise Refused(answers.NO_DATE)
        now = self._seconds()
        if abs(_moment(date) - now) > SKEW_SECONDS:
            raise Refused(answers.CLOCK_SKEW)
        expected = signing.signature(self._options.access_key_secret, text)
        nonce = headers.get(f"{prefix}signature-nonce")
        if not nonce or not hmac.compare_digest(given.encode(), expected.encode()):
            raise Refused(answers.BAD_SIGNATURE)
        self._consume(nonce, now)

    def _consume(self, nonce: str, now: float) -> None:
        if self._nonces.get(nonce, now) > now:
            raise Refused(answers.REPLAYED)
        # Kept in the order of their ends: the oldest stand in front.
        while self._nonces and next(iter(self._nonces.values())) <= now:
            del self._nonces[next(iter(self._nonces))]
        self._nonces[nonce] = now + 2 * SKEW_SECONDS

    def _seconds(self) -> float:
        return self._clock.now().timestamp()


def _moment(date: str) -> float:
    """Unix seconds of a date: Unix milliseconds, as the error table wants, or RFC 1123."""
    if _UNIX_MS.fullmatch(date):
        return int(date) / 1000
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        raise Refused(answers.BAD_TIMESTAMP) from None
    if moment.tzinfo is None:
        raise Refused(answers.BAD_TIMESTAMP)
    return moment.timestamp()
