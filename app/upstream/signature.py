"""The HMAC-SHA1 signature of a call, as the vendor's Node SDK computes it."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Literal

Brand = Literal["genauth", "authing"]

SCHEME_WORD: Mapping[Brand, str] = {"genauth": "GenAuth", "authing": "authing"}
"""The scheme of the Authorization header."""

_LINE_BREAKS = re.compile(r"[\t\n\r\f]")


def headers_to_sign(brand: Brand, *, date: str, nonce: str) -> dict[str, str]:
    """Return the headers of one signed call; `nonce` is 32 hexadecimal digits, used once."""
    prefix = f"x-{brand}-"
    return {
        "date": date,
        f"{prefix}lang": "en-US",
        f"{prefix}sdk-version": "orders-bff:1",
        f"{prefix}signature-method": "HMAC-SHA1",
        f"{prefix}signature-nonce": nonce,
        f"{prefix}signature-version": "1.0",
    }


def string_to_sign(
    method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], brand: Brand
) -> str:
    """Return the text that is signed: method, signed headers, path and unencoded parameters.

    Headers and parameters are sorted by name. Only `date` and the brand's own headers are signed.
    """
    signed = sorted(name for name in headers if name == "date" or name.startswith(f"x-{brand}-"))
    lines = [f"{name}:{_LINE_BREAKS.sub(' ', headers[name]).strip()}" for name in signed]
    query = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return "\n".join([method, *lines, f"{path}?{query}" if query else path])


def authorization(access_key_id: str, secret: str, text: str, brand: Brand) -> str:
    """Return the Authorization header for `text`."""
    # The vendor's scheme has no other digest. HMAC does not need collision resistance.
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return f"{SCHEME_WORD[brand]} {access_key_id}:{base64.b64encode(digest).decode()}"
