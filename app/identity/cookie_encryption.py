"""Authenticated encryption of what this proxy stores in cookies."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_HEADER = {"alg": "dir", "enc": "A256GCM"}
_ALGORITHMS = tuple(_HEADER.values())
_PREFIX = urlsafe_b64encode(json.dumps(_HEADER, separators=(",", ":")).encode()).rstrip(b"=") + b"."
"""How every value begins. Another header is never parsed: the library does not expect all of JSON
in it."""

MAX_COOKIE_BYTES = 3800
"""Bytes of a value: browsers silently drop a cookie of more than 4096 with its attributes."""


class CookieTooLarge(Exception):
    """A value would not fit into a cookie."""


class CookieEncryption:
    """Encrypts JSON objects as JWE (RFC 7516) with `dir` and A256GCM.

    Each secret gives one key. The newest secret encrypts, all of them decrypt, so that a secret can
    be replaced without ending what it has encrypted.

    Args:
        secrets: newest first.
        purpose: becomes part of the keys, so that a value for one purpose is of no use for another.
    """

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._keys = tuple(
            OctKey.import_key(hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256))
            for secret in secrets
        )

    def encrypt(self, payload: Mapping[str, Any]) -> str:
        """Return the value of a cookie.

        Raises:
            CookieTooLarge: it would not fit.
        """
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        value = jwe.encrypt_compact(_HEADER, text.encode(), self._keys[0], algorithms=_ALGORITHMS)
        if len(value) > MAX_COOKIE_BYTES:
            raise CookieTooLarge
        return value

    def decrypt(self, value: bytes) -> dict[str, Any] | None:
        """Return the payload, or None if none of the secrets has encrypted it."""
        if len(value) > MAX_COOKIE_BYTES or not value.startswith(_PREFIX):
            return None
        for key in self._keys:
            try:
                decrypted = jwe.decrypt_compact(value, key, algorithms=_ALGORITHMS)
            except (JoseError, ValueError):
                continue
            payload: dict[str, Any] = json.loads(decrypted.plaintext or b"")
            return payload
        return None
