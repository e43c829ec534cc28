"""The vendor's two signatures, as arithmetic: HS256 tokens and the HMAC-SHA1 of a call. No I/O."""

import base64
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final

_BLANK: Final = re.compile(r"[\t\n\r\f]")


def sign_token(claims: Mapping[str, object], key: bytes) -> str:
    """A JWT of the claims, HS256."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = b".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return b".".join((signed, _encode(hmac.digest(key, signed, "sha256")))).decode()


def read_token(token: str, key: bytes) -> dict[str, Any] | None:
    """The claims of a token that `key` has signed; None for anything else."""
    signed, _, signature = token.encode().rpartition(b".")
    if not hmac.compare_digest(signature, _encode(hmac.digest(key, signed, "sha256"))):
        return None
    claims: dict[str, Any] = json.loads(_decode(signed.partition(b".")[2]))
    return claims


def string_to_sign(
    method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], prefix: str
) -> str:
    """What a caller signs: the method, its `prefix` headers and `date`, the path and raw values."""
    signed = sorted(name for name in headers if name.startswith(prefix) or name == "date")
    lines = [f"{name}:{_BLANK.sub(' ', headers[name]).strip()}" for name in signed]
    query = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return "\n".join([method, *lines, f"{path}?{query}" if query else path])


def signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1")).decode()


def _encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
