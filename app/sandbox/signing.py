"""The vendor's two signatures: HS256 tokens and the HMAC-SHA1 signature of a request."""

import base64
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final

_WHITESPACE: Final = re.compile(r"[\t\n\r\f]")


def sign_token(claims: Mapping[str, object], key: bytes) -> str:
    """Return the claims as a JWT, signed with HS256."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = b".".join(
        _base64url_encode(json.dumps(part, separators=(",", ":")).encode()) for part in parts
    )
    return b".".join((signed, _base64url_encode(hmac.digest(key, signed, "sha256")))).decode()


def verify_token(token: str, key: bytes) -> dict[str, Any] | None:
    """Return the claims of a token signed with `key`; None for any other text."""
    signed, _, signature = token.encode().rpartition(b".")
    expected = _base64url_encode(hmac.digest(key, signed, "sha256"))
    if not hmac.compare_digest(signature, expected):
        return None
    claims: dict[str, Any] = json.loads(_base64url_decode(signed.partition(b".")[2]))
    return claims


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


def _base64url_encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _base64url_decode(text: bytes) -> bytes:
    # Not urlsafe_b64decode: it warns about "+" and "/" from Python 3.15 on.
    standard = text.replace(b"-", b"+").replace(b"_", b"/")
    return base64.b64decode(standard + b"=" * (-len(standard) % 4))
