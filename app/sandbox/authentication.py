"""The vendor's two authentication schemes: management tokens and signed requests."""

import base64
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from app.clock import Clock
from app.sandbox import envelope
from app.sandbox.envelope import VendorError
from app.sandbox.options import Options

MAX_SKEW_SECONDS: Final = 300
"""How far the date of a signed request may differ from the clock, either way."""

_PREFIXES: Final = {"authing": "x-authing-", "GenAuth": "x-genauth-"}
_UNIX_MS: Final = re.compile(r"[0-9]{12,14}")
_WHITESPACE: Final = re.compile(r"[\t\n\r\f]")


class _Credential(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    access_key_id: str
    access_key_secret: str


class Authenticator:
    """Issues management tokens, and authenticates calls by token or by signature."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        # Both map to the Unix time of the expiry.
        self._tokens: dict[str, float] = {}
        self._nonces: dict[str, float] = {}

    def issue_token(self, body: bytes) -> dict[str, object]:
        """Return a token for the `accessKeyId` and `accessKeySecret` of the body.

        Raises:
            VendorError: they are missing or wrong.
        """
        try:
            credential = _Credential.model_validate_json(body)
        except ValidationError:
            raise envelope.bad_request(
                "accessKeyId 和 accessKeySecret 必填",
                "accessKeyId and accessKeySecret are required",
            ) from None
        options = self._options
        if credential.access_key_id != options.access_key_id:
            raise VendorError(envelope.UNKNOWN_POOL)
        if credential.access_key_secret != options.access_key_secret:
            raise VendorError(envelope.WRONG_SECRET)
        now, lifetime = int(self._unix_time()), options.token_lifetime_seconds
        claims = {
            "token_type": "management_token",
            "scoped_userpool_id": options.pool_id,
            "access_key_type": "userpool",
            "access_key_id": options.access_key_id,
            "iat": now,
            "exp": now + lifetime,
        }
        token = _make_token(claims)
        _drop_expired(self._tokens, now)
        self._tokens[token] = now + lifetime
        return {"access_token": token, "expires_in": lifetime}

    def revoke_tokens(self) -> None:
        """Invalidate all tokens issued so far."""
        self._tokens.clear()

    def authenticate(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        """Verify the credential of a call.

        Raises:
            VendorError: the credential is missing or invalid.
        """
        authorization = headers.get("authorization", "")
        scheme, _, credential = authorization.partition(" ")
        prefix = _PREFIXES.get(scheme)
        if prefix is None:
            token = credential if scheme.lower() == "bearer" else authorization
            pools = {headers.get(f"{name}userpool-id") for name in _PREFIXES.values()} - {None}
            expires_at = self._tokens.get(token, 0)
            if expires_at <= self._unix_time() or pools != {self._options.pool_id}:
                raise VendorError(envelope.NOT_LOGGED_IN)
            return
        key_id, _, signature = credential.partition(":")
        if key_id != self._options.access_key_id:
            raise VendorError(envelope.UNKNOWN_POOL)
        text = string_to_sign(method, path, params, headers, prefix)
        self._verify_signature(signature, text, headers, prefix)

    def _verify_signature(
        self, signature: str, text: str, headers: Mapping[str, str], prefix: str
    ) -> None:
        if headers.get(f"{prefix}signature-method") != "HMAC-SHA1":
            raise VendorError(envelope.SIGNATURE_METHOD_MISMATCH)
        if headers.get(f"{prefix}signature-version") != "1.0":
            raise VendorError(envelope.SIGNATURE_VERSION_MISMATCH)
        date = headers.get("date") or headers.get(f"{prefix}date")
        if not date:
            raise VendorError(envelope.MISSING_DATE)
        now = self._unix_time()
        if abs(_parse_date(date) - now) > MAX_SKEW_SECONDS:
            raise VendorError(envelope.CLOCK_SKEW)
        nonce = headers.get(f"{prefix}signature-nonce")
        if not nonce or signature != sign(text, self._options.access_key_secret):
            raise VendorError(envelope.INVALID_SIGNATURE)
        if self._nonces.get(nonce, now) > now:
            raise VendorError(envelope.NONCE_REUSED)
        _drop_expired(self._nonces, now)
        self._nonces[nonce] = now + 2 * MAX_SKEW_SECONDS

    def _unix_time(self) -> float:
        return self._clock.now().timestamp()


def _drop_expired(expiries: dict[str, float], now: float) -> None:
    # All have the same lifetime: the first ones inserted expire first.
    while expiries and next(iter(expiries.values())) <= now:
        del expiries[next(iter(expiries))]


def _parse_date(date: str) -> float:
    """Return the Unix time of a date in Unix milliseconds or in the format of RFC 1123."""
    if _UNIX_MS.fullmatch(date):
        return int(date) / 1000
    try:
        parsed = parsedate_to_datetime(date)
    except ValueError:
        raise VendorError(envelope.INVALID_DATE) from None
    if parsed.tzinfo is None:
        raise VendorError(envelope.INVALID_DATE)
    return parsed.timestamp()


def _make_token(claims: Mapping[str, object]) -> str:
    """Return the claims as a JWT with a random signature: only its issuer has to recognize it."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    encoded = map(base64.urlsafe_b64encode, [*parts, secrets.token_bytes(32)])
    return b".".join(part.rstrip(b"=") for part in encoded).decode()


def string_to_sign(
    method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], prefix: str
) -> str:
    """Return the text that the client signs.

    It consists of the method, the `prefix` headers and `date`, and the path with the query values
    as they are before percent-encoding.
    """
    signed = sorted(name for name in headers if name.startswith(prefix) or name == "date")
    lines = [f"{name}:{_WHITESPACE.sub(' ', headers[name]).strip()}" for name in signed]
    query = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return "\n".join([method, *lines, f"{path}?{query}" if query else path])


def sign(text: str, key: str) -> str:
    """Return the Base64 HMAC-SHA1 of the text."""
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1")).decode()
